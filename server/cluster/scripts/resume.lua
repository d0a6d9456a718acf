-- Says where the log is, and what a node missed that has had it up to a place.
-- ARGV[4] epoch and [5] number of that place, both empty and 0 for a node that comes for the first
-- time; [6] most frames, [7] most bytes of one answer.
--
-- Another process of the engine may know less than the last one did: its numbers may mean
-- other events. So it begins a log of its own, and notes which was before (o), where that ended
-- as far as the engine knows (y), and how far any node has had it (x). The log that began beside what the
-- engine still had of who is where is noted too (has), and when any began (since), see roster.lua.
local m = redis.call('HMGET', meta, 'e', 'n', 'run', 'o', 'x', 'y')
local e, n, o = m[1], tonumber(m[2] or 0), m[4] or ''
local x, y = tonumber(m[5] or 0), tonumber(m[6] or 0)
local from, last = ARGV[4], tonumber(ARGV[5])
if not e then
  redis.call('DEL', T .. ':l')
  e, o, n, x, y = ARGV[2], from, 0, 0, 0
  redis.call('HSET', meta, 'e', e, 'n', 0, 'b', 0, 'run', ARGV[3], 'o', o, 'x', 0, 'y', 0, 'since', redis.call('TIME')[1])
elseif m[3] ~= ARGV[3] then
  e, o, x, y, n = ARGV[2], e, n, n, 0
  redis.call('HSET', meta, 'e', e, 'n', 0, 'run', ARGV[3], 'o', o, 'x', num(x), 'y', num(y), 'has', e, 'since', redis.call('TIME')[1])
end
if from ~= '' and from == o and last > x then
  x = last
  redis.call('HSET', meta, 'x', num(x))
end
local missing = -1
if from == '' then missing = 0
elseif from == e then missing = n - last
elseif from == o then missing = n + math.max(0, y - last) end
local length = redis.call('LLEN', T .. ':l')
local answer = {e, num(n), o, num(x), num(y), 'whole'}
if missing < 0 or missing > length then
  answer[6] = 'cut'
elseif missing > 0 then
  local first, bytes = length - missing, 0
  for _, frame in ipairs(redis.call('LRANGE', T .. ':l', first, first + ARGV[6] - 1)) do
    bytes = bytes + #frame
    if bytes > tonumber(ARGV[7]) and #answer > 6 then break end
    answer[#answer + 1] = frame
  end
end
return answer
