-- Takes out of a queue ids without data or metadata, which no worker can read, and finds the oldest jobs of a
-- backlog, which workers could not unpack from 8,000 on.
-- KEYS[1]: active jobs (LIST); KEYS[2]: data (HASH)
-- ARGV[1]: the prefix of the metadata keys; ARGV[2]: how many jobs may wait, and how many to look at
-- Returns {ids taken out because they cannot be read, the id and data of each job that is too many}.
local unreadable = 0
local readable = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, ARGV[2] - 1)) do
    if redis.call('HEXISTS', KEYS[2], id) == 0
        or redis.call('HEXISTS', ARGV[1] .. ':' .. id, 'max_attempts') == 0 then
        redis.call('LREM', KEYS[1], 0, id)
        redis.call('HDEL', KEYS[2], id)
        redis.call('UNLINK', ARGV[1] .. ':' .. id)
        unreadable = unreadable + 1
    else
        readable[#readable + 1] = id
    end
end

local excess = {}
for at = 1, math.min(redis.call('LLEN', KEYS[1]) - ARGV[2], #readable) do
    excess[#excess + 1] = {readable[at], redis.call('HGET', KEYS[2], readable[at])}
end
return {unreadable, excess}
