-- Takes some of what the applications have to be told now.
-- ARGV[5] seat, [6] how many, [7] how many the node knows that it took before and is not done with, then
-- the apps that it can tell of. Where the seat has more, an answer was lost, and all are in this one.
-- Returns whether the seat is there, milliseconds until there may be more or -1, and then in turns
-- an item and 1 for there or 0.
local seat, most, heard = ARGV[5], tonumber(ARGV[6]), {}
if redis.call('HEXISTS', seats, seat) == 0 then return {'gone', -1} end
for i = 8, #ARGV do heard[ARGV[i]] = true end
local answer, mine = {'ok', -1}, T .. ':dh:' .. seat
local had = {}
if redis.call('HLEN', mine) > tonumber(ARGV[7]) then had = redis.call('HGETALL', mine) end
local list = redis.call('ZRANGEBYSCORE', due, '-inf', num(now), 'LIMIT', 0, 4 * most)
for _, item in ipairs(list) do
  local app, at = cut(item, 1)
  local room, at2 = cut(item, at)
  local user = cut(item, at2)
  if heard[app] and #answer < 2 + 2 * most then
    local key, field = keyOf('t', app, room), toldField(user)
    local told = redis.call('HGET', key, field) or '0'
    local first = string.sub(told, 1, 1)
    local tell = there(app, room, user) and '1' or '0'
    if first == 'a' then tell = string.sub(told, 2) end
    redis.call('ZREM', due, item)
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
end
local later = redis.call('ZRANGEBYSCORE', due, '(' .. num(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
if later[2] then answer[2] = math.max(1, math.ceil(tonumber(later[2]) - now)) end
if #answer >= 2 + 2 * most then answer[2] = 0 end
for i = 1, #had do answer[#answer + 1] = had[i] end
return answer
