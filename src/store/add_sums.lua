-- Adds a batch of metrics of a process to the sums of all processes.
-- KEYS[1]: {prices}:sums (HASH)
-- KEYS[2]: {prices}:process:<name> (HASH)
-- ARGV[1]: the number of the batch; ARGV[2..]: pairs of a name and the value to add
-- Returns 1 if it was added, 0 if this batch was added before.
if tonumber(redis.call('HGET', KEYS[2], 'batch') or 0) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[2], 'batch', ARGV[1])
redis.call('EXPIRE', KEYS[2], 3600)
for at = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 1]) end
return 1
