-- Records a sample, unless its slot has one or the text of its hour has been dropped.
-- KEYS[1]: prices (ZSET)
-- KEYS[2]: {prices}:meta (HASH)
-- KEYS[3]: {prices}:changes (STREAM)
-- KEYS[4]: {prices}:provenance:<hour> (HASH)
-- KEYS[5]: {prices}:done:<token> (STRING): exists if this request was carried out before
-- KEYS[6..]: the missed slots of each reason (ZSETs), ARGV[6] of them; then
--   {prices}:source:<name> of the sources of the price (HASHes)
-- ARGV[1]: the unix second of the sample
-- ARGV[2]: its member
-- ARGV[3]: the first second of its slot
-- ARGV[4]: the first second after its slot
-- ARGV[5]: its provenance, or ''
-- ARGV[6]: the number of reasons
-- Returns 1 if it was recorded, 0 if its slot has a sample, -1 if the text of its hour was dropped,
-- -2 if it was not observed in the current slot.
if redis.call('EXISTS', KEYS[5]) == 1 then return 1 end
local now = tonumber(redis.call('TIME')[1])
-- A request that was sent in time may arrive up to two seconds after the slot.
if tonumber(ARGV[1]) > now + 1 or now >= ARGV[4] + 2 then return -2 end
if tonumber(ARGV[1]) < tonumber(redis.call('HGET', KEYS[2], 'boundary') or '-inf') then return -1 end
if redis.call('ZCOUNT', KEYS[1], ARGV[3], '(' .. ARGV[4]) > 0 then return 0 end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
if ARGV[5] ~= '' then
    redis.call('HSET', KEYS[4], ARGV[1], ARGV[5])
else
    redis.call('HDEL', KEYS[4], ARGV[1]) -- of a sample that was removed manually
end
for at = 6, 5 + ARGV[6] do redis.call('ZREM', KEYS[at], ARGV[3]) end
for at = 6 + ARGV[6], #KEYS do redis.call('HINCRBY', KEYS[at], 'samples', 1) end
local number = redis.call('HINCRBY', KEYS[2], 'changes', 1)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'number', number,
    'score', ARGV[1], 'member', ARGV[2], 'provenance', ARGV[5])
redis.call('SET', KEYS[5], '1', 'EX', 60)
return 1
