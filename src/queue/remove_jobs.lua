-- Removes waiting or finished jobs.
-- KEYS[1]: active jobs (LIST); KEYS[2]: scheduled jobs (ZSET); KEYS[3]: done jobs (SET)
-- KEYS[4]: dead jobs (SET); KEYS[5]: data (HASH); KEYS[6]: held jobs (LIST)
-- ARGV[1]: the prefix of the metadata keys; ARGV[2]: 1 to remove waiting jobs, 0 to remove finished ones;
--   then the ids
-- Returns the data of the removed jobs.
local removed = {}
for index = 3, #ARGV do
    local id = ARGV[index]
    local count
    if ARGV[2] == '1' then
        count = redis.call('LREM', KEYS[1], 0, id) + redis.call('ZREM', KEYS[2], id)
            + redis.call('LREM', KEYS[6], 0, id)
    else
        count = redis.call('SREM', KEYS[3], id) + redis.call('SREM', KEYS[4], id)
    end
    if count > 0 then
        removed[#removed + 1] = redis.call('HGET', KEYS[5], id) or ''
        redis.call('HDEL', KEYS[5], id)
        redis.call('UNLINK', ARGV[1] .. ':' .. id)
    end
end
return removed
