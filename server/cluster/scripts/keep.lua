-- Behind the prelude, in front of publish.lua: keeps what is published to apps whose events are kept, for
-- nodes that start. The log T:l is not that: it has everything of a partition, for as long as a cable is cut.
-- ARGV[7] how many such apps the partition has, and then of each: name, bytes, and milliseconds for which they
-- are kept; 0 bytes for one of which a node keeps nothing any more.
--
-- In the state of the partition hk says up to where all was kept: epoch, number and the names of these apps. Where
-- that is not how it is now, somebody published who keeps nothing, and all begins anew. h:APP is
-- the number behind which it began, and the last that is kept.
-- T:h:APP is the index of an app's chunks, which have numbers: d the first that may be there, f the first of what began
-- at g, an epoch and a number, l the last, t the cost of all; N:c the cost of one, N:b the number behind which it begins, N:t when.
-- T:hc:N:APP is a chunk, a list of "milliseconds frame". It ends by itself when all of it is too old, so
-- nothing large is ever dropped at once.
local known, keepers, firstItem, clockMs = {}, {}, 8 + 3 * ARGV[7], 0
for i = 8, firstItem - 1, 3 do known[#known + 1] = net(ARGV[i]) end
known = table.concat(known)
local start, on -- epoch and number behind which this publishes; whether all was kept up to there
local function chunkOf(a, number) return T .. ':hc:' .. num(number) .. ':' .. a.name end
-- Is called before anything is published behind n.
local function beginKeeping(e, n)
  if known == '' then return end
  start = {e, n}
  on = redis.call('HGET', meta, 'hk') == e .. ' ' .. num(n) .. ' ' .. known
  local t = redis.call('TIME')
  clockMs = t[1] * 1000 + math.floor(t[2] / 1000)
  for i = 8, firstItem - 1, 3 do
    local a = {name = ARGV[i], bytes = tonumber(ARGV[i + 1]), age = tonumber(ARGV[i + 2])}
    keepers[#keepers + 1] = a
    keepers[T .. ':E:' .. a.name] = a
  end
end
-- Finds where an app began, once it is of interest: there may be many, of which few are published to.
local function lookUp(a)
  if a.from then return end
  local from, last = string.match(on and a.bytes > 0 and redis.call('HGET', meta, 'h:' .. a.name) or '', '^(%d+) (%d+)$')
  a.from, a.last = tonumber(from or start[2]), tonumber(last or start[2])
  a.began = start[1] .. ' ' .. num(a.from)
end
local function expireChunk(a) redis.call('EXPIRE', chunkOf(a, a.l), math.ceil(a.age / 1000) + 1) end
-- Drops what is of no use or too much, a few chunks at a time.
local function dropChunks(a, index)
  for _ = 1, 4 do
    if a.d >= a.l then return end
    local key = chunkOf(a, a.d)
    if a.d >= a.f and a.t <= a.bytes and redis.call('EXISTS', key) == 1 then return end
    redis.call('UNLINK', key)
    a.t = a.t - tonumber(redis.call('HGET', index, num(a.d) .. ':c') or 0)
    redis.call('HDEL', index, num(a.d) .. ':c', num(a.d) .. ':b', num(a.d) .. ':t')
    a.d = a.d + 1
    a.f = math.max(a.f, a.d)
  end
end
-- Drops what there is of an app of which nothing is kept any more, as few at a time.
local function forgetChunks(a)
  local index = T .. ':h:' .. a.name
  local m = redis.call('HMGET', index, 'd', 'l', 't')
  if not m[2] then return end
  local first, last, t = tonumber(m[1] or 1), tonumber(m[2]), tonumber(m[3] or 0)
  for number = first, math.min(first + 3, last) do
    redis.call('UNLINK', chunkOf(a, number))
    t = t - tonumber(redis.call('HGET', index, num(number) .. ':c') or 0)
    redis.call('HDEL', index, num(number) .. ':c', num(number) .. ':b', num(number) .. ':t')
    first = number + 1
  end
  if first > last then redis.call('UNLINK', index) else redis.call('HSET', index, 'd', num(first), 't', num(t)) end
end
local function newChunk(a)
  local index = T .. ':h:' .. a.name
  if a.c then
    redis.call('HSET', index, num(a.l) .. ':c', num(a.c))
    expireChunk(a)
  end
  a.l, a.c, a.begun = a.l + 1, 0, clockMs
  redis.call('UNLINK', chunkOf(a, a.l)) -- of an index that was lost
  redis.call('HSET', index, num(a.l) .. ':b', num(a.last), num(a.l) .. ':t', num(clockMs))
  dropChunks(a, index)
end
local function openChunk(a)
  lookUp(a)
  local index = T .. ':h:' .. a.name
  local m = redis.call('HMGET', index, 'd', 'f', 'l', 't', 'g')
  a.d, a.f, a.l, a.t = tonumber(m[1] or 1), tonumber(m[2] or 1), tonumber(m[3] or 0), tonumber(m[4] or 0)
  if m[5] ~= a.began then
    a.f = a.l + 1
  elseif redis.call('EXISTS', chunkOf(a, a.l)) == 1 then
    m = redis.call('HMGET', index, num(a.l) .. ':c', num(a.l) .. ':t')
    a.c, a.begun = tonumber(m[1]), tonumber(m[2])
  end
end
-- Keeps the frame of a publication that has a number, unless it is of its moment alone: a flag of the envelope.
local function keep(channel, envelope, frame, n)
  local a = keepers[channel]
  if not a or a.bytes == 0 or math.floor(string.byte(envelope, 2) / 2) % 2 == 1 then return end
  if not a.l then openChunk(a) end
  local most = math.max(a.bytes / 1024, math.min(a.bytes / 64, 1048576))
  if not a.c or a.c >= most or clockMs - a.begun >= a.age / 16 then newChunk(a) end
  redis.call('RPUSH', chunkOf(a, a.l), num(clockMs) .. ' ' .. frame)
  -- No more than a node counts for it, so that one that starts finds all that others have.
  local cost = #frame + 200
  a.c, a.t, a.last = a.c + cost, a.t + cost, n
end
local function endKeeping(e, n)
  if known == '' then return end
  local list = {'hk', e .. ' ' .. num(n) .. ' ' .. known}
  for _, a in ipairs(keepers) do
    if a.bytes == 0 then
      a.from, a.last = n, n
      forgetChunks(a)
    elseif not on then
      lookUp(a)
    end
    if a.from then -- of the others it is there
      list[#list + 1] = 'h:' .. a.name
      list[#list + 1] = num(a.from) .. ' ' .. num(a.last)
    end
    if #list > 1000 then -- Lua has no room for any number at once
      redis.call('HSET', meta, unpack(list))
      list = {}
    end
    if a.l and a.c then
      local index = T .. ':h:' .. a.name
      if a.d < a.f then dropChunks(a, index) end -- of what began before
      redis.call('HSET', index, 'd', num(a.d), 'f', num(a.f), 'l', num(a.l), 't', num(a.t), 'g', a.began, num(a.l) .. ':c', num(a.c))
      redis.call('EXPIRE', index, math.ceil(a.age / 1000) + 1)
      expireChunk(a)
    end
  end
  if #list > 0 then redis.call('HSET', meta, unpack(list)) end
end
