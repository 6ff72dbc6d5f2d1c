-- Executes commands once, even if this script is sent several times.
-- KEYS[1]: {prices}:done:<token>; KEYS[2..]: the keys of the commands
-- ARGV: for each command the number of its words, followed by the words
-- Returns 1 if the commands were executed, 0 if they had been executed before.
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', 60) then return 0 end
local at = 1
while at <= #ARGV do
    local last = at + ARGV[at]
    redis.call(unpack(ARGV, at + 1, last))
    at = last + 1
end
return 1
