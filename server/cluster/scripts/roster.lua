-- Behind log.lua: who is in the rooms of a partition. A seat is a node, under one lease, since it
-- came to this engine; whatever it has is noted under its seat, and the sums are computed.
--
--   T:da           hash: a seat, and the number and verdicts of its last batch
--   T:dr:APP\0ROOM hash: a seat, and how many connections it has in the room
--   T:dm:APP\0ROOM hash: a user, and "seat seat ...\0info"
--   T:di:SEAT      sorted set: what the seat has, so that it can be taken away; users first
--   T:dz:APP       sorted set: rooms that somebody is in, by name
--   T:dc:APP\0ROOM the last event of a room, as a frame
--   T:dt:APP\0ROOM hash: what the applications were told of the room (r) and of users (u and the
--                  id): "1" that it is there; with p in front while somebody tells them, with a when
--                  that one is gone and somebody has to tell them again
--   T:dq           sorted set: of what they may have to be told something, by when
--   T:dh:SEAT      hash: what the seat tells them
local DAY = 86400
local seats, due = T .. ':da', T .. ':dq'
local function keyOf(letter, app, room) return T .. ':d' .. letter .. ':' .. app .. '\0' .. room end
local function index(seat) return T .. ':di:' .. seat end
local function keep(key) redis.call('EXPIRE', key, DAY) end
local function cut(text, at)
  local colon = string.find(text, ':', at, true)
  local size = tonumber(string.sub(text, at, colon - 1))
  return string.sub(text, colon + 1, colon + size), colon + size + 1
end
local function total(app, room)
  local sum = 0
  for _, v in ipairs(redis.call('HVALS', keyOf('r', app, room))) do sum = sum + tonumber(v) end
  return sum
end
local function there(app, room, user)
  if user == '' then return total(app, room) > 0 end
  return redis.call('HEXISTS', keyOf('m', app, room), user) == 1
end
local function toldField(user) return user == '' and 'r' or 'u' .. user end

-- How the applications come to know: 't' if somebody wants them to, 's' if they know already, '' if
-- nobody wants it, and 'a' if that is to be found out.
local function look(app, room, user, how, hold, is)
  local key = keyOf('t', app, room)
  local item = net(app) .. net(room) .. net(user)
  if how == 'a' then
    if redis.call('HEXISTS', key, toldField(user)) == 0 and not redis.call('ZSCORE', due, item) then return end
  elseif how == 's' then
    if is then
      redis.call('HSETNX', key, toldField(user), '1')
      keep(key)
    end
    return
  elseif how ~= 't' then return end
  -- Whoever goes does so before the room does.
  local last = (user == '' and not is) and 0.5 or 0
  redis.call('ZADD', due, string.format('%.1f', now + hold + last), item)
  keep(due)
end

-- Says that a seat has so many connections in a room; old is a seat that it takes the place of.
local function count(seat, old, app, room, connections, how, hold)
  local key = keyOf('r', app, room)
  local before = total(app, room)
  local item = net(app) .. net(room)
  if connections > 0 then
    redis.call('HSET', key, seat, num(connections))
    keep(key)
    redis.call('ZADD', index(seat), 1, item)
    keep(index(seat))
  elseif redis.call('HDEL', key, seat) == 1 then
    redis.call('ZREM', index(seat), item)
  end
  if old ~= '' then redis.call('HDEL', key, old) end
  local after = total(app, room)
  local rooms = T .. ':dz:' .. app
  if after > 0 then
    -- At each change, for the one that has been forgotten.
    redis.call('ZADD', rooms, 0, room)
    keep(rooms)
  end
  if before == 0 and after > 0 then
    if how ~= 's' then say(app, room, 'O' .. net(app) .. net(room)) end
    look(app, room, '', how, 0, true)
  elseif after > 0 and how == 's' then
    look(app, room, '', how, 0, true)
  elseif before > 0 and after == 0 then
    redis.call('ZREM', rooms, room)
    say(app, room, 'V' .. net(app) .. net(room))
    look(app, room, '', how, hold, false)
  end
end

local function without(list, seat)
  local rest, found = {}, false
  for s in string.gmatch(list, '[^ ]+') do
    if s == seat then found = true else rest[#rest + 1] = s end
  end
  return table.concat(rest, ' '), found
end

-- Makes a user of a seat a member.
local function add(seat, old, app, room, user, info, socket, how)
  local key = keyOf('m', app, room)
  local is = redis.call('HGET', key, user)
  if not is then
    redis.call('HSET', key, user, seat .. '\0' .. info)
    say(app, room, 'C' .. net(app) .. net(room) .. net(user) .. net(info) .. net(socket))
    look(app, room, user, how, 0, true)
  else
    local at = string.find(is, '\0', 1, true)
    local list, had = string.sub(is, 1, at - 1), false
    if old ~= '' then list = without(list, old) end
    list = without(list, seat)
    redis.call('HSET', key, user, (list == '' and seat or list .. ' ' .. seat) .. string.sub(is, at))
    if how == 's' then look(app, room, user, how, 0, true) end
  end
  keep(key)
  redis.call('ZADD', index(seat), 0, net(app) .. net(room) .. net(user))
  keep(index(seat))
end

-- Takes a user away from a seat.
local function remove(seat, app, room, user, how, hold)
  redis.call('ZREM', index(seat), net(app) .. net(room) .. net(user))
  local key = keyOf('m', app, room)
  local is = redis.call('HGET', key, user)
  if not is then return end
  local at = string.find(is, '\0', 1, true)
  local list, found = without(string.sub(is, 1, at - 1), seat)
  if not found then return end
  if list ~= '' then
    redis.call('HSET', key, user, list .. string.sub(is, at))
    return
  end
  redis.call('HDEL', key, user)
  say(app, room, 'W' .. net(app) .. net(room) .. net(user))
  look(app, room, user, how, hold, false)
end
