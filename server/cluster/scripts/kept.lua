-- Says what is kept of an app, see keep.lua: epoch and number of the partition's log, the number behind which it began,
-- the last that is kept, the engine's time, and of each chunk, oldest first: its number, behind which number it
-- begins, and its cost. Of what is not known to be whole there is nothing.
-- KEYS[1] state of a partition. ARGV[1] T, [2] app, [3] the names of the apps that are kept in the partition.
local T, app = ARGV[1], ARGV[2]
local m = redis.call('HMGET', KEYS[1], 'e', 'n', 'hk', 'h:' .. app)
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
if not m[1] then return {'0', '0', '0', '0', now} end
local from, last = string.match(m[3] == m[1] .. ' ' .. m[2] .. ' ' .. ARGV[3] and m[4] or '', '^(%d+) (%d+)$')
if not from then return {m[1], m[2], m[2], m[2], now} end
local index = redis.call('HMGET', T .. ':h:' .. app, 'f', 'l', 'g')
local answer, list = {m[1], m[2], from, last, now}, {}
if index[3] ~= m[1] .. ' ' .. from then return answer end
for number = tonumber(index[2] or 0), math.max(1, tonumber(index[1] or 1)), -1 do
  local name = string.format('%.0f', number)
  if redis.call('EXISTS', T .. ':hc:' .. name .. ':' .. app) == 0 then break end -- too old, as all before
  local c = redis.call('HMGET', T .. ':h:' .. app, name .. ':b', name .. ':c')
  if not c[1] or not c[2] then break end
  list[#list + 1] = {name, c[1], c[2]}
end
for i = #list, 1, -1 do
  for k = 1, 3 do answer[#answer + 1] = list[i][k] end
end
return answer
