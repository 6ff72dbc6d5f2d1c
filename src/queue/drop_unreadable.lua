-- Removes ids without data or metadata from a queue, since no worker can read them, and finds the oldest jobs
-- of a backlog, since workers block at 8,000 jobs.
-- KEYS[1]: active jobs (LIST); KEYS[2]: data (HASH)
-- ARGV[1]: the prefix of the metadata keys; ARGV[2]: the maximum number of waiting jobs, which is
--   also the number of jobs to check
-- Returns {the number of removed ids, the id and data of each excess job}.
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
for index = 1, math.min(redis.call('LLEN', KEYS[1]) - ARGV[2], #readable) do
    excess[#excess + 1] = {readable[index], redis.call('HGET', KEYS[2], readable[index])}
end
return {unreadable, excess}
