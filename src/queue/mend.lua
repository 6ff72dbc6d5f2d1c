-- Takes out of a queue what would stop its workers: ids without data or metadata, which they
-- cannot read, and the oldest jobs of a backlog, which they could not unpack from 8,000 on.
-- KEYS[1]: active jobs (LIST); KEYS[2]: data (HASH)
-- ARGV[1]: the prefix of the metadata keys; ARGV[2]: how many jobs may wait; ARGV[3]: how many
--   to look at
-- Returns {ids taken out because they cannot be read, {data of the jobs taken out as too many}}.
local function delete(id)
    redis.call('HDEL', KEYS[2], id)
    redis.call('UNLINK', ARGV[1] .. ':' .. id)
end

local unreadable = 0
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, ARGV[3] - 1)) do
    if redis.call('HEXISTS', KEYS[2], id) == 0
        or redis.call('HEXISTS', ARGV[1] .. ':' .. id, 'max_attempts') == 0 then
        redis.call('LREM', KEYS[1], 0, id)
        delete(id)
        unreadable = unreadable + 1
    end
end

local dropped = {}
local too_many = math.min(redis.call('LLEN', KEYS[1]) - ARGV[2], tonumber(ARGV[3]))
for _ = 1, too_many do
    local id = redis.call('LPOP', KEYS[1])
    dropped[#dropped + 1] = redis.call('HGET', KEYS[2], id)
    delete(id)
end
return {unreadable, dropped}
