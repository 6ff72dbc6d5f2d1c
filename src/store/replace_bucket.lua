-- Replaces a bucket, if what it sums up is still what it was made from.
-- KEYS[1]: what it sums up (ZSET: prices, or the next finer level); KEYS[2]: its level (ZSET)
-- ARGV[1], ARGV[2]: its first second, first second after it
-- ARGV[3]: the members it was made from, one a line; ARGV[4]: its new member, '' to remove it
-- Returns 1 if it was replaced, 0 if what it sums up has changed.
local members = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '(' .. ARGV[2])
if table.concat(members, '\n') ~= ARGV[3] then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[2], ARGV[1], ARGV[1])
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[2], ARGV[1], ARGV[4]) end
return 1
