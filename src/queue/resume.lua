-- Resumes a paused queue: its held jobs wait for workers again, before later ones.
-- KEYS[1]: the pause (HASH)
-- KEYS[2]: active jobs (LIST)
-- KEYS[3]: held jobs (LIST)
-- Returns 1 if it was paused, else 0.
-- A full Redis refuses the first write of a script, if it adds something; so this one comes first.
local was_paused = redis.call('DEL', KEYS[1])
local held = redis.call('LRANGE', KEYS[3], 0, -1)
for at = #held, 1, -1 do redis.call('LPUSH', KEYS[2], held[at]) end
redis.call('DEL', KEYS[3])
return was_paused
