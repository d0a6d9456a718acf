-- A batch of what a seat says of its connections, and the answer to it among the frames.
-- ARGV[5] channel of the node, [6] seat, [7] number of the batch, [8] seats that it takes the place
-- of, with blanks between them, or empty, [9] how many bytes of events and members the answer may have; then for each step 11 fields: kind, flags, app, room, user, info, socket,
-- connections of the seat in the room, most members, most connections, milliseconds of Hold.
--
-- Kinds: E enter, L leave, R the seat has so many in the room, U has a user in it, Y nothing, D the
-- applications were told what info says, B they were not, as nobody here hears of the app any more,
-- Z that is all that the node has, G a user that the applications were told of was in it in the log before, or the room was in use for an empty one, socket being how many milliseconds ago or empty, K the applications were told by the node, before
-- this log, what info says, when socket does. Flags: c counted, u the user's first or last, t told, s it is news to nobody, w the applications may not know, o it may have
-- been done under a seat before, k with the last event, m with the members.
-- What was done before is not done again, and answered from what is so now.
--
-- The answer has for each step K for done, and more: how many connections and members there are, the
-- last event, or = for that of a step before, what the applications know already of who enters, r for that the room is
-- in use and u for the user, and the members. It has P in the place of K where that
-- would be too much: then the node asks once more, by Y. The first of them is not too much whatever it has.
local own, seat, batch = ARGV[5], ARGV[6], tonumber(ARGV[7])
local old = {}
for s in string.gmatch(ARGV[8], '[^ ]+') do old[#old + 1] = s end
local last = redis.call('HGET', seats, seat)
if not last then return {'gone', e} end
local blank = string.find(last, ' ', 1, true)
local done, verdicts = tonumber(string.sub(last, 1, blank - 1)), string.sub(last, blank + 1)
if batch < done then return {'old', e} end
local again = batch == done

local refused, codes = {}, {}
local function step(i, code)
  local kind, flags, app, room, user = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local has = function(flag) return string.find(flags, flag, 1, true) ~= nil end
  local how = has('t') and (has('s') and (has('w') and 'w' or 's') or 't') or ''
  local where = app .. '\0' .. room
  local before = has('o') and old or nil
  local connections, hold = tonumber(ARGV[i + 7]) - (refused[where] or 0), tonumber(ARGV[i + 10])
  if kind == 'E' then
    local members, most = tonumber(ARGV[i + 8]), tonumber(ARGV[i + 9])
    if before and has('c') then moved(app, room, old) end
    if most > 0 and total(app, room) >= most then code = 'N'
    elseif members > 0 and user ~= '' and redis.call('HEXISTS', keyOf('m', app, room), user) == 0
      and redis.call('HLEN', keyOf('m', app, room)) >= members then code = 'M' end
    if code ~= 'K' then
      if has('c') then
        refused[where] = (refused[where] or 0) + 1
        if before then count(seat, {}, app, room, connections - 1, how, 0) end
      end
      return code
    end
    if has('u') then add(seat, before or {}, app, room, user, ARGV[i + 5], ARGV[i + 6], how) end
    if has('c') then count(seat, before or {}, app, room, connections, how, 0) end
  elseif kind == 'L' then
    if has('u') then remove(seat, before or {}, app, room, user, how, hold) end
    if has('c') then count(seat, before or {}, app, room, connections, how, hold) end
  elseif kind == 'R' then
    count(seat, old, app, room, connections, how, hold, has('s'))
    roomOf(app, room).anew = true
    keep(index(seat))
    keep(keyOf('m', app, room))
    keep(keyOf('t', app, room))
  elseif kind == 'U' then
    add(seat, old, app, room, user, ARGV[i + 5], ARGV[i + 6], how)
  elseif kind == 'D' then
    local mine, item = T .. ':dh:' .. seat, net(app) .. net(room) .. net(user)
    local was = redis.call('HGET', mine, item)
    if was == ARGV[i + 5] then
      redis.call('HDEL', mine, item)
      local key = keyOf('t', app, room)
      if was == '1' then redis.call('HSET', key, toldField(user), '1') keep(key)
      else redis.call('HDEL', key, toldField(user)) end
      if there(app, room, user) ~= (was == '1') and not redis.call('ZSCORE', dueKey(app), item) then
        put(app, item, num(now))
      end
    end
  elseif kind == 'G' then
    goneSince(app, room, user, hold, ARGV[i + 5] == '?' and '?' or '1', tonumber(ARGV[i + 6]))
  elseif kind == 'K' then
    toldBefore(seat, app, room, user, ARGV[i + 5], ARGV[i + 6], hold)
  elseif kind == 'Z' then
    toldAll(seat)
  elseif kind == 'B' then
    local mine, item = T .. ':dh:' .. seat, net(app) .. net(room) .. net(user)
    local was = redis.call('HGET', mine, item)
    if was then
      redis.call('HDEL', mine, item)
      tellAgain(item, was)
    end
  end
  return code
end

local first, size = 10, 11
-- Nobody who enters: that is done by an engine without memory too. It says no to what takes some only
-- as long as a script has written nothing.
local leaves = true
for i = first, #ARGV, size do leaves = leaves and string.find('LDB', ARGV[i], 1, true) ~= nil end
if leaves and not again then keep(seats) end
for i = first, #ARGV, size do
  local place = (i - first) / size + 1
  if again then codes[place] = string.sub(verdicts, place, place)
  else codes[place] = step(i, 'K') end
end
endRooms()
endLog()
if not again then
  redis.call('HSET', seats, seat, num(batch) .. ' ' .. table.concat(codes))
  keep(seats)
end

local parts = {'D', net(seat), net(num(batch)), net(e), net(redis.call('HGET', meta, 'n'))}
local sums, events, bytes, most = {}, {}, 0, tonumber(ARGV[9])
local function members(app, room)
  local list = {}
  local all = redis.call('HGETALL', keyOf('m', app, room))
  for j = 1, #all, 2 do
    list[#list + 1] = net(all[j])
    list[#list + 1] = net(string.sub(all[j + 1], string.find(all[j + 1], '\0', 1, true) + 1))
  end
  return table.concat(list)
end
for i = first, #ARGV, size do
  local kind, flags, app, room = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local code = codes[(i - first) / size + 1]
  local answer = net(code)
  if code == 'K' and (kind == 'E' or kind == 'L' or kind == 'Y') then
    local where = app .. '\0' .. room
    sums[where] = sums[where] or {total(app, room), redis.call('HLEN', keyOf('m', app, room))}
    local event, list = '', ''
    if string.find(flags, 'k', 1, true) then
      event = events[where] and '=' or redis.call('GET', keyOf('c', app, room)) or ''
    end
    if string.find(flags, 'm', 1, true) then list = members(app, room) end
    local know = ''
    if kind == 'E' and string.find(flags, 't', 1, true) then
      local told = redis.call('HMGET', keyOf('t', app, room), 'r', toldField(ARGV[i + 4]))
      know = (told[1] == '1' and 'r' or '') .. (told[2] == '1' and 'u' or '')
    end
    local more = #event + #list
    if more > 1 and bytes > 0 and bytes + more > most then
      answer = net('P')
    else
      bytes = bytes + more
      if #event > 1 then events[where] = true end
      answer = answer .. net(num(sums[where][1])) .. net(num(sums[where][2])) .. net(event) .. net(know) .. list
    end
  end
  parts[#parts + 1] = net(answer)
end
local soon
for app in pairs(dueApps) do
  local list = redis.call('ZRANGE', dueKey(app), 0, 0, 'WITHSCORES')
  if list[2] then soon = math.min(soon or math.huge, tonumber(list[2])) end
end
parts[#parts + 1] = net(soon and num(math.max(0, math.ceil(soon - now))) or '')
redis.call('SPUBLISH', own, table.concat(parts))
return {'ok', e}
