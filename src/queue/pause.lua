-- Pauses a queue, by the clock of Redis: its waiting jobs are held where no worker looks. One that is
-- paused stays so since when it was; who paused it last and why replace what was noted.
-- KEYS[1]: the pause (HASH)
-- KEYS[2]: active jobs (LIST)
-- KEYS[3]: held jobs (LIST)
-- ARGV[1]: who does it; ARGV[2]: the note
-- Returns 1 if it was not paused before, else 0.
-- A full Redis refuses the first write of a script, if it adds something; so this one comes first.
redis.call('HDEL', KEYS[1], '')
local is_new = redis.call('HSETNX', KEYS[1], 'since', redis.call('TIME')[1])
redis.call('HSET', KEYS[1], 'by', ARGV[1], 'note', ARGV[2])
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do redis.call('RPUSH', KEYS[3], id) end
redis.call('DEL', KEYS[2])
return is_new
