-- What all nodes of a cluster must agree on: the first one says it. KEYS[1] G:meta; ARGV: name, value, ...
local answer = {}
for i = 1, #ARGV, 2 do
  redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1])
  answer[#answer + 1] = redis.call('HGET', KEYS[1], ARGV[i])
end
return answer
