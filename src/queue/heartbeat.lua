-- Records a heartbeat of a worker, and requeues the jobs of dead workers, by the clock of Redis.
-- KEYS[1]: the last heartbeat of each worker (ZSET, milliseconds)
-- KEYS[2]: the registered workers (ZSET)
-- KEYS[3]: active jobs (LIST)
-- KEYS[4]: the pause (HASH)
-- KEYS[5]: held jobs (LIST)
-- ARGV[1]: the name of the worker
-- ARGV[2]: the milliseconds without a heartbeat after which a worker is dead
-- ARGV[3]: the prefix of the sets of jobs in flight; ARGV[4]: the prefix of the metadata of workers
-- Returns {1 if the worker is registered, else 0; the names of dead workers whose jobs were requeued}.
-- A full Redis rejects a script if its first write adds data; this one removes.
redis.call('ZREM', KEYS[1], '')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or now
-- If no worker has sent a heartbeat for that time, or the last one is in the future, Redis was unavailable or
-- its clock was set. Then all workers get another period.
local is_restart = now - last > tonumber(ARGV[2]) or tonumber(last) > now
local registered = redis.call('ZSCORE', KEYS[2], ARGV[1]) and 1 or 0
if registered == 1 then
    redis.call('ZADD', KEYS[1], now, ARGV[1])
    redis.call('ZADD', KEYS[2], time[1], ARGV[1])
end
local dead = {}
for _, worker in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local alive = redis.call('ZSCORE', KEYS[1], worker)
    if not alive or is_restart then
        redis.call('ZADD', KEYS[1], now, worker)
    -- Compare with the latest heartbeat of all workers: after a stall of Redis, all heartbeats are old.
    elseif last - alive > tonumber(ARGV[2]) then
        local in_flight = ARGV[3] .. ':' .. worker
        for _, id in ipairs(redis.call('SMEMBERS', in_flight)) do redis.call('LPUSH', KEYS[3], id) end
        redis.call('DEL', in_flight)
        redis.call('ZREM', KEYS[2], worker)
        redis.call('UNLINK', ARGV[4] .. worker)
        dead[#dead + 1] = worker
    end
end
-- Remove the heartbeats of workers that are no longer registered.
for _, worker in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if not redis.call('ZSCORE', KEYS[2], worker) then redis.call('ZREM', KEYS[1], worker) end
end
-- While the queue is paused, hold jobs that were enqueued at the moment of the pause or requeued above.
if redis.call('EXISTS', KEYS[4]) == 1 then
    for _, id in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do redis.call('RPUSH', KEYS[5], id) end
    redis.call('DEL', KEYS[3])
end
return {registered, dead}
