-- Replaces the stored data of an hour, unless it has changed since it was read.
-- KEYS[1]: prices (ZSET)
-- KEYS[2]: {prices}:hours (HASH)
-- KEYS[3]: {prices}:meta (HASH)
-- KEYS[4]: {prices}:changes (STREAM)
-- KEYS[5]: {prices}:provenance:<hour> (HASH)
-- KEYS[6]: {prices}:done:<token> (STRING): exists if this request has been carried out already
-- KEYS[7..]: the missed slots of each reason (ZSETs)
-- ARGV[1]: the first second of the hour
-- ARGV[2]: the first second after the hour
-- ARGV[3]: its members and scores as they were read, one per line
-- ARGV[4]: its block as it was read, '' for none
-- ARGV[5]: the boundary as it was read, '' for none
-- ARGV[6]: the block to store, '' for none
-- ARGV[7]: the boundary to store, '' to keep it
-- ARGV[8]: the number of members to remove
-- ARGV[9]: the number of members to add
-- ARGV[10..]: the members to remove; score and member of each one to add; the first seconds of the slots that
-- are recorded now, in ascending order
-- Returns 1 if the hour was replaced, 0 if it has changed.
if redis.call('EXISTS', KEYS[6]) == 1 then return 1 end
local text = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '(' .. ARGV[2], 'WITHSCORES')
if table.concat(text, '\n') ~= ARGV[3] then return 0 end
if (redis.call('HGET', KEYS[2], ARGV[1]) or '') ~= ARGV[4] then return 0 end
if (redis.call('HGET', KEYS[3], 'boundary') or '') ~= ARGV[5] then return 0 end
local at = 10
for _ = 1, ARGV[8] do
    redis.call('ZREM', KEYS[1], ARGV[at])
    at = at + 1
end
for _ = 1, ARGV[9] do
    redis.call('ZADD', KEYS[1], ARGV[at], ARGV[at + 1])
    at = at + 2
end
for key = 7, #KEYS do
    local missed = at <= #ARGV and redis.call('ZCOUNT', KEYS[key], ARGV[at], '(' .. ARGV[2]) or 0
    for slot = at, missed > 0 and #ARGV or 0 do redis.call('ZREM', KEYS[key], ARGV[slot]) end
end
if ARGV[6] == '' then
    redis.call('HDEL', KEYS[2], ARGV[1])
elseif ARGV[6] ~= ARGV[4] then
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[6])
end
-- A new block has the provenance, and without text it is not needed.
if ARGV[6] ~= ARGV[4] or ARGV[8] ~= '0' then redis.call('DEL', KEYS[5]) end
if ARGV[7] ~= '' then redis.call('HSET', KEYS[3], 'boundary', ARGV[7]) end
local number = redis.call('HINCRBY', KEYS[3], 'changes', 1)
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, '*', 'number', number, 'hour', ARGV[1])
redis.call('SET', KEYS[6], '1', 'EX', 60)
return 1
