-- Replaces a node, if what it sums up is still what it was made from.
-- KEYS[1]: what it sums up (ZSET: prices, or the next finer level); KEYS[2]: its level (ZSET);
-- KEYS[3]: of a node of samples, the second before which these were trimmed (STRING)
-- ARGV[1], ARGV[2]: its first second, first second after it
-- ARGV[3]: the members it was made from, one a line; ARGV[4]: its new member
-- ARGV[5]: seconds a bucket of its level
-- Returns 1 if it was replaced, 0 if what it sums up has changed.
local HEAD, BUCKET = 8, 64
local members = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '(' .. ARGV[2])
if table.concat(members, '\n') ~= ARGV[3] then return 0 end
local old, new = redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[1], ARGV[1])[1], ARGV[4]
if KEYS[3] and old and #old == #new then
    -- Of what has been trimmed, the buckets are all there is.
    local trimmed = tonumber(redis.call('GET', KEYS[3]) or -1e15) - ARGV[1]
    local kept = math.max(0, math.floor(trimmed / ARGV[5])) * BUCKET
    new = string.sub(old, 1, HEAD + kept) .. string.sub(new, HEAD + kept + 1)
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], ARGV[1], ARGV[1])
if string.find(new, '[^%z]', HEAD + 1) then redis.call('ZADD', KEYS[2], ARGV[1], new) end
return 1
