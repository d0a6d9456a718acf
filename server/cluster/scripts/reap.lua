-- Takes away some of what a seat has, and returns how much that was: 0 once there is nothing left.
-- ARGV[5] seat, [6] how much. Whoever has the seat finds out that it has none.
local seat = ARGV[5]
redis.call('HDEL', seats, seat)
local mine = T .. ':dh:' .. seat
local tells = redis.call('HGETALL', mine)
for i = 1, #tells, 2 do tellAgain(tells[i], tells[i + 1]) end
redis.call('DEL', mine)
local items = redis.call('ZPOPMIN', index(seat), ARGV[6])
for i = 1, #items, 2 do
  local app, at = cut(items[i], 1)
  local room, at2 = cut(items[i], at)
  if at2 > #items[i] then count(seat, {}, app, room, 0, 'a', 0)
  else remove(seat, {}, app, room, (cut(items[i], at2)), 'a', 0) end
end
endRooms()
endLog()
return #items / 2
