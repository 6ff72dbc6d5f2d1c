-- Makes the gaps between the samples of a stretch anew.
-- KEYS[1]: prices (ZSET); KEYS[2]: the gaps (ZSET)
-- ARGV[1], ARGV[2]: first second of the stretch, first second after it; ARGV[3]: seconds a slot
local PRICES, GAPS, slot_seconds = KEYS[1], KEYS[2], tonumber(ARGV[3])

local function whole(number) return string.format('%.0f', number) end

local function slot_of(score)
    local second = math.floor(tonumber(score))
    return second - second % slot_seconds
end

local last = redis.call('ZREVRANGEBYSCORE', PRICES, '(' .. ARGV[1], '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
local inside = redis.call('ZRANGEBYSCORE', PRICES, ARGV[1], '(' .. ARGV[2], 'WITHSCORES')
local next = redis.call('ZRANGEBYSCORE', PRICES, ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
local scores = {}
-- An infinite score, put there by hand, is of no time.
local function add(score)
    if score and math.abs(tonumber(score)) < math.huge then scores[#scores + 1] = score end
end
add(last[2])
for at = 2, #inside, 2 do add(inside[at]) end
add(next[2])
if #scores > 0 then
    -- After the last sample of all there is no gap yet: its end is not known.
    local has_next = scores[#scores] == next[2]
    local beyond = has_next and '(' .. whole(slot_of(next[2])) or '+inf'
    redis.call('ZREMRANGEBYSCORE', GAPS, slot_of(scores[1]), beyond)
end
for at = 2, #scores do
    local from, until_ = slot_of(scores[at - 1]) + slot_seconds, slot_of(scores[at])
    if from < until_ then
        redis.call('ZADD', GAPS, from, whole(from) .. ':' .. whole(until_))
    end
end
