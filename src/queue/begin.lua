-- Counts that a job is begun, where a worker that dies of it cannot undo it, and notes when.
-- KEYS[1]: the metadata of the job (HASH)
-- Returns how many times it was begun, this one included; 0 if the job is gone.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'begun_at', redis.call('TIME')[1])
return redis.call('HINCRBY', KEYS[1], 'begun', 1)
