-- Requeues jobs that were assigned to a worker and never started: the response with their ids was lost.
-- KEYS[1]: the jobs in flight of the worker (SET); KEYS[2]: active jobs (LIST)
-- ARGV[1]: the prefix of the metadata keys; ARGV[2]: the name of the worker; then the ids that were not
--   started at the last check
-- Returns the ids that are not started now, without the requeued ones.
local before = {}
for index = 3, #ARGV do before[ARGV[index]] = true end
local unstarted = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if redis.call('HGET', ARGV[1] .. ':' .. id, 'worker') ~= ARGV[2] then
        if before[id] then
            redis.call('SREM', KEYS[1], id)
            redis.call('LPUSH', KEYS[2], id)
        else
            unstarted[#unstarted + 1] = id
        end
    end
end
return unstarted
