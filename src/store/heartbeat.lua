-- Notes that a process is at work, by the clock of Redis; forgets those that are gone.
-- KEYS[1]: {prices}:seen:<role> (ZSET)
-- KEYS[2]: {prices}:skew (ZSET)
-- KEYS[3]: {prices}:process:<name> (HASH)
-- ARGV[1]: the name of the process
-- ARGV[2]: how far the clock of its machine is ahead of Redis' clock, in seconds
-- ARGV[3]: the seconds of silence after which a process is forgotten
-- ARGV[4..]: pairs of a field of KEYS[3] and its value
-- Returns how many were forgotten.
-- A full Redis refuses the first write of a script, if it adds something; so this one comes first.
redis.call('ZREM', KEYS[1], '')
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[3], unpack(ARGV, 4))
redis.call('EXPIRE', KEYS[3], ARGV[3])
-- Redis' clock was set back: these were seen before now, whenever that was.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
    redis.call('ZADD', KEYS[1], now, name)
end
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
for _, name in ipairs(gone) do
    redis.call('ZREM', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
end
return #gone
