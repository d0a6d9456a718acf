-- What all nodes of a cluster must agree on: the first one says it. KEYS[1] G:meta, [2] G:lease; ARGV: name,
-- value, ...
-- "check" is of the secret that an operator chose, "kept" of the apps whose events all nodes keep, "partitions" of
-- the engine, as far as a node is let see what that is: with no node there, others may be chosen.
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local empty = redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf') == 0
local chosen = {check = true, kept = true, partitions = true}
local answer = {}
for i = 1, #ARGV, 2 do
  local set = (empty and chosen[ARGV[i]]) and 'HSET' or 'HSETNX'
  redis.call(set, KEYS[1], ARGV[i], ARGV[i + 1])
  answer[#answer + 1] = redis.call('HGET', KEYS[1], ARGV[i])
end
return answer
