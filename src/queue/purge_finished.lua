-- Removes finished jobs that are old enough, by the clock of Redis.
-- KEYS[1]: finished jobs (SET); KEYS[2]: data (HASH)
-- ARGV[1]: the prefix of the metadata keys; ARGV[2]: the seconds for which they are kept; then the
--   ids to check
-- Returns the number of removed jobs.
local before = redis.call('TIME')[1] - ARGV[2]
local removed = 0
for index = 3, #ARGV do
    local id = ARGV[index]
    -- A job that could not be read has no start; apalis records its end by the clock of the worker.
    -- Times that cannot be read count as 0, so that the job is removed.
    local times = redis.pcall('HMGET', ARGV[1] .. ':' .. id, 'begun_ms', 'done_at')
    local begun = tonumber(times[1])
    local ended = begun and begun / 1000 or tonumber(times[2]) or 0
    if ended < before then
        redis.call('SREM', KEYS[1], id)
        redis.call('HDEL', KEYS[2], id)
        redis.call('UNLINK', ARGV[1] .. ':' .. id)
        removed = removed + 1
    end
end
return removed
