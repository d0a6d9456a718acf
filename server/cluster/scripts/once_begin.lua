-- Behind the prelude. Says what was taken of the messages of a source in this partition, and before that
-- makes a node the one that takes them, unless another one is with a later token.
-- T:o:SOURCE has the token (t), how many were taken (n) and what names that count (i); T:O:SOURCE what was
-- taken last: 8 bytes that stand for it, and 8 for when, in microseconds.
-- ARGV[4] source, [5] token, 0 for who only looks, [6] a fresh name, [7] and [8] the name and the count that
-- the caller knows, [9] how many of the last it wants.
local o, l = T .. ':o:' .. ARGV[4], T .. ':O:' .. ARGV[4]
local m = redis.call('HMGET', o, 't', 'n', 'i')
local n, name = tonumber(m[2] or 0), m[3]
if ARGV[5] ~= '0' then
  if tonumber(m[1] or 0) > tonumber(ARGV[5]) then return {'fenced', m[1]} end
  -- An engine that knows less than a node was told has a count of its own from here on.
  if not name or name == ARGV[7] and n < tonumber(ARGV[8]) then
    if not name then redis.call('DEL', l) end
    name = ARGV[6]
  end
  redis.call('HSET', o, 't', ARGV[5], 'n', num(n), 'i', name)
end
redis.call('EXPIRE', o, 86400)
redis.call('EXPIRE', l, 86400)
local t = redis.call('TIME')
return {'ok', name or '', num(n), num(t[1] * 1000000 + t[2]), redis.call('LRANGE', l, -ARGV[9], -1)}
