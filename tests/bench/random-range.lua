-- A script of wrk: each request is for the average of a random range. Arguments: the first and the last
-- second; any third argument means that the requests are for VictoriaMetrics.
-- The requests are built before the measurement, so that it does not include the time for that. There are
-- more of them than wrk sends in a few seconds, so that few ranges are requested twice.
local REQUESTS = 200000
local requests, at = {}, 0

local function path(since, until_, victoria)
    if victoria then
        -- %5B and %5D are brackets.
        local query = 'avg_over_time(price%5B' .. (until_ - since + 1) .. 's%5D)'
        return '/api/v1/query?query=' .. query .. '&time=' .. until_
    end
    return '/api/average-price/?since=' .. since .. '&until=' .. until_
end

function init(args)
    local first, last = tonumber(args[1]), tonumber(args[2])
    math.randomseed(42)
    for n = 1, REQUESTS do
        local one, other = math.random(first, last), math.random(first, last)
        local since, until_ = math.min(one, other), math.max(one, other)
        requests[n] = wrk.format('GET', path(since, until_, args[3]))
    end
end

function request()
    at = at % REQUESTS + 1
    return requests[at]
end
