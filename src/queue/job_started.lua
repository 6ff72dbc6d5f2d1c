-- Records the start of a job, so that it counts even if the worker crashes.
-- KEYS[1]: the metadata of the job (HASH)
-- ARGV[1]: the name of the worker; ARGV[2]: a token of this request, which may be sent twice
-- Returns {the number of starts including this one, the milliseconds since the job was enqueued};
--   {0, -1} if the job does not exist any more.
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, -1} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local timestamp = string.format('%.0f', now)
redis.call('HSET', KEYS[1], 'begun_ms', timestamp, 'worker', ARGV[1])
-- A worker may take a job after its push and before promote.lua records the time.
redis.call('HSETNX', KEYS[1], 'enqueued_ms', timestamp)
if redis.call('HGET', KEYS[1], 'request') ~= ARGV[2] then
    redis.call('HINCRBY', KEYS[1], 'begun', 1)
    redis.call('HSET', KEYS[1], 'request', ARGV[2])
end
return {tonumber(redis.call('HGET', KEYS[1], 'begun')), now - redis.call('HGET', KEYS[1], 'enqueued_ms')}
