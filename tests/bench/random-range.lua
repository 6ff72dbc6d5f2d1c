-- wrk: asks for the average of a random range each time. Arguments: first and last second.
-- The requests are written before, so that what is measured is not how wrk writes them; they are
-- more than are asked in a few seconds, so that none finds anything warm.
local REQUESTS = 100000
local requests, at = {}, 0

function init(args)
    local first, last = tonumber(args[1]), tonumber(args[2])
    math.randomseed(42)
    for n = 1, REQUESTS do
        local one, other = math.random(first, last), math.random(first, last)
        local since, until_ = math.min(one, other), math.max(one, other)
        requests[n] =
            wrk.format('GET', '/api/average-price/?since=' .. since .. '&until=' .. until_)
    end
end

function request()
    at = at % REQUESTS + 1
    return requests[at]
end
