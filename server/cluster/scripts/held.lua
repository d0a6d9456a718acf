-- Which ids somebody has whose node is there. ARGV[1] T, then what, see hold.lua.
-- KEYS[1] state of the partition.
local out = {}
for i = 2, #ARGV do
  local who = string.match(redis.call('GET', ARGV[1] .. ':h:' .. ARGV[i]) or '', '^%S+')
  out[#out + 1] = (who and redis.call('EXISTS', ARGV[1] .. ':L:' .. who) == 1) and 1 or 0
end
return out
