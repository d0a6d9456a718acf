-- Says whether a node that has had the log up to a place misses more than is kept of it for nodes that are cut off, as
-- resume.lua is going to. It changes nothing. KEYS[1] state of a partition. ARGV[1] T, [2] epoch and [3] number of the place.
local m = redis.call('HMGET', KEYS[1], 'e', 'n', 'o', 'y')
if not m[1] then return 0 end -- what was before nobody knows
local n, last, missing = tonumber(m[2] or 0), tonumber(ARGV[3]), -1
if ARGV[2] == m[1] then missing = n - last
elseif ARGV[2] == m[3] then missing = n + math.max(0, tonumber(m[4] or 0) - last) end
if missing < 0 or missing > redis.call('LLEN', ARGV[1] .. ':l') then return 1 end
return 0
