-- For scripts that write nodes: it stands before them. How a node is written stands in node.rs.
local SUM, EXTREMES = 14, 44 -- the bytes of a sum, of a bucket's extremes

-- What is known of all nodes: when they last changed, in microseconds; that they lie in the seconds
-- [first, last); that samples before the second `trimmed` have been trimmed.
local function read_frame(rollups)
    local text = redis.call('HGET', rollups, 'frame') or ''
    local changed, first, last, trimmed =
        string.match(text, '^(%d+):(-?%d+):(-?%d+):(-?%d+)$')
    return { changed = tonumber(changed) or 0, first = tonumber(first) or 1e15,
        last = tonumber(last) or -1e15, trimmed = tonumber(trimmed) or -1e15 }
end

-- Notes that, and that nodes have changed by now. No two changes have the same time, whatever the
-- clock does.
local function write_frame(rollups, frame)
    local now = redis.call('TIME')
    local changed = math.max(now[1] * 1000000 + now[2], frame.changed + 1)
    redis.call('HSET', rollups, 'frame', string.format('%.0f:%.0f:%.0f:%.0f', changed,
        frame.first, frame.last, frame.trimmed))
end

-- Takes in that there are nodes in the seconds [first, last).
local function widen(frame, first, last)
    frame.first, frame.last = math.min(frame.first, first), math.max(frame.last, last)
end

