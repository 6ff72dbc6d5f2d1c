-- How a queue is.
-- KEYS[1]: active jobs (LIST); KEYS[2]: scheduled jobs (ZSET); KEYS[3]: done jobs (SET)
-- KEYS[4]: dead jobs (SET); KEYS[5]: the registered workers (ZSET); KEYS[6]: the pause (HASH)
-- KEYS[7]: held jobs (LIST)
-- ARGV[1]: the prefix of the sets of jobs in flight; ARGV[2]: the prefix of the metadata keys
-- Returns {waiting, running, done, dead, workers, milliseconds since the oldest waiting job was enqueued or
-- -1, since when it is paused (unix seconds) or '', by whom, the note}.
local workers = redis.call('ZRANGE', KEYS[5], 0, -1)
local running = 0
for _, worker in ipairs(workers) do running = running + redis.call('SCARD', ARGV[1] .. ':' .. worker) end
local age = -1
local oldest = redis.call('LINDEX', KEYS[7], 0) or redis.call('LINDEX', KEYS[1], 0)
if oldest then
    local enqueued = redis.call('HGET', ARGV[2] .. ':' .. oldest, 'enqueued_ms')
    local time = redis.call('TIME')
    if enqueued then age = math.max(0, time[1] * 1000 + math.floor(time[2] / 1000) - enqueued) end
end
local pause = redis.call('HMGET', KEYS[6], 'since', 'by', 'note')
return {
    redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]) + redis.call('LLEN', KEYS[7]), running,
    redis.call('SCARD', KEYS[3]), redis.call('SCARD', KEYS[4]), #workers, age,
    pause[1] or '', pause[2] or '', pause[3] or '',
}
