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
--                  id): "1" that it is there, "?" nobody knows what, "w" perhaps not that it is there: they are told
--                  unless a node says first that they were; with p in front while somebody tells them, with a when
--                  that one is gone and somebody has to tell them again
--   T:dq:APP       sorted set: of what they may have to be told something, by when
--   T:dy:EPOCH     set: nodes that have told all that they have to the log of that epoch
--   T:dv:EPOCH     hash: of what the applications were told before that log, by who told them: when; n and a node once
--                  that one tells them in that log
--   T:dw:EPOCH     set: who was found to be gone that was there in the log before that one
--   T:dh:SEAT      hash: what the seat tells them
local DAY = 86400
local seats = T .. ':da'
local function keyOf(letter, app, room) return T .. ':d' .. letter .. ':' .. app .. '\0' .. room end
local function index(seat) return T .. ':di:' .. seat end
local function nodeOf(seat) return string.match(seat, '^[^.]+') end
local kept = {}
local function keep(key)
  if kept[key] then return end
  kept[key] = true
  redis.call('EXPIRE', key, DAY)
end
local function cut(text, at)
  local colon = string.find(text, ':', at, true)
  local size = tonumber(string.sub(text, at, colon - 1))
  return string.sub(text, colon + 1, colon + size), colon + size + 1
end
-- What the rooms of a script have by seats, and in all; what changes is written by endRooms.
local rooms = {}
local function roomOf(app, room)
  local where = app .. '\0' .. room
  local r = rooms[where]
  if r then return r end
  r = {app = app, room = room, sum = 0, by = {}, was = {}}
  local all = redis.call('HGETALL', keyOf('r', app, room))
  for i = 1, #all, 2 do
    local connections = tonumber(all[i + 1])
    r.by[all[i]], r.was[all[i]], r.sum = connections, connections, r.sum + connections
  end
  rooms[where] = r
  return r
end
local function total(app, room) return roomOf(app, room).sum end
local function setSeat(r, seat, connections)
  r.sum = r.sum + connections - (r.by[seat] or 0)
  r.by[seat], r.changed = connections > 0 and connections or nil, true
end
local function endRooms()
  for _, r in pairs(rooms) do
    local key, item = keyOf('r', r.app, r.room), net(r.app) .. net(r.room)
    for seat, connections in pairs(r.by) do
      if r.was[seat] ~= connections then
        redis.call('HSET', key, seat, num(connections))
        if not r.was[seat] then
          redis.call('ZADD', index(seat), 1, item)
          keep(index(seat))
        end
      end
    end
    for seat in pairs(r.was) do
      if not r.by[seat] then
        redis.call('HDEL', key, seat)
        redis.call('ZREM', index(seat), item)
      end
    end
    -- Other keys are kept by who tells of them anew.
    if r.sum > 0 and (not next(r.was) or r.anew) then
      local all = T .. ':dz:' .. r.app
      redis.call('ZADD', all, 0, r.room)
      keep(all)
      keep(key)
    elseif r.sum == 0 and next(r.was) then
      redis.call('ZREM', T .. ':dz:' .. r.app, r.room)
    end
  end
end
local function there(app, room, user)
  if user == '' then return total(app, room) > 0 end
  return redis.call('HEXISTS', keyOf('m', app, room), user) == 1
end
local function toldField(user) return user == '' and 'r' or 'u' .. user end

-- Has somebody see, at a time, whether the applications of an app are to be told of something. What
-- nobody who is there has wanted to hear for a day is dropped.
local dueApps = {}
local function dueKey(app) return T .. ':dq:' .. app end
local function put(app, item, at)
  local key = dueKey(app)
  redis.call('ZADD', key, at, item)
  if not dueApps[app] then redis.call('ZREMRANGEBYSCORE', key, '-inf', num(now - DAY * 1000)) end
  dueApps[app] = true
  keep(key)
end

-- Whether what a seat was about to tell is still its own to tell: who came back to an engine with older data
-- may have known better.
local function tells(key, field, was) return redis.call('HGET', key, field) == 'p' .. was end

