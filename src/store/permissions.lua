-- Tries each command that Cotiza sends, on a key that is deleted afterwards.
-- KEYS[1]: an otherwise unused key
-- ARGV[1]: an otherwise unused channel
-- Returns the names of the commands that this user is not permitted to send, in general or for this key.
local key = KEYS[1]
local commands = {
    {'DEL', key}, {'EXISTS', key}, {'EXPIRE', key, '1'}, {'UNLINK', key}, {'TIME'},
    {'SET', key, '1', 'EX', '1'}, {'SETNX', key, '1'}, {'GET', key},
    {'HSET', key, 'f', '1'}, {'HMSET', key, 'f', '1'}, {'HSETNX', key, 'f', '1'}, {'HGET', key, 'f'}, {'HMGET', key, 'f'},
    {'HGETALL', key}, {'HKEYS', key}, {'HLEN', key}, {'HEXISTS', key, 'f'}, {'HINCRBY', key, 'f', '1'},
    {'HDEL', key, 'f'},
    {'RPUSH', key, '1'}, {'LPUSH', key, '1'}, {'LRANGE', key, '0', '0'}, {'LINDEX', key, '0'},
    {'LLEN', key}, {'LTRIM', key, '0', '0'}, {'LREM', key, '0', '1'},
    {'SADD', key, '1'}, {'SMEMBERS', key}, {'SCARD', key}, {'SISMEMBER', key, '1'},
    {'SSCAN', key, '0'}, {'SREM', key, '1'},
    {'ZADD', key, '1', '1'}, {'ZCARD', key}, {'ZCOUNT', key, '0', '1'}, {'ZRANGE', key, '0', '0'},
    {'ZREVRANGE', key, '0', '0'}, {'ZRANGEBYSCORE', key, '0', '1'}, {'ZREVRANGEBYSCORE', key, '1', '0'},
    {'ZSCORE', key, '1'}, {'ZREM', key, '1'}, {'ZREMRANGEBYSCORE', key, '0', '1'},
    {'XADD', key, '*', 'f', '1'}, {'XREVRANGE', key, '+', '-'}, {'XREAD', 'STREAMS', key, '0'},
    {'SCAN', '0', 'COUNT', '1'}, {'PUBLISH', ARGV[1], '1'},
}
local denied = {}
for _, command in ipairs(commands) do
    local answer = redis.pcall(unpack(command))
    if type(answer) == 'table' and answer.err
        and (answer.err:find('NOPERM') or answer.err:find("can't") or answer.err:find('permission')) then
        denied[#denied + 1] = command[1]
    end
end
redis.pcall('DEL', key)
return denied
