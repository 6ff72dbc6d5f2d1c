-- Notes up to where samples are trimmed; the mark only moves forward.
-- KEYS[1]: the rollups (HASH)
-- ARGV[1]: the second before which they are to be
-- Returns the mark.
local mark = math.max(tonumber(redis.call('HGET', KEYS[1], 'trimmed') or -1e15), tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'trimmed', string.format('%.0f', mark))
return mark
