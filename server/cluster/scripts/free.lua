-- Frees some ids of a node that is given up, or leaves, and returns how many it may have yet. One that is
-- there nevertheless finds that the engine knows nothing of it, and asks for its ids again.
-- What such a one had is known for an hour yet, so that it hears who was kicked or joined elsewhere meanwhile.
-- KEYS[1] state of the partition. ARGV[1] T, [2] node, [3] most ids, [4] 1 if the node leaves.
local T, node = ARGV[1], ARGV[2]
redis.call('DEL', T .. ':L:' .. node)
for _, what in ipairs(redis.call('SPOP', T .. ':H:' .. node, ARGV[3])) do
  local key = T .. ':h:' .. what
  if string.match(redis.call('GET', key) or '', '^%S+') == node then
    if ARGV[4] == '1' then redis.call('DEL', key) else redis.call('EXPIRE', key, 3600, 'LT') end
  end
end
return redis.call('SCARD', T .. ':H:' .. node)
