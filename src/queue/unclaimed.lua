-- Reads the waiting jobs if no worker is alive.
-- KEYS[1]: active jobs (LIST); KEYS[2]: data (HASH)
-- KEYS[3]: the last heartbeat of each worker (ZSET, milliseconds)
-- ARGV[1]: the milliseconds without a heartbeat after which a worker is dead; ARGV[2]: the maximum number of
--   jobs
-- Returns the data of the newest waiting jobs; none if a worker is alive.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZCOUNT', KEYS[3], now - ARGV[1], '+inf') > 0 then return {} end
local jobs = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], -ARGV[2], -1)) do
    jobs[#jobs + 1] = redis.call('HGET', KEYS[2], id) or nil
end
return jobs
