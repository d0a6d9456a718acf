-- Takes some of what the applications have to be told now.
-- ARGV[5] seat, [6] how many, [7] how many the node knows that it took before and is not done with, then
-- the apps that it can tell of, each with how many more. Where the seat has more, an answer was lost, and
-- all are in this one.
-- Returns whether the seat is there, milliseconds until there may be more or -1, what time it is in microseconds,
-- and then in turns an item and 1 for there or 0.
local seat, most = ARGV[5], tonumber(ARGV[6])
if redis.call('HEXISTS', seats, seat) == 0 then return {'gone', -1, '0'} end
local answer, mine = {'ok', -1, clock[1] .. string.format('%06d', clock[2])}, T .. ':dh:' .. seat
local had = {}
if redis.call('HLEN', mine) > tonumber(ARGV[7]) then had = redis.call('HGETALL', mine) end
local taken, more, soon = 0, false, nil
local begins = early()
local function take(app, item)
  local _, at = cut(item, 1)
  local room, at2 = cut(item, at)
  local user = cut(item, at2)
  local key, field = keyOf('t', app, room), toldField(user)
  local told = redis.call('HGET', key, field) or '0'
  local first = string.sub(told, 1, 1)
  local tell = there(app, room, user) and '1' or '0'
  if first == 'a' then tell = string.sub(told, 2) end
  redis.call('ZREM', dueKey(app), item)
  -- While somebody tells them something else, that one looks once more when it has done so.
  if first == 'p' or tell == told then return 0 end
  redis.call('HSET', key, field, 'p' .. tell)
  keep(key)
  redis.call('HSET', mine, item, tell)
  keep(mine)
  if begins then mark(item, 'n ' .. nodeOf(seat)) end
  answer[#answer + 1] = item
  answer[#answer + 1] = tell
  return 1
end
for i = 8, #ARGV, 2 do
  local app, room, key = ARGV[i], tonumber(ARGV[i + 1]), dueKey(ARGV[i])
  if taken < most then
    local list = redis.call('ZRANGEBYSCORE', key, '-inf', num(now), 'LIMIT', 0, math.min(room, most - taken))
    taken = taken + #list
    for _, item in ipairs(list) do room = room - take(app, item) end
  end
  -- Of an app that has no place left the node asks again when it has.
  local next = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if next[2] and room > 0 then
    local wait = math.ceil(tonumber(next[2]) - now)
    if wait <= 0 then more = true else soon = math.min(soon or wait, wait) end
  end
end
if more then answer[2] = 0 elseif soon then answer[2] = soon end
for i = 1, #had, 2 do
  local app, at = cut(had[i], 1)
  local room, at2 = cut(had[i], at)
  if tells(keyOf('t', app, room), toldField((cut(had[i], at2))), had[i + 1]) then
    answer[#answer + 1] = had[i]
    answer[#answer + 1] = had[i + 1]
  else redis.call('HDEL', mine, had[i]) end
end
return answer
