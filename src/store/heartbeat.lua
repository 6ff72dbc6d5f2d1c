-- Records a heartbeat of a process, by the clock of Redis, and removes the processes whose last heartbeat
-- is too old.
-- KEYS[1]: {prices}:seen:<role> (ZSET)
-- KEYS[2]: {prices}:skew (ZSET)
-- KEYS[3]: {prices}:process:<name> (HASH)
-- ARGV[1]: the name of the process
-- ARGV[2]: how far the clock of its machine is ahead of the clock of Redis, in seconds
-- ARGV[3]: the age of the last heartbeat in seconds after which a process is removed
-- ARGV[4..]: pairs of a field of KEYS[3] and its value
-- Returns the number of processes that were removed.
-- A full Redis refuses a script if its first write adds data; this one removes.
redis.call('ZREM', KEYS[1], '')
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[3], unpack(ARGV, 4))
redis.call('EXPIRE', KEYS[3], ARGV[3])
-- If the clock of Redis was set back, later heartbeats are dated now.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
    redis.call('ZADD', KEYS[1], now, name)
end
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
for _, name in ipairs(gone) do
    redis.call('ZREM', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
end
return #gone
