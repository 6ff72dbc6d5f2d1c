-- Moves all scheduled jobs to the active jobs, or to the held jobs while the queue is paused, and records
-- when they were enqueued, by the clock of Redis. apalis schedules each job for the time of its push, by
-- the clock of the machine; Cotiza schedules no jobs for later.
-- KEYS[1]: scheduled jobs (ZSET)
-- KEYS[2]: active jobs (LIST)
-- KEYS[3]: the pause (HASH)
-- KEYS[4]: held jobs (LIST)
-- ARGV[1]: the prefix of the metadata keys
-- Returns the number of moved jobs.
local ids = redis.call('ZRANGE', KEYS[1], 0, -1)
if #ids == 0 then return 0 end
local target = redis.call('EXISTS', KEYS[3]) == 1 and KEYS[4] or KEYS[2]
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
for _, id in ipairs(ids) do
    redis.call('HSETNX', ARGV[1] .. ':' .. id, 'enqueued_ms', now)
    redis.call('RPUSH', target, id)
end
redis.call('DEL', KEYS[1])
return #ids
