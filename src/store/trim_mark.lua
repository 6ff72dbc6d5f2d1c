-- Notes up to where samples are trimmed; the mark only moves forward.
-- KEYS[1]: the second before which samples are trimmed (STRING)
-- ARGV[1]: the second before which they are to be
-- Returns the mark.
local mark = math.max(tonumber(redis.call('GET', KEYS[1]) or -1e15), tonumber(ARGV[1]))
redis.call('SET', KEYS[1], string.format('%.0f', mark))
return mark
