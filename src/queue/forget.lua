-- Forgets finished jobs that are old enough, by the clock of Redis.
-- KEYS[1]: finished jobs (SET); KEYS[2]: data (HASH)
-- ARGV[1]: the prefix of the metadata keys; ARGV[2]: for how many seconds they are remembered; then
--   the ids to look at
-- Returns how many were forgotten.
local before = redis.call('TIME')[1] - ARGV[2]
local forgotten = 0
for at = 3, #ARGV do
    local id = ARGV[at]
    -- A job that could not be read was never begun; apalis notes its end, by the worker's clock.
    -- What somebody else has put there counts as nothing.
    local times = redis.pcall('HMGET', ARGV[1] .. ':' .. id, 'begun_ms', 'done_at')
    local begun = tonumber(times[1])
    local ended = begun and begun / 1000 or tonumber(times[2]) or 0
    if ended < before then
        redis.call('SREM', KEYS[1], id)
        redis.call('HDEL', KEYS[2], id)
        redis.call('UNLINK', ARGV[1] .. ':' .. id)
        forgotten = forgotten + 1
    end
end
return forgotten
