-- Gives a node a seat. ARGV[5] seat, [6] the one that it takes the place of, or empty. Returns the epoch; 1 for a
-- young log that began beside older data, and k where the seat before was still there; the log before that, and
-- where it ended as far as the engine knows; and the seats of the node before this one: older data may have some
-- that it left long ago.
local was = ARGV[6] ~= '' and redis.call('HEXISTS', seats, ARGV[6]) == 1
redis.call('HSETNX', seats, ARGV[5], '0 ')
keep(seats)
if ARGV[6] == '' then toldAll(ARGV[5]) end
if ARGV[6] ~= '' and redis.call('EXISTS', T .. ':dh:' .. ARGV[6]) == 1 then
  redis.call('RENAME', T .. ':dh:' .. ARGV[6], T .. ':dh:' .. ARGV[5])
end
local function hash(key)
  local list, all = redis.call('HGETALL', key), {}
  for i = 1, #list, 2 do all[list[i]] = list[i + 1] end
  return all
end
local m = redis.call('HMGET', meta, 'o', 'y')
local answer = {e, (young() and '1' or '') .. (was and 'k' or ''), m[1] or '', m[2] or '0'}
for _, seat in ipairs(redis.call('HKEYS', seats)) do
  if seat ~= ARGV[5] and nodeOf(seat) == nodeOf(ARGV[5]) then
    answer[#answer + 1] = seat
    local mine = T .. ':dh:' .. seat
    for item, was in pairs(hash(mine)) do redis.call('HSET', T .. ':dh:' .. ARGV[5], item, was) end
    redis.call('DEL', mine)
  end
end
return answer
