-- A batch of what a seat says of its connections, and the answer to it among the frames.
-- ARGV[5] channel of the node, [6] seat, [7] number of the batch, [8] seat that it takes the place
-- of, or empty; then for each step 11 fields: kind, flags, app, room, user, info, socket,
-- connections of the seat in the room, most members, most connections, milliseconds of Hold.
--
-- Kinds: E enter, L leave, R the seat has so many in the room, U has a user in it, Y nothing, D the
-- applications were told what info says, B they were not and somebody else has to tell them. Flags: c counted, u the user's first or last, t told, s it is news to nobody, k with the last
-- event, m with the members.
-- What was done before is not done again, and answered from what is so now.
local own, seat, batch, old = ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
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
  local how = has('t') and (has('s') and 's' or 't') or ''
  local where = app .. '\0' .. room
  local connections, hold = tonumber(ARGV[i + 7]) - (refused[where] or 0), tonumber(ARGV[i + 10])
  if kind == 'E' then
    local members, most = tonumber(ARGV[i + 8]), tonumber(ARGV[i + 9])
    if most > 0 and total(app, room) >= most then code = 'N'
    elseif members > 0 and user ~= '' and redis.call('HEXISTS', keyOf('m', app, room), user) == 0
      and redis.call('HLEN', keyOf('m', app, room)) >= members then code = 'M' end
    if code ~= 'K' then
      if has('c') then refused[where] = (refused[where] or 0) + 1 end
      return code
    end
    if has('u') then add(seat, '', app, room, user, ARGV[i + 5], ARGV[i + 6], how) end
    if has('c') then count(seat, '', app, room, connections, how, 0) end
  elseif kind == 'L' then
    if has('u') then remove(seat, app, room, user, how, hold) end
    if has('c') then count(seat, '', app, room, connections, how, hold) end
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
      if there(app, room, user) ~= (was == '1') and not redis.call('ZSCORE', dueOf(app), item) then
        owe(app, item, now)
      end
    end
  elseif kind == 'B' then
    local mine, item = T .. ':dh:' .. seat, net(app) .. net(room) .. net(user)
    local was = redis.call('HGET', mine, item)
    if was == ARGV[i + 5] then
      redis.call('HDEL', mine, item)
      redis.call('HSET', keyOf('t', app, room), toldField(user), 'a' .. was)
      keep(keyOf('t', app, room))
      owe(app, item, now)
    end
  end
  return code
end

local size = 11
for i = 9, #ARGV, size do
  local place = (i - 9) / size + 1
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
local sums = {}
for i = 9, #ARGV, size do
  local kind, flags, app, room = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local code = codes[(i - 9) / size + 1]
  local answer = net(code)
  if code == 'K' and (kind == 'E' or kind == 'L' or kind == 'Y') then
    local where = app .. '\0' .. room
    sums[where] = sums[where] or {total(app, room), redis.call('HLEN', keyOf('m', app, room))}
    answer = answer .. net(num(sums[where][1])) .. net(num(sums[where][2]))
    local cached = string.find(flags, 'k', 1, true) and redis.call('GET', keyOf('c', app, room))
    answer = answer .. net(cached or '')
    if string.find(flags, 'm', 1, true) then
      local list = {}
      local all = redis.call('HGETALL', keyOf('m', app, room))
      for j = 1, #all, 2 do
        list[#list + 1] = net(all[j])
        list[#list + 1] = net(string.sub(all[j + 1], string.find(all[j + 1], '\0', 1, true) + 1))
      end
      answer = answer .. table.concat(list)
    end
  end
  parts[#parts + 1] = net(answer)
end
-- What was due before was said before, or is an app's that has as much told as it may.
if again then soonest = tonumber(redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]) end
parts[#parts + 1] = net(soonest and num(math.max(0, math.ceil(soonest - now))) or '')
redis.call('SPUBLISH', own, table.concat(parts))
return {'ok', e}
