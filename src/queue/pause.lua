-- Pauses a queue, by the clock of Redis: moves its waiting jobs to the held jobs, which workers do not poll.
-- If the queue is paused already, keeps the start of the pause and replaces the operator and the note.
-- KEYS[1]: the pause (HASH)
-- KEYS[2]: active jobs (LIST)
-- KEYS[3]: held jobs (LIST)
-- ARGV[1]: the operator; ARGV[2]: the note
-- Returns 1 if the queue was not paused before, else 0.
-- A full Redis rejects a script if its first write adds data; this one removes.
redis.call('HDEL', KEYS[1], '')
local is_new = redis.call('HSETNX', KEYS[1], 'since', redis.call('TIME')[1])
redis.call('HSET', KEYS[1], 'by', ARGV[1], 'note', ARGV[2])
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do redis.call('RPUSH', KEYS[3], id) end
redis.call('DEL', KEYS[2])
return is_new
