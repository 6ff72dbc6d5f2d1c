-- Records samples, each unless its slot has one or was trimmed, and brings rollups and ledger up
-- to date.
-- KEYS[1]: prices (ZSET); KEYS[2]: the rollups (HASH); KEYS[3]: the gaps (ZSET); then the slots
-- missed for each reason (ZSETs)
-- ARGV[1]: seconds a slot; ARGV[2]: how many levels; then the names of the levels, finest first;
--   then the seconds that each keeps sums for; then the seconds a bucket of each, and a node of the
--   last; then what the keys of provenances, and of sources, begin with;
--   then of each sample: its unix second, its member, its price in 1/10000 peso, where the price
--   came from (`<sources>:<ask>:<bid>`, or nothing)
-- Returns how many were stored.
--
-- Every number here is a whole one below 2^53, which doubles hold and add exactly: a sum is
-- kept in two parts, sum = high * 10^8 + low.
local PRICES, ROLLUPS, GAPS = KEYS[1], KEYS[2], KEYS[3]
local slot_seconds, levels = tonumber(ARGV[1]), tonumber(ARGV[2])
local frame = read_frame(ROLLUPS)
local HIGH = 100000000
local SUM_FORMAT, EXTREMES_FORMAT = '<I6I4I4', '<i8i8i8i8I4I4I4'
local at_quotes = 3 * levels + 4
local QUOTES, SOURCE, QUOTES_SECONDS = ARGV[at_quotes], ARGV[at_quotes + 1], 1000

local function whole(number) return string.format('%.0f', number) end

