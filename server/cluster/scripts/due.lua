-- Takes some of what the applications have to be told now.
-- ARGV[5] seat, [6] how many, [7] how many of one app, [8] how many the node knows that it took before
-- and is not done with, then the apps that it can tell of, each with how many more. Where the seat has
-- more, an answer was lost, and all are in this one.
-- Returns whether the seat is there, milliseconds until there may be more of these apps or -1, and
-- then in turns an item and 1 for there or 0.
local seat, most, each, may = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), {}
if redis.call('HEXISTS', seats, seat) == 0 then return {'gone', -1} end
for i = 9, #ARGV, 2 do may[ARGV[i]] = tonumber(ARGV[i + 1]) end
local answer, mine = {'ok', -1}, T .. ':dh:' .. seat
local had = {}
if redis.call('HLEN', mine) > tonumber(ARGV[8]) then had = redis.call('HGETALL', mine) end

local function take(app, item)
  local _, at = cut(item, 1)
  local room, at2 = cut(item, at)
  local user = cut(item, at2)
  local key, field = keyOf('t', app, room), toldField(user)
  local told = redis.call('HGET', key, field) or '0'
  local first = string.sub(told, 1, 1)
  local tell = there(app, room, user) and '1' or '0'
  if first == 'a' then tell = string.sub(told, 2) end
  redis.call('ZREM', dueOf(app), item)
  -- While somebody tells them something else, that one looks once more when it has done so.
  if first ~= 'p' and tell ~= told then
    redis.call('HSET', key, field, 'p' .. tell)
    keep(key)
    redis.call('HSET', mine, item, tell)
    keep(mine)
    answer[#answer + 1] = item
    answer[#answer + 1] = tell
  end
end

local wait = -1
local function later(at)
  local left = math.max(0, math.ceil(at - now))
  if wait < 0 or left < wait then wait = left end
end
-- The app of what is due longest comes first, and none takes the others' share.
local apps = redis.call('ZRANGE', due, 0, -1, 'WITHSCORES')
for i = 1, #apps, 2 do
  local app, at = apps[i], tonumber(apps[i + 1])
  local room = math.min(may[app] or 0, each, most)
  if at <= now and room > 0 then
    local list = redis.call('ZRANGEBYSCORE', dueOf(app), '-inf', num(now), 'LIMIT', 0, room)
    for _, item in ipairs(list) do take(app, item) end
    most = most - #list
    local first = redis.call('ZRANGE', dueOf(app), 0, 0, 'WITHSCORES')
    if first[2] then
      redis.call('ZADD', due, first[2], app)
      if may[app] > #list then later(tonumber(first[2])) end
    else
      redis.call('ZREM', due, app)
    end
  elseif may[app] then
    later(at)
  end
end
answer[2] = wait
for i = 1, #had do answer[#answer + 1] = had[i] end
return answer
