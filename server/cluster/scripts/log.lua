-- Behind the prelude, for scripts that decide what is told among the publications of a partition.
-- ARGV[4] says how many bytes of the log are kept.
local e = epoch()
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local n, b, said, whole = nil, nil, false, nil
-- Tells everybody who is subscribed to a room, as a numbered frame of the log.
local function say(app, room, body)
  if not said then
    local m = redis.call('HMGET', meta, 'n', 'b', 'hk')
    n, b, said = tonumber(m[1] or 0), tonumber(m[2] or 0), true
    -- What is kept lacks nothing of what is told here, see keep.lua.
    whole = string.match(m[3] or '', '^' .. e .. ' ' .. num(n) .. '( .*)$')
  end
  n = n + 1
  local frame = e .. ' ' .. num(n) .. ' P' .. body
  redis.call('RPUSH', T .. ':l', frame)
  b = b + #frame
  redis.call('SPUBLISH', T .. ':R:' .. app .. '\0' .. room, frame)
end
local function endLog()
  if not said then return end
  while b > tonumber(ARGV[4]) do
    local old = redis.call('LPOP', T .. ':l')
    if not old then b = 0 break end
    b = b - #old
  end
  redis.call('HSET', meta, 'n', num(n), 'b', num(b))
  if whole then redis.call('HSET', meta, 'hk', e .. ' ' .. num(n) .. whole) end
end
