-- Records samples, each unless its slot has one or was trimmed, and brings rollups and ledger up
-- to date.
-- KEYS[1]: prices (ZSET); KEYS[2]: the second before which samples were trimmed (STRING);
-- KEYS[3]: the gaps (ZSET); then the levels of the rollups (ZSETs), finest first; then the slots
-- missed for each reason (ZSETs)
-- ARGV[1]: seconds a slot; ARGV[2]: how many levels; then the seconds a bucket of each level;
--   then what the keys of provenances, and of sources, begin with;
--   then of each sample: its unix second, its member, its price in 1/10000 peso, where the price
--   came from (`<sources>:<ask>:<bid>`, or nothing)
-- Returns how many were stored.
--
-- Every number here is a whole one below 2^53, which doubles hold and add exactly: a sum is
-- kept in two parts, sum = high * 10^6 + low.
local PRICES, GAPS = KEYS[1], KEYS[3]
local slot_seconds, levels = tonumber(ARGV[1]), tonumber(ARGV[2])
local trimmed = tonumber(redis.call('GET', KEYS[2]) or -1e15)
local HIGH = 1000000
local QUOTES, SOURCE, QUOTES_SECONDS = ARGV[levels + 3], ARGV[levels + 4], 1000

local function whole(number) return string.format('%.0f', number) end

-- The reasons that any slot was missed for.
local reasons = {}
for at = levels + 4, #KEYS do
    if redis.call('EXISTS', KEYS[at]) == 1 then reasons[#reasons + 1] = KEYS[at] end
end

-- The buckets that this call has touched, by level and first second.
local touched = {}
for level = 1, levels do touched[level] = {} end

local function bucket(level, start)
    local found = touched[level][start]
    if found then return found end
    local member = redis.call('ZRANGEBYSCORE', KEYS[level + 3], start, start)[1]
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

-- The slot of the sample that a range query found, or nil.
local function slot_of(found)
    if not found[2] then return nil end
    local second = math.floor(tonumber(found[2]))
    return second - second % slot_seconds
end

local function add_gap(from, until_)
    if from < until_ then
        redis.call('ZADD', GAPS, from, whole(from) .. ':' .. whole(until_))
    end
end

-- The recorded slots next to the one at hand, and that it has none itself. Kept from one sample to
-- the next, since those of an import come in order.
local before, after, known

local function is_free(slot)
    if known and slot > before and (not after or slot < after) then return true end
    local last = slot_of(redis.call('ZREVRANGEBYSCORE', PRICES, '(' .. whole(slot + slot_seconds),
        '-inf', 'WITHSCORES', 'LIMIT', 0, 1))
    if last == slot then return false end
    before = last
    after = slot_of(redis.call('ZRANGEBYSCORE', PRICES, slot + slot_seconds, '+inf',
        'WITHSCORES', 'LIMIT', 0, 1))
    return true
end

local stored = 0
for at = levels + 5, #ARGV, 4 do
    local second, member, price = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2])
    local provenance = ARGV[at + 3]
    local slot = second - second % slot_seconds
    if second >= trimmed and is_free(slot) then
        redis.call('ZADD', PRICES, second, member)
        stored = stored + 1
        if provenance ~= '' then
            local start = second - second % QUOTES_SECONDS
            redis.call('HSET', QUOTES .. whole(start), whole(second), provenance)
            for name in string.gmatch(string.match(provenance, '^[^:]*'), '[^+]+') do
                redis.call('HINCRBY', SOURCE .. name, 'samples', 1)
            end
        end
        for level = 1, levels do
            local start = second - second % tonumber(ARGV[level + 2])
            add(bucket(level, start), second - start, price)
        end
        if before and after then
            redis.call('ZREMRANGEBYSCORE', GAPS, before + slot_seconds, '(' .. whole(after))
        end
        if before and not after and not known then
            -- Left behind where the newest samples were taken away by hand.
            redis.call('ZREMRANGEBYSCORE', GAPS, before + slot_seconds, '+inf')
        end
        if before then add_gap(before + slot_seconds, slot) end
        if after then add_gap(slot + slot_seconds, after) end
        for _, reason in ipairs(reasons) do redis.call('ZREM', reason, whole(slot)) end
        before, known = slot, true
    end
end

for level = 1, levels do
    for start, changed in pairs(touched[level]) do
        if changed.stored then redis.call('ZREM', KEYS[level + 3], changed.stored) end
        redis.call('ZADD', KEYS[level + 3], start, table.concat({
            whole(start), whole(changed.count), whole(changed.slots), whole(changed.high),
            whole(changed.low), whole(changed.min), whole(changed.max), whole(changed.first_at),
            whole(changed.first), whole(changed.last_at), whole(changed.last),
        }, ':'))
    end
end
return stored
