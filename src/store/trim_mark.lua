-- Notes up to where samples are trimmed; the mark only moves forward.
-- KEYS[1]: the rollups (HASH)
-- ARGV[1]: the second before which they are to be
-- Returns 1 if it moved, else 0.
local frame = read_frame(KEYS[1])
if tonumber(ARGV[1]) <= frame.trimmed then return 0 end
frame.trimmed = tonumber(ARGV[1])
write_frame(KEYS[1], frame)
return 1
