-- wrk: asks for the average of a random range each time. Arguments: first and last second.
local first, last

function init(args)
    first, last = tonumber(args[1]), tonumber(args[2])
    math.randomseed(42)
end

function request()
    local one, other = math.random(first, last), math.random(first, last)
    local since, until_ = math.min(one, other), math.max(one, other)
    return wrk.format('GET', '/api/average-price/?since=' .. since .. '&until=' .. until_)
end
