-- Keeps a worker alive, and gives the jobs of workers that are silent to others; all by the clock of
-- Redis, in milliseconds.
-- KEYS[1]: when each worker was last alive (ZSET, milliseconds)
-- KEYS[2]: the registered workers (ZSET)
-- KEYS[3]: active jobs (LIST)
-- KEYS[4]: the pause (HASH)
-- KEYS[5]: held jobs (LIST)
-- ARGV[1]: the name of the worker
-- ARGV[2]: the milliseconds of silence after which a worker is dead
-- ARGV[3]: the prefix of the sets of jobs in flight; ARGV[4]: the prefix of what apalis keeps of workers
-- Returns {1 if the worker is registered, the names of dead workers whose jobs were given away}.
-- A full Redis refuses the first write of a script, if it adds something; so this one comes first.
redis.call('ZREM', KEYS[1], '')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or now
-- No worker has sent a heartbeat for so long, or the last one is in the future: Redis was away, or its
-- clock was set. All workers get another period.
local is_new_start = now - last > tonumber(ARGV[2]) or tonumber(last) > now
local registered = redis.call('ZSCORE', KEYS[2], ARGV[1]) and 1 or 0
if registered == 1 then
    redis.call('ZADD', KEYS[1], now, ARGV[1])
    redis.call('ZADD', KEYS[2], time[1], ARGV[1])
end
local dead = {}
for _, worker in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local alive = redis.call('ZSCORE', KEYS[1], worker)
    if not alive or is_new_start then
        redis.call('ZADD', KEYS[1], now, worker)
    -- Compared with the last heartbeat of others: after a stall, all are silent for as long.
    elseif last - alive > tonumber(ARGV[2]) then
        local in_flight = ARGV[3] .. ':' .. worker
        for _, id in ipairs(redis.call('SMEMBERS', in_flight)) do redis.call('LPUSH', KEYS[3], id) end
        redis.call('DEL', in_flight)
        redis.call('ZREM', KEYS[2], worker)
        redis.call('UNLINK', ARGV[4] .. worker)
        dead[#dead + 1] = worker
    end
end
-- Names that apalis, or a worker that has left, has removed.
for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if not redis.call('ZSCORE', KEYS[2], worker) then redis.call('ZREM', KEYS[1], worker) end
end
-- What came in at the moment of a pause, and what dead workers had.
if redis.call('EXISTS', KEYS[4]) == 1 then
    for _, id in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do redis.call('RPUSH', KEYS[5], id) end
    redis.call('DEL', KEYS[3])
end
return {registered, dead}
