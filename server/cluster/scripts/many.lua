-- Does what publish.lua does, at once for several partitions of one engine, of which nothing is kept but the log.
-- KEYS are the states of the partitions, T:n. ARGV[1] a fresh epoch, [2] which process of the engine the caller is
-- connected to, [3] name of the node, [4] bytes that are kept of each log; then of each partition: number of the first within what the
-- node publishes, how many there are, and for each what publish.lua has: channel, envelope, what is cached, channel of a node.
-- Returns for each partition the epoch and how many nodes were handed each, or why it was not done.
local call, format = redis.call, string.format
local clock = call('TIME')
local now = format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000))
local mine, limit, at = 's:' .. ARGV[3], tonumber(ARGV[4]), 5
local function publish(meta, seq, first, last)
  local T = string.sub(meta, 1, -3)
  local log = T .. ':l'
  local m = call('HMGET', meta, 'e', 'n', 'b', mine)
  local e = m[1]
  if not e then
    call('DEL', log)
    e, m = ARGV[1], {}
    call('HSET', meta, 'e', e, 'n', 0, 'b', 0, 'run', ARGV[2], 'since', clock[1])
  end
  local n, b, done = tonumber(m[2] or 0), tonumber(m[3] or 0), tonumber(string.match(m[4] or '', '^%d+') or 0)
  local frames, from, begin = {}, first, e .. ' '
  while from < last and seq <= done do
    from, seq = from + 4, seq + 1
  end
  local out = {}
  for _ = first, from - 1, 4 do out[#out + 1] = -1 end
  for i = from, last - 1, 4 do
    n, seq = n + 1, seq + 1
    local frame = begin .. format('%d', n) .. ' ' .. ARGV[i + 1]
    frames[#frames + 1] = frame
    b = b + #frame
  end
  -- First of all what the engine says no to when it has no memory left.
  local length = 0
  if #frames > 0 then length = call('RPUSH', log, unpack(frames)) end
  for place, frame in ipairs(frames) do
    local i = from + 4 * (place - 1)
    if ARGV[i + 2] ~= '' then
      local seconds, room = string.match(ARGV[i + 2], '^(%d+) (.*)$')
      call('SET', T .. ':dc:' .. room, frame, 'EX', seconds)
    end
    local handed = call('SPUBLISH', ARGV[i], frame)
    if ARGV[i + 3] ~= '' then handed = handed + call('SPUBLISH', ARGV[i + 3], frame) end
    out[#out + 1] = handed
  end
  -- Seldom, but then many at once: as many as are too much if all are alike.
  if b > limit + limit / 64 then
    while b > limit do
      local old = call('LPOP', log, math.max(1, math.min(512, math.floor((b - limit) * length / b))))
      if not old then b = 0 break end
      for _, frame in ipairs(old) do b = b - #frame end
      length = length - #old
    end
  end
  -- With when that was, for forget.lua.
  call('HSET', meta, 'n', format('%d', n), 'b', format('%d', b), mine, format('%d', math.max(done, seq - 1)) .. ' ' .. now)
  return {e, out}
end
local answer = {}
for k, meta in ipairs(KEYS) do
  local first, last = at + 2, at + 2 + 4 * ARGV[at + 1]
  local ok, got = pcall(publish, meta, tonumber(ARGV[at]), first, last)
  if not ok and type(got) ~= 'table' then got = {err = 'ERR ' .. tostring(got)} end
  answer[k] = got
  at = last
end
return answer
