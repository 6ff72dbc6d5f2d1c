-- Moves all scheduled jobs to the active ones. apalis schedules each job for the time at which it was
-- pushed, by the clock of whoever pushed it; none of ours is for later.
-- KEYS[1]: scheduled jobs (ZSET)
-- KEYS[2]: active jobs (LIST)
-- Returns how many were moved.
local ids = redis.call('ZRANGE', KEYS[1], 0, -1)
for _, id in ipairs(ids) do redis.call('RPUSH', KEYS[2], id) end
redis.call('DEL', KEYS[1])
return #ids
