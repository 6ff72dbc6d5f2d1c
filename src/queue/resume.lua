-- Resumes a queue: moves its held jobs back to the active jobs, before jobs that were enqueued later.
-- KEYS[1]: the pause (HASH)
-- KEYS[2]: active jobs (LIST)
-- KEYS[3]: held jobs (LIST)
-- Returns 1 if the queue was paused, else 0.
-- A full Redis rejects a script if its first write adds data; this one removes.
local was_paused = redis.call('DEL', KEYS[1])
local held = redis.call('LRANGE', KEYS[3], 0, -1)
for index = #held, 1, -1 do redis.call('LPUSH', KEYS[2], held[index]) end
redis.call('DEL', KEYS[3])
return was_paused
