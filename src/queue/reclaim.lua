-- Gives jobs to others that a worker was given and never began: the answer that named them was lost.
-- KEYS[1]: the jobs in flight of the worker (SET); KEYS[2]: active jobs (LIST)
-- ARGV[1]: the prefix of the metadata keys; ARGV[2]: the name of the worker; then the ids that it had not
--   begun at the last look
-- Returns the ids that it has not begun now, without those that were given away.
local before = {}
for at = 3, #ARGV do before[ARGV[at]] = true end
local waiting = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if redis.call('HGET', ARGV[1] .. ':' .. id, 'worker') ~= ARGV[2] then
        if before[id] then
            redis.call('SREM', KEYS[1], id)
            redis.call('LPUSH', KEYS[2], id)
        else
            waiting[#waiting + 1] = id
        end
    end
end
return waiting
