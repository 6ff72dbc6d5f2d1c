-- Records when a job ended, by the clock of Redis.
-- KEYS[1]: the metadata of the job (HASH)
-- Returns 1; 0 if the job does not exist any more.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'ended_ms', string.format('%.0f', now))
return 1
