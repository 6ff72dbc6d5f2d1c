-- Forgets finished jobs that are old enough.
-- KEYS[1]: finished jobs (SET); KEYS[2]: data (HASH)
-- ARGV[1]: the prefix of the metadata keys; ARGV[2]: forget what was finished before this unix
--   second; then the ids to look at
-- Returns how many were forgotten.
local forgotten = 0
for at = 3, #ARGV do
    local id = ARGV[at]
    local done_at = tonumber(redis.call('HGET', ARGV[1] .. ':' .. id, 'done_at') or 0)
    if done_at < tonumber(ARGV[2]) then
        redis.call('SREM', KEYS[1], id)
        redis.call('HDEL', KEYS[2], id)
        redis.call('UNLINK', ARGV[1] .. ':' .. id)
        forgotten = forgotten + 1
    end
end
return forgotten
