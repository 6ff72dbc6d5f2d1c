-- Replaces a node, if what it sums up is still what it was made from.
-- KEYS[1]: prices (ZSET); KEYS[2]: the rollups (HASH)
-- ARGV[1]: its field; ARGV[2], ARGV[3]: its first second, first second after it
-- ARGV[4]: what it was made from, one a line; ARGV[5]: what is to be in it
-- ARGV[6]: seconds a bucket of its level
-- ARGV[7], ARGV[8]: the seconds that the node of the coarsest level has which it lies in
-- then the fields of the nodes that it sums up; none for one that sums up samples
-- Returns 1 if it was replaced, 0 if what it sums up has changed.
local PRICES, ROLLUPS, BUCKET = KEYS[1], KEYS[2], 64
local parts
if ARGV[9] then
    parts = redis.call('HMGET', ROLLUPS, unpack(ARGV, 9))
    for at, part in ipairs(parts) do parts[at] = part or '' end
else
    parts = redis.call('ZRANGEBYSCORE', PRICES, ARGV[2], '(' .. ARGV[3])
end
if table.concat(parts, '\n') ~= ARGV[4] then return 0 end
local old, new = redis.call('HGET', ROLLUPS, ARGV[1]), ARGV[5]
if not ARGV[9] and old and #old == #new then
    -- Of what has been trimmed, the buckets are all there is.
    local trimmed = tonumber(redis.call('HGET', ROLLUPS, 'trimmed') or -1e15) - ARGV[2]
    local kept = math.max(0, math.floor(trimmed / ARGV[6])) * BUCKET
    new = string.sub(old, 1, kept) .. string.sub(new, kept + 1)
end
if not string.find(new, '[^%z]') then
    redis.call('HDEL', ROLLUPS, ARGV[1])
    return 1
end
redis.call('HSET', ROLLUPS, ARGV[1], new)
widen(ROLLUPS, tonumber(ARGV[7]), tonumber(ARGV[8]))
return 1
