-- Replaces a node, if what it sums up is still what it was made from.
-- KEYS[1]: prices (ZSET); KEYS[2]: the rollups (HASH)
-- ARGV[1], ARGV[2]: the fields of its sums and extremes
-- ARGV[3], ARGV[4]: its first second, first second after it
-- ARGV[5]: what it was made from, one a line; ARGV[6], ARGV[7]: what is to be in its fields
-- ARGV[8], ARGV[9]: the seconds of each of its sums, of each of its buckets
-- ARGV[10], ARGV[11]: the seconds that the node of the coarsest level has which it lies in
-- then the fields of the nodes that it sums up; none for one that sums up samples
-- Returns 1 if it was replaced, 0 if what it sums up has changed.
local PRICES, ROLLUPS = KEYS[1], KEYS[2]
local sums_up_nodes = ARGV[12]
local parts
if sums_up_nodes then
    parts = redis.call('HMGET', ROLLUPS, unpack(ARGV, 12))
    for at, part in ipairs(parts) do parts[at] = part or '' end
else
    parts = redis.call('ZRANGEBYSCORE', PRICES, ARGV[3], '(' .. ARGV[4])
end
if table.concat(parts, '\n') ~= ARGV[5] then return 0 end
local frame = read_frame(ROLLUPS)

-- What is to be in a field, of so many bytes for so many seconds.
local function merged(field, new, bytes, seconds)
    local old = redis.call('HGET', ROLLUPS, field)
    if sums_up_nodes or not old or #old ~= #new then return new end
    -- Of what has been trimmed, the buckets are all there is.
    local kept = math.max(0, math.floor((frame.trimmed - ARGV[3]) / seconds)) * bytes
    return string.sub(old, 1, kept) .. string.sub(new, kept + 1)
end

local sums = merged(ARGV[1], ARGV[6], SUM, ARGV[8])
local extremes = merged(ARGV[2], ARGV[7], EXTREMES, ARGV[9])
if string.find(sums, '[^%z]') then
    redis.call('HSET', ROLLUPS, ARGV[1], sums, ARGV[2], extremes)
    widen(frame, tonumber(ARGV[10]), tonumber(ARGV[11]))
else
    redis.call('HDEL', ROLLUPS, ARGV[1], ARGV[2])
end
write_frame(ROLLUPS, frame)
return 1
