-- A node says that it lives, and learns who else does. The engine's clock decides.
-- KEYS[1] G:lease, [2] G:info, [3] G:reap, [4] G:meta. ARGV[1] lease, [2] what the node tells of itself, [3]
-- milliseconds of a lease, [4] 1 if the lease is a new one.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[4] ~= '1' and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return {'gone', {}, {}, '0'} end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[3]), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
for i = 1, #KEYS do redis.call('EXPIRE', KEYS[i], 86400) end
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local reaping = redis.call('HGETALL', KEYS[3])
for i = 1, #reaping, 2 do
  local at = string.find(reaping[i + 1], ' ', 1, true)
  if tonumber(string.sub(reaping[i + 1], at + 1)) <= now then over[#over + 1] = reaping[i] end
end
-- And how long until the next lease is over, unless that is renewed.
local first = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {'ok', redis.call('HGETALL', KEYS[2]), over, string.format('%.0f', first[2] and tonumber(first[2]) - now or ARGV[3])}
