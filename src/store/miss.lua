-- Notes why slots were missed. A slot that has a sample is not missed; the first reason stays.
-- KEYS[1]: prices (ZSET); KEYS[2..]: the slots missed for each reason (ZSETs)
-- ARGV[1]: seconds a slot; ARGV[2]: which key after the first the reason has; then the slots
-- Returns how many were noted.
local noted = 0
for at = 3, #ARGV do
    local slot = ARGV[at]
    local told = redis.call('ZCOUNT', KEYS[1], slot, '(' .. slot + ARGV[1]) > 0
    for key = 2, #KEYS do
        told = told or redis.call('ZSCORE', KEYS[key], slot)
    end
    if not told then
        noted = noted + redis.call('ZADD', KEYS[ARGV[2] + 1], slot, slot)
    end
end
return noted
