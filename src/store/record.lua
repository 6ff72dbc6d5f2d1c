-- Records a sample unless its slot has one.
-- KEYS[1]: prices (ZSET)
-- ARGV[1], ARGV[2]: first unix second of the slot, first one after it
-- ARGV[3], ARGV[4]: unix second of the sample, its member
-- Returns 1 if it was stored, 0 if the slot had a sample.
if redis.call('ZCOUNT', KEYS[1], ARGV[1], '(' .. ARGV[2]) > 0 then
    return 0
end
return redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
