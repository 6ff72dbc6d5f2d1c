-- Cuts one page out of the samples of a range, by rank: O(log n + page), wherever it lies.
-- KEYS[1]: prices (ZSET)
-- ARGV[1], ARGV[2]: first and last score of the range, both inclusive, or -inf and +inf
-- ARGV[3]: the page, from 1, or 'last'
-- ARGV[4]: samples a page
-- Returns {samples in the range, {member, score, member, score, ...}}.
local count = redis.call('ZCOUNT', KEYS[1], ARGV[1], ARGV[2])
local size = tonumber(ARGV[4])
local page = tonumber(ARGV[3]) or math.max(math.ceil(count / size), 1)
local skipped = (page - 1) * size
if skipped >= count then
    return {count, {}}
end
local before = ARGV[1] == '-inf' and 0 or redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[1])
local first = before + skipped
local last = before + math.min(skipped + size, count) - 1
return {count, redis.call('ZRANGE', KEYS[1], first, last, 'WITHSCORES')}
