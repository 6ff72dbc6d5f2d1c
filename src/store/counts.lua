-- Returns counts of the stored data atomically. This is a script because Redis refuses transactions when its
-- memory is full.
-- KEYS[1]: prices (ZSET)
-- KEYS[2]: {prices}:hours (HASH)
-- KEYS[3]: {prices}:meta (HASH)
-- KEYS[4]: {prices}:changes (STREAM)
-- ARGV[1], ARGV[2]: the first second of the calendar, and the first second after it
-- Returns {the number of changes, the boundary, the number of members of prices with a valid time, the score
-- of the newest of them, the number of blocks, the id of the last change}; '' for a value that does not
-- exist.
local meta = redis.call('HMGET', KEYS[3], 'changes', 'boundary')
local newest = redis.call('ZREVRANGEBYSCORE', KEYS[1], '(' .. ARGV[2], ARGV[1],
    'WITHSCORES', 'LIMIT', 0, 1)
local last = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)[1]
return {
    meta[1] or '', meta[2] or '',
    redis.call('ZCOUNT', KEYS[1], ARGV[1], '(' .. ARGV[2]), newest[2] or '',
    redis.call('HLEN', KEYS[2]), last and last[1] or '',
}