-- Has somebody else tell what a seat was about to tell.
local function tellAgain(item, was)
  local app, at = cut(item, 1)
  local room, at2 = cut(item, at)
  local key, field = keyOf('t', app, room), toldField((cut(item, at2)))
  if not tells(key, field, was) then return end
  redis.call('HSET', key, field, 'a' .. was)
  keep(key)
  put(app, item, num(now))
end

-- Whether this log began beside what the engine had: after a restart with its data, and where a replica went on.
-- Then it still knows what the applications were told, which may be that somebody went whose node comes back now.
-- It may know less than they were told, as its data may be older: the nodes say so, see toldBefore.
local function has() return redis.call('HGET', meta, 'has') == e end

-- Whether a log is young: nodes still come back to it. Then it is noted what the applications are told, as
-- what a node says of before does not hold any more.
local YOUNG = 600
local marks = T .. ':dv:' .. e
local function early() return now - tonumber(redis.call('HGET', meta, 'since') or 0) * 1000 < YOUNG * 1000 end
-- Whether such a log began beside what the engine had.
local function young() return has() and early() end
local function mark(item, how)
  redis.call('HSET', marks, item, how)
  redis.call('EXPIRE', marks, 2 * YOUNG)
end

-- How the applications come to know: 't' if somebody wants them to, 's' if they know already, 'w' if who told them may
-- have been a node that has ended, as the data are older than that, or if nobody may have told them yet as the engine
-- forgot everything, '' if nobody wants it, and 'a' if that is to be found out.
local function look(app, room, user, how, hold, is)
  local key = keyOf('t', app, room)
  local item = net(app) .. net(room) .. net(user)
  if how == 'a' then
    if redis.call('HEXISTS', key, toldField(user)) == 0 and not redis.call('ZSCORE', dueKey(app), item) then return end
  elseif how == 's' or how == 'w' then
    local told = is and redis.call('HGET', key, toldField(user))
    if not is or told and not (told == 'w' and how == 's') then return end
    local marked = redis.call('HEXISTS', marks, item) == 1
    if how == 's' and not marked and not has() and early() then -- they were told, and nothing else since
      redis.call('HSET', key, toldField(user), '1')
      keep(key)
      return
    end
    if told then return end
    if how == 'w' and not marked then
      redis.call('HSET', key, toldField(user), has() and '?' or 'w')
      keep(key)
    end
  elseif how ~= 't' then return end
  -- Whoever goes does so before the room does.
  local last = (user == '' and not is) and 0.5 or 0
  put(app, item, string.format('%.1f', now + hold + last))
end

-- What is said of who goes: 'u' where the applications were never told that it came, so that nobody needs to
-- tell them, or a log that begins anew, that it went.
local function untold(app, room, user, how)
  if how == 't' and redis.call('HEXISTS', keyOf('t', app, room), toldField(user)) == 0 and not young() then return 'u' end
  return ''
end

-- Says that a seat has so many connections in a room; old are seats that it takes the place of. quiet: nobody
-- is told that the room is in use.
local function count(seat, old, app, room, connections, how, hold, quiet)
  local r = roomOf(app, room)
  local before = r.sum + (r.moved or 0)
  r.moved = nil
  setSeat(r, seat, connections)
  for _, s in ipairs(old) do setSeat(r, s, 0) end
  if before == 0 and r.sum > 0 then
    if not quiet then say(app, room, 'O' .. net(app) .. net(room)) end
    look(app, room, '', how, 0, true)
  elseif r.sum > 0 and (how == 's' or how == 'w') then
    look(app, room, '', how, 0, true)
  elseif before > 0 and r.sum == 0 then
    say(app, room, 'V' .. net(app) .. net(room) .. net('') .. net(untold(app, room, '', how)))
    look(app, room, '', how, hold, false)
  end
end

-- Takes what seats have in a room away, for a count of another one in their place that is about to come.
local function moved(app, room, old)
  local r = roomOf(app, room)
  local before = r.sum
  for _, s in ipairs(old) do setSeat(r, s, 0) end
  r.moved = before - r.sum
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
    for _, s in ipairs(old) do list = without(list, s) end
    list = without(list, seat)
    redis.call('HSET', key, user, (list == '' and seat or list .. ' ' .. seat) .. string.sub(is, at))
    if how == 's' or how == 'w' then look(app, room, user, how, 0, true) end
  end
  keep(key)
  redis.call('ZADD', index(seat), 0, net(app) .. net(room) .. net(user))
  keep(index(seat))
