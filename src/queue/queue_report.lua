-- Reads the status of a queue.
-- KEYS[1]: active jobs (LIST); KEYS[2]: scheduled jobs (ZSET); KEYS[3]: done jobs (SET)
-- KEYS[4]: dead jobs (SET); KEYS[5]: the registered workers (ZSET); KEYS[6]: the pause (HASH)
-- KEYS[7]: held jobs (LIST); KEYS[8]: the last heartbeat of each worker (ZSET, milliseconds)
-- ARGV[1]: the prefix of the sets of jobs in flight; ARGV[2]: the prefix of the metadata keys
-- ARGV[3]: the milliseconds without a heartbeat after which a worker is dead
-- Returns {waiting, running, done, dead, live workers, the current time in milliseconds, the id of the oldest
-- waiting job or '', when it was enqueued in milliseconds or '', the start of the pause in seconds or '', the
-- operator who paused the queue, the note}.
local running = 0
for _, worker in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
    running = running + redis.call('SCARD', ARGV[1] .. ':' .. worker)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = redis.call('LINDEX', KEYS[7], 0) or redis.call('LINDEX', KEYS[1], 0)
    or redis.call('ZRANGE', KEYS[2], 0, 0)[1]
local pause = redis.call('HMGET', KEYS[6], 'since', 'by', 'note')
return {
    redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]) + redis.call('LLEN', KEYS[7]), running,
    redis.call('SCARD', KEYS[3]), redis.call('SCARD', KEYS[4]),
    redis.call('ZCOUNT', KEYS[8], now - ARGV[3], '+inf'), now, oldest or '',
    oldest and redis.call('HGET', ARGV[2] .. ':' .. oldest, 'enqueued_ms') or '',
    pause[1] or (redis.call('EXISTS', KEYS[6]) == 1 and '0' or ''), pause[2] or '', pause[3] or '',
}
