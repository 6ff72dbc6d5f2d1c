-- Records why slots were missed. Slots that have a sample are skipped; the first recorded reason of a
-- slot is kept.
-- KEYS[1]: prices (ZSET)
-- KEYS[2]: the slots that were missed for the reason (ZSET)
-- KEYS[3..]: the slots that were missed for each of all reasons (ZSETs)
-- ARGV[1]: the length of a slot in seconds
-- ARGV[2..]: the first seconds of the slots
-- Returns the number of slots whose reason was recorded.
local recorded = 0
for at = 2, #ARGV do
    local slot = ARGV[at]
    local is_known = redis.call('ZCOUNT', KEYS[1], slot, '(' .. slot + ARGV[1]) > 0
    for key = 3, #KEYS do
        is_known = is_known or redis.call('ZSCORE', KEYS[key], slot)
    end
    if not is_known then
        recorded = recorded + redis.call('ZADD', KEYS[2], slot, slot)
    end
end
return recorded
