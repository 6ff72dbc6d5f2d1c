-- Carries out commands once, however often this is sent.
-- KEYS[1]: {prices}:done:<token>; KEYS[2..]: the keys of the commands
-- ARGV: for each command the number of its words, then the words
-- Returns 1 if they were carried out, 0 if that was done before.
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', 60) then return 0 end
local at = 1
while at <= #ARGV do
    local last = at + ARGV[at]
    redis.call(unpack(ARGV, at + 1, last))
    at = last + 1
end
return 1
