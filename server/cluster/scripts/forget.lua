-- Drops how far the publications of a node were taken that was given up, and returns 1; or 0 while it
-- may still say one of them once more: a server of a Redis Cluster may know it that the one with the
-- leases does not.
-- KEYS[1] state of a partition. ARGV[1] name of the node, [2] milliseconds after which it says nothing twice.
local taken = redis.call('HGET', KEYS[1], 's:' .. ARGV[1])
if not taken then return 1 end
local at = tonumber(string.match(taken, ' (%d+)$') or 0)
local t = redis.call('TIME')
if t[1] * 1000 + math.floor(t[2] / 1000) - at < tonumber(ARGV[2]) then return 0 end
redis.call('HDEL', KEYS[1], 's:' .. ARGV[1])
return 1
