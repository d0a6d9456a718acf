-- One node cleans up behind a lease that is over; another one when that has not come to an end.
-- KEYS as for beat; ARGV[1] the lease that is over, [2] lease of who asks, [3] milliseconds it may take.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) > now then return 0 end
local by = redis.call('HGET', KEYS[3], ARGV[1])
if by then
  local at = string.find(by, ' ', 1, true)
  if tonumber(string.sub(by, at + 1)) > now then return 0 end
elseif not score then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2] .. ' ' .. string.format('%.0f', now + ARGV[3]))
return 1
