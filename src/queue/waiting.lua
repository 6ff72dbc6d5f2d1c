-- The jobs that wait although no worker is alive.
-- KEYS[1]: active jobs (LIST); KEYS[2]: data (HASH)
-- KEYS[3]: when each worker was last alive (ZSET, milliseconds)
-- ARGV[1]: the milliseconds of silence after which a worker is dead; ARGV[2]: how many jobs to give
-- Returns the data of the newest ones; none if a worker is alive.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZCOUNT', KEYS[3], now - ARGV[1], '+inf') > 0 then return {} end
local jobs = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], -ARGV[2], -1)) do
    jobs[#jobs + 1] = redis.call('HGET', KEYS[2], id) or nil
end
return jobs
