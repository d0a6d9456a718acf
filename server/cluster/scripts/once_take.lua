-- Behind the prelude, and in front of keep.lua and publish.lua, of which it is the one condition: that the caller is still
-- the node that takes the messages of a source in this partition, and that the count is as it believes.
-- ARGV[4] source, [5] token, [6] name of the count, [7] the count, [8] what stands for each that is taken, 8
-- bytes each, [9] how many of the last are kept; then ARGV[4] and what follows as publish.lua has them, for
-- those that are published.
do
  local o, l = T .. ':o:' .. ARGV[4], T .. ':O:' .. ARGV[4]
  local m = redis.call('HMGET', o, 't', 'n', 'i')
  if not m[1] or m[3] ~= ARGV[6] then return {'forgotten'} end
  if m[1] ~= ARGV[5] then return {'fenced', m[1]} end
  if m[2] ~= ARGV[7] then return {'forgotten'} end
  local t = redis.call('TIME')
  local now = t[1] * 1000000 + t[2]
  local stamp = ''
  for _ = 1, 8 do
    stamp = string.char(now % 256) .. stamp
    now = math.floor(now / 256)
  end
  for i = 1, #ARGV[8], 8 do redis.call('RPUSH', l, string.sub(ARGV[8], i, i + 7) .. stamp) end
  redis.call('LTRIM', l, -ARGV[9], -1)
  redis.call('HSET', o, 'n', num(m[2] + #ARGV[8] / 8))
  redis.call('EXPIRE', o, 86400)
  redis.call('EXPIRE', l, 86400)
  -- What is done twice is found by the count above.
  redis.call('HDEL', meta, 's:' .. ARGV[10])
end
local rest = {ARGV[1], ARGV[2], ARGV[3]}
for i = 10, #ARGV do rest[#rest + 1] = ARGV[i] end -- unpack has no room for any number
local ARGV = rest
