-- A page of the rooms that somebody is in, by name: in turns a name, connections and members.
-- KEYS[1] state of a partition. ARGV[1] T, [2] app, [3] where the page begins, as ZRANGEBYLEX has it, [4] what
-- names begin with, [5] how many.
local answer = {}
for _, room in ipairs(redis.call('ZRANGEBYLEX', ARGV[1] .. ':dz:' .. ARGV[2], ARGV[3], '+', 'LIMIT', 0, ARGV[5])) do
  if string.sub(room, 1, #ARGV[4]) ~= ARGV[4] then break end
  local where, sum = ARGV[2] .. '\0' .. room, 0
  for _, v in ipairs(redis.call('HVALS', ARGV[1] .. ':dr:' .. where)) do sum = sum + tonumber(v) end
  answer[#answer + 1] = room
  answer[#answer + 1] = tostring(sum)
  answer[#answer + 1] = tostring(redis.call('HLEN', ARGV[1] .. ':dm:' .. where))
end
return answer
