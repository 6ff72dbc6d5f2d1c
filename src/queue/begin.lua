-- Notes that a job is begun, where a worker that dies of it cannot undo it.
-- KEYS[1]: the metadata of the job (HASH)
-- ARGV[1]: the name of the worker; ARGV[2]: a token of this request, which may be sent twice
-- Returns {how many times it was begun, this one included; 0 if the job is gone, the milliseconds since
-- it was enqueued; -1 if the job is gone}.
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, -1} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local written = string.format('%.0f', now)
redis.call('HSET', KEYS[1], 'begun_ms', written, 'worker', ARGV[1])
-- A worker may take a job in the moment between its push and the note of when that was.
redis.call('HSETNX', KEYS[1], 'enqueued_ms', written)
if redis.call('HGET', KEYS[1], 'request') ~= ARGV[2] then
    redis.call('HINCRBY', KEYS[1], 'begun', 1)
    redis.call('HSET', KEYS[1], 'request', ARGV[2])
end
return {tonumber(redis.call('HGET', KEYS[1], 'begun')), now - redis.call('HGET', KEYS[1], 'enqueued_ms')}
