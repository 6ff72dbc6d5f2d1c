-- Removes ids without data or metadata from the jobs in flight of a worker. If they were requeued, they would
-- end other workers, too.
-- KEYS[1]: the jobs in flight (SET); KEYS[2]: data (HASH)
-- ARGV[1]: the prefix of the metadata keys
-- Returns the number of remaining jobs in flight.
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if redis.call('HEXISTS', KEYS[2], id) == 0
        or redis.call('HEXISTS', ARGV[1] .. ':' .. id, 'max_attempts') == 0 then
        redis.call('SREM', KEYS[1], id)
        redis.call('HDEL', KEYS[2], id)
        redis.call('UNLINK', ARGV[1] .. ':' .. id)
    end
end
return redis.call('SCARD', KEYS[1])