-- The reasons that any slot was missed for.
local reasons = {}
for at = 4, #KEYS do
    if redis.call('EXISTS', KEYS[at]) == 1 then reasons[#reasons + 1] = KEYS[at] end
end

-- The seconds of a sum, a bucket and a node of each level; the nodes that this call has touched, by
-- level and first second, each with its touched sums and extremes by their place in it.
local sum_lengths, lengths, touched = {}, {}, {}
for level = 1, levels + 1 do
    sum_lengths[level], lengths[level] = tonumber(ARGV[levels + level + 2]),
        tonumber(ARGV[2 * levels + level + 2])
    touched[level] = {}
end

-- A text of that size: the one given, or zeros.
local function sized(text, size)
    return text and #text == size and text or string.rep('\0', size)
end

local function node(level, start)
    local found = touched[level][start]
    if found then return found end
    local field = ARGV[level + 2] .. ':' .. whole(start)
    local texts = redis.call('HMGET', ROLLUPS, field, field .. ':extremes')
    local length = lengths[level + 1]
    if level == levels then widen(frame, start, start + length) end
    found = { field = field, sums = {}, extremes = {},
        sums_text = sized(texts[1], length / sum_lengths[level] * SUM),
        extremes_text = sized(texts[2], length / lengths[level] * EXTREMES) }
    touched[level][start] = found
    return found
end

-- The sum of a node that a second lies in, so many seconds after the node's first.
local function sum(node, level, after_start)
    local place = math.floor(after_start / sum_lengths[level])
    local found = node.sums[place]
    if not found then
        found = {}
        found.high, found.low, found.count =
            struct.unpack(SUM_FORMAT, node.sums_text, place * SUM + 1)
        node.sums[place] = found
    end
    return found
end

local function extremes(node, level, second, after_start)
    local place = math.floor(after_start / lengths[level])
    local found = node.extremes[place]
    if not found then
        local start = second - second % lengths[level]
        found = { start = start }
        found.min, found.max, found.first, found.last, found.first_at, found.last_at, found.slots =
            struct.unpack(EXTREMES_FORMAT, node.extremes_text, place * EXTREMES + 1)
        found.first_at, found.last_at = found.first_at + start, found.last_at + start
        node.extremes[place] = found
    end
    return found
end

-- What a sample comes to.
local function summary(second, price)
    local low = price % HIGH
    return { count = 1, slots = 1, high = (price - low) / HIGH, low = low, min = price,
        max = price, first = price, last = price, first_at = second, last_at = second }
end

local function add_sum(into, other)
    local low = into.low + other.low
    into.count = into.count + other.count
    into.low = low % HIGH
    into.high = into.high + other.high + (low - into.low) / HIGH
end

local function add_extremes(into, other)
    local empty = into.slots == 0
    into.slots = into.slots + other.slots
    if empty or other.min < into.min then into.min = other.min end
    if empty or other.max > into.max then into.max = other.max end
    if empty or other.first_at < into.first_at then
        into.first_at, into.first = other.first_at, other.first
    end
    if empty or other.last_at >= into.last_at then
        into.last_at, into.last = other.last_at, other.last
    end
end

-- What the samples come to that this call records, by the first second that the finest sum is for.
local recorded = {}

-- The slot of the sample that a range query found, or nil.
local function slot_of(found)
    local second = math.floor(tonumber(found[2] or 'inf'))
    if math.abs(second) == math.huge then return nil end -- none, or one of no time
    return second - second % slot_seconds
end

local function add_gap(from, until_)
    if from < until_ then
        redis.call('ZADD', GAPS, from, whole(from) .. ':' .. whole(until_))
    end
end

-- Of a gap that begins at trimmed samples and that a slot lies in, leaves what is before the slot.
local function split_gap(slot)
    local gap = redis.call('ZREVRANGEBYSCORE', GAPS, slot, '-inf', 'LIMIT', 0, 1)[1]
    local from, until_ = string.match(gap or '', '^(-?%d+):(-?%d+)$')
    if until_ and tonumber(until_) > slot then
        redis.call('ZREM', GAPS, gap)
        add_gap(tonumber(from), slot)
    end
end

-- The recorded slots next to the one at hand, and that it has none itself. Kept from one sample to
-- the next, since those of an import come in order.
local before, after, known

-- What is recorded but not in PRICES yet, each member after its score: many at once go in sooner.
local pending, MOST_PENDING = {}, 1000

local function store_pending()
    if #pending > 0 then redis.call('ZADD', PRICES, unpack(pending)) end
    pending = {}
end

local function is_free(slot)
    if known and slot > before and (not after or slot < after) then return true end
    store_pending()
    known = false
    local last = slot_of(redis.call('ZREVRANGEBYSCORE', PRICES, '(' .. whole(slot + slot_seconds),
        '-inf', 'WITHSCORES', 'LIMIT', 0, 1))
    if last == slot then return false end
    before = last
    after = slot_of(redis.call('ZRANGEBYSCORE', PRICES, slot + slot_seconds, '+inf',
        'WITHSCORES', 'LIMIT', 0, 1))
    return true
end

-- The hash of provenances that was last looked for, and whether it is there.
local looked_up, has_quotes

local stored = 0
for at = at_quotes + 2, #ARGV, 4 do
    local second, member, price = tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 2])
    local provenance = ARGV[at + 3]
    local slot = second - second % slot_seconds
    if second >= frame.trimmed and is_free(slot) then
        pending[#pending + 1], pending[#pending + 2] = ARGV[at], member
        if #pending >= MOST_PENDING then store_pending() end
        stored = stored + 1
        local quotes = second - second % QUOTES_SECONDS
        if provenance == '' and quotes ~= looked_up then
            looked_up, has_quotes = quotes, redis.call('EXISTS', QUOTES .. whole(quotes)) == 1
        end
        if provenance == '' and has_quotes then
            -- That of a sample which was taken away by hand.
            redis.call('HDEL', QUOTES .. whole(quotes), whole(second))
        elseif provenance ~= '' then
            looked_up = nil
            redis.call('HSET', QUOTES .. whole(quotes), whole(second), provenance)
            for name in string.gmatch(string.match(provenance, '^[^:]*'), '[^+]+') do
                redis.call('HINCRBY', SOURCE .. name, 'samples', 1)
            end
        end
        local start, new = second - second % sum_lengths[1], summary(second, price)
        if recorded[start] then
            add_sum(recorded[start], new)
            add_extremes(recorded[start], new)
        else
            recorded[start] = new
        end
        if before and after then
            redis.call('ZREMRANGEBYSCORE', GAPS, before + slot_seconds, '(' .. whole(after))
        end
        if before and not after and not known then
            -- Left behind where the newest samples were taken away by hand.
            redis.call('ZREMRANGEBYSCORE', GAPS, before + slot_seconds, '+inf')
        end
        if before then add_gap(before + slot_seconds, slot) end
        if after and not before then split_gap(slot) end
        if after then add_gap(slot + slot_seconds, after) end
        for _, reason in ipairs(reasons) do redis.call('ZREM', reason, whole(slot)) end
        before, known = slot, true
    end
end

store_pending()

-- The text with other bytes after its first ones.
local function replaced(text, after, bytes)
    return string.sub(text, 1, after) .. bytes .. string.sub(text, after + #bytes + 1)
end

for start, new in pairs(recorded) do
    for level = 1, levels do
        local after_start = start % lengths[level + 1]
        local node = node(level, start - after_start)
        add_sum(sum(node, level, after_start), new)
        add_extremes(extremes(node, level, start, after_start), new)
    end
end
for level = 1, levels do
    for _, changed in pairs(touched[level]) do
        local sums, extremes = changed.sums_text, changed.extremes_text
        for place, it in pairs(changed.sums) do
            sums = replaced(sums, place * SUM, struct.pack(SUM_FORMAT, it.high, it.low, it.count))
        end
        for place, it in pairs(changed.extremes) do
            extremes = replaced(extremes, place * EXTREMES,
                struct.pack(EXTREMES_FORMAT, it.min, it.max, it.first, it.last,
                    it.first_at - it.start, it.last_at - it.start, it.slots))
        end
        redis.call('HSET', ROLLUPS, changed.field, sums, changed.field .. ':extremes', extremes)
    end
end
if stored > 0 then write_frame(ROLLUPS, frame) end
return stored
