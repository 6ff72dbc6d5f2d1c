-- For scripts that write nodes: it stands before them. How a node is written stands in node.rs.
local SUM, EXTREMES = 14, 44 -- the bytes of a sum, of a bucket's extremes

-- Notes that there are nodes in the seconds [first, last).
local function widen(rollups, first, last)
    local known = redis.call('HMGET', rollups, 'first', 'last')
    if first < tonumber(known[1] or 1e15) then
        redis.call('HSET', rollups, 'first', string.format('%.0f', first))
    end
    if last > tonumber(known[2] or -1e15) then
        redis.call('HSET', rollups, 'last', string.format('%.0f', last))
    end
end

