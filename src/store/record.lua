-- Records samples, each unless its slot has one or was trimmed, and brings the rollups up to date.
-- KEYS[1]: prices (ZSET); KEYS[2]: the second before which samples were trimmed (STRING);
-- KEYS[3..]: the levels of the rollups (ZSETs), finest first
-- ARGV[1]: seconds a slot; then the seconds a bucket of each level;
--   then of each sample: its unix second, its member, its price in 1/10000 peso
-- Returns how many were stored.
--
-- Every number here is a whole one below 2^53, which doubles hold and add exactly: a sum is
-- kept in two parts, sum = high * 10^6 + low.
local slot_seconds = tonumber(ARGV[1])
local levels = #KEYS - 2
local trimmed = tonumber(redis.call('GET', KEYS[2]) or -1e15)
local HIGH = 1000000

local function whole(number) return string.format('%.0f', number) end

-- The buckets that this call has touched, by level and first second.
local touched = {}
for level = 1, levels do touched[level] = {} end

local function bucket(level, start)
    local found = touched[level][start]
    if found then return found end
    local member = redis.call('ZRANGEBYSCORE', KEYS[level + 2], start, start)[1]
    found = { stored = member, count = 0, slots = 0, high = 0, low = 0 }
    if member then
        local field = {}
        for text in string.gmatch(member, '[^:]+') do field[#field + 1] = tonumber(text) end
        found = {
            stored = member, count = field[2], slots = field[3], high = field[4], low = field[5],
            min = field[6], max = field[7], first_at = field[8], first = field[9],
            last_at = field[10], last = field[11],
        }
    end
    touched[level][start] = found
    return found
end

local function add(into, after_start, price)
    local low = price % HIGH
    into.count = into.count + 1
    into.slots = into.slots + 1
    into.high = into.high + (price - low) / HIGH
    into.low = into.low + low
    into.min = math.min(into.min or price, price)
    into.max = math.max(into.max or price, price)
    if not into.first_at or after_start < into.first_at then
        into.first_at, into.first = after_start, price
    end
    if not into.last_at or after_start >= into.last_at then
        into.last_at, into.last = after_start, price
    end
end

local stored = 0
for at = levels + 2, #ARGV, 3 do
    local second, member, price = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2])
    local slot = second - second % slot_seconds
    local taken = second < trimmed
        or redis.call('ZCOUNT', KEYS[1], slot, '(' .. slot + slot_seconds) > 0
    if not taken then
        redis.call('ZADD', KEYS[1], second, member)
        stored = stored + 1
        for level = 1, levels do
            local start = second - second % tonumber(ARGV[level + 1])
            add(bucket(level, start), second - start, price)
        end
    end
end

for level = 1, levels do
    for start, changed in pairs(touched[level]) do
        if changed.stored then redis.call('ZREM', KEYS[level + 2], changed.stored) end
        redis.call('ZADD', KEYS[level + 2], start, table.concat({
            whole(start), whole(changed.count), whole(changed.slots), whole(changed.high),
            whole(changed.low), whole(changed.min), whole(changed.max), whole(changed.first_at),
            whole(changed.first), whole(changed.last_at), whole(changed.last),
        }, ':'))
    end
end
return stored
