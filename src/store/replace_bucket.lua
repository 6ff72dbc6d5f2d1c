-- Replaces a bucket, if what it sums up is still what it was made from.
-- KEYS[1]: what it sums up (ZSET: prices, or the next finer level); KEYS[2]: its level (ZSET);
-- KEYS[3]: of a bucket of samples, the second before which these were trimmed (STRING)
-- ARGV[1], ARGV[2]: its first second, first second after it
-- ARGV[3]: the members it was made from, one a line; ARGV[4]: its new member, '' to remove it
-- Returns 1 if it was replaced, 0 if what it sums up has changed.
-- Of what has been trimmed, the bucket is all there is.
if KEYS[3] and tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[3]) or -1e15) then return 1 end
local members = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '(' .. ARGV[2])
if table.concat(members, '\n') ~= ARGV[3] then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[2], ARGV[1], ARGV[1])
if ARGV[4] ~= '' then redis.call('ZADD', KEYS[2], ARGV[1], ARGV[4]) end
return 1
