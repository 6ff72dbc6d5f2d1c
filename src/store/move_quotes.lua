-- Moves the provenance of 1000 s of version 0.1 to the hours of its samples.
-- KEYS[1]: {prices}:quotes:<first second> (HASH)
-- KEYS[2]: {prices}:provenance:<hour> of the first second (HASH)
-- KEYS[3]: {prices}:provenance:<hour> of the last second (HASH)
-- ARGV[1]: the first second of the hour of the last second
-- Returns the number of samples whose provenance was moved.
local fields = redis.call('HGETALL', KEYS[1])
for at = 1, #fields, 2 do
    local is_first = tonumber(fields[at]) < tonumber(ARGV[1])
    redis.call('HSETNX', is_first and KEYS[2] or KEYS[3], fields[at], fields[at + 1])
end
redis.call('DEL', KEYS[1])
return #fields / 2
