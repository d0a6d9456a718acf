-- Frees some ids of a node that is given up, or leaves, and returns how many it may have yet. One that is
-- there nevertheless finds that the engine knows nothing of it, and asks for its ids again.
-- KEYS[1] state of the partition. ARGV[1] T, [2] node, [3] most ids.
local T, node = ARGV[1], ARGV[2]
redis.call('DEL', T .. ':L:' .. node)
for _, what in ipairs(redis.call('SPOP', T .. ':H:' .. node, ARGV[3])) do
  local key = T .. ':h:' .. what
  if string.match(redis.call('GET', key) or '', '^%S+') == node then redis.call('DEL', key) end
end
return redis.call('SCARD', T .. ':H:' .. node)
