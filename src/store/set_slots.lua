-- Records the length of slots that applies from a second on, unless it is the current length already. The
-- first recorded length also applies to all time before it.
-- KEYS[1]: {prices}:slots (HASH)
-- KEYS[2]: {prices}:meta (HASH)
-- KEYS[3]: {prices}:changes (STREAM)
-- ARGV[1]: the length in seconds
-- ARGV[2]: the second from which it applies, the start of a slot of this length
-- Returns the length that applied until then, in seconds; 0 if there was none.
local newest, length
local lengths = redis.call('HGETALL', KEYS[1])
for at = 1, #lengths, 2 do
    local from = tonumber(lengths[at])
    if not newest or from > newest then newest, length = from, tonumber(lengths[at + 1]) end
end
if length == tonumber(ARGV[1]) then return length end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[1])
local number = redis.call('HINCRBY', KEYS[2], 'changes', 1)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'number', number, 'slots', ARGV[1])
return length or 0
