-- Takes out of a queue what would stop its workers: ids without data or metadata, which they
-- cannot read, and the oldest jobs of a backlog, which they could not unpack from 8,000 on.
-- KEYS[1]: due jobs (ZSET); KEYS[2]: active jobs (LIST); KEYS[3]: data (HASH)
-- ARGV[1]: the prefix of the metadata keys; ARGV[2]: how many jobs may wait; ARGV[3]: how many
--   to look at
-- Returns {ids taken out because they cannot be read, {data of the jobs taken out as too many}}.
local function drop(id, from_list)
    redis.call('ZREM', KEYS[1], id)
    if from_list then redis.call('LREM', KEYS[2], 0, id) end
    redis.call('HDEL', KEYS[3], id)
    redis.call('UNLINK', ARGV[1] .. ':' .. id)
end

local function unreadable(id)
    return redis.call('HEXISTS', KEYS[3], id) == 0
        or redis.call('HEXISTS', ARGV[1] .. ':' .. id, 'max_attempts') == 0
end

local broken = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[3] - 1)) do
    if unreadable(id) then drop(id, false); broken = broken + 1 end
end
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, ARGV[3] - 1)) do
    if unreadable(id) then drop(id, true); broken = broken + 1 end
end

local dropped = {}
local too_many = redis.call('ZCARD', KEYS[1]) - ARGV[2]
if too_many > 0 then
    for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, math.min(too_many, tonumber(ARGV[3])) - 1)) do
        dropped[#dropped + 1] = redis.call('HGET', KEYS[3], id)
        drop(id, false)
    end
end
return {broken, dropped}