end

-- Takes a user away from a seat, and from those that it takes the place of.
local function remove(seat, old, app, room, user, how, hold)
  redis.call('ZREM', index(seat), net(app) .. net(room) .. net(user))
  local key = keyOf('m', app, room)
  local is = redis.call('HGET', key, user)
  if not is then return end
  local at = string.find(is, '\0', 1, true)
  local list, found = without(string.sub(is, 1, at - 1), seat)
  for _, s in ipairs(old) do
    local had
    list, had = without(list, s)
    found = found or had
  end
  if not found then return end
  if list ~= '' then
    redis.call('HSET', key, user, list .. string.sub(is, at))
    return
  end
  redis.call('HDEL', key, user)
  say(app, room, 'W' .. net(app) .. net(room) .. net(user) .. net(untold(app, room, user, how)))
  look(app, room, user, how, hold, false)
end

-- Notes that a seat has told all that its node has.
local function toldAll(seat)
  local key = T .. ':dy:' .. e
  redis.call('SADD', key, nodeOf(seat))
  keep(key)
end

-- Has the applications told of a user, or a room for '', that is gone since the log before, if it is not
-- back by then. They take it for there, or nobody knows what they were told, for '?': then they are told
-- what is so, perhaps again. Several nodes may say so. Where the engine has what they were told, that holds,
-- and so does what a node says that told them; where neither is so they may not have been told even that it came.
-- age is how many milliseconds ago a node heard of it, or nil: who told them anything behind that knew of it too.
local function goneSince(app, room, user, hold, told, age)
  local key, item = T .. ':dw:' .. e, net(app) .. net(room) .. net(user)
  if redis.call('SADD', key, item) == 0 then return end
  keep(key)
  local tellsOf, field, is = keyOf('t', app, room), toldField(user), there(app, room, user)
  if not has() then
    local by = age and tonumber(redis.call('HGET', marks, item) or '')
    if by and by >= (now - age) * 1000 then return end
    if is and told == '1' or redis.call('HSETNX', tellsOf, field, told) == 0 then return end
    keep(tellsOf)
  elseif not is and young() and redis.call('HEXISTS', marks, item) == 0 and redis.call('HSETNX', tellsOf, field, '?') == 1 then
    keep(tellsOf)
  end
  -- Whoever goes does so before the room does.
  put(app, item, string.format('%.1f', now + hold + (user == '' and 0.5 or 0)))
end

-- Notes what a node knows that the applications were told by it before this log, at a time by the clock of
-- the engine of then: '1' for there, '0' for gone, with p in front while it tells them. The last that they
-- were told holds. The data of the engine may be older than that. A node may say so once more, while it tells them
-- something in this log. Where the engine forgot everything this is all that it hears of what they were told.
local function toldBefore(seat, app, room, user, told, at, hold)
  if not early() then return end
  local item = net(app) .. net(room) .. net(user)
  local by = redis.call('HGET', marks, item)
  local key, field, mine = keyOf('t', app, room), toldField(user), T .. ':dh:' .. seat
  if by == 'n ' .. nodeOf(seat) then return end
  redis.call('HDEL', mine, item)
  if by and (string.sub(by, 1, 1) == 'n' or tonumber(by) >= tonumber(at)) then return end
  local now, is = now, there(app, room, user) and '1' or '0'
  if string.sub(told, 1, 1) == 'p' then
    mark(item, 'n ' .. nodeOf(seat))
    redis.call('HSET', key, field, told)
    redis.call('HSET', mine, item, string.sub(told, 2))
    keep(key)
    keep(mine)
    return
  end
  mark(item, at)
  if told == '1' then
    redis.call('HSET', key, field, '1')
    keep(key)
  else redis.call('HDEL', key, field) end
  if is == told or redis.call('ZSCORE', dueKey(app), item) then return end
  if told == '1' then now = now + hold + (user == '' and 0.5 or 0) end
  put(app, item, string.format('%.1f', now))
end
