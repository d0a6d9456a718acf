-- Who has an id: the last that asked. All of it is one batch of a node, which has a number: one that was
-- done before is not done again, its answer is said once more.
-- Keys: T:h:WHAT is who has it, "node number stamp made"; T:b:WHAT a bar, "before stamp", the time before
-- which it holds and when it was put up; T:k:WHAT what a node that is cut off has to hear when it is back,
-- "taken any some before": when the id was taken last from another node, and when it was barred last
-- for any token, and for those up to a time; T:H:NODE what a node has; T:L:NODE the lease of a node within
-- this partition, with its last batch. WHAT is the app, a byte 0 and the id.
-- ARGV[4] node, [5] batch, [6] milliseconds of a lease, [7] milliseconds until an id is forgotten that is
-- not kept, then operations: claim, keep, release, bar, and one again that may have been forgotten.
local node, batch, lease, life = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local own, list = T .. ':L:' .. node, T .. ':H:' .. node
local before = redis.call('HMGET', own, 'q', 'a')
if before[1] == batch then
  redis.call('PEXPIRE', own, lease)
  return redis.call('SPUBLISH', T .. ':N:' .. node, before[2])
end
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local at = 8
local function arg() at = at + 1 return ARGV[at - 1] end
local function read(what)
  local v = redis.call('GET', T .. ':h:' .. what)
  if not v then return end
  local who, number, stamp, made = string.match(v, '^(%S+) (%d+) (%d+) (%-?%d+)$')
  return who, number, tonumber(stamp), tonumber(made)
end
local function barred(what)
  local before, stamp = string.match(redis.call('GET', T .. ':b:' .. what) or '', '^(%-?%d+) (%d+)$')
  return before, tonumber(stamp or 0)
end
local function marks(what)
  local taken, any, some, before = string.match(redis.call('GET', T .. ':k:' .. what) or '', '^(%d+) (%d+) (%d+) (%-?%d+)$')
  return tonumber(taken or 0), tonumber(any or 0), tonumber(some or 0), before or '0'
end
-- A node that was cut off for an hour does not hear of it.
local function mark(what, taken, any, some, before)
  redis.call('SET', T .. ':k:' .. what, num(taken) .. ' ' .. num(any) .. ' ' .. num(some) .. ' ' .. before, 'EX', 3600)
end
local function holds(bar, made) return bar and (bar == '0' or tonumber(made) <= tonumber(bar)) end
-- What this node got in this batch and lost again, it hears of behind the answer: it has that from there.
local losses, got = {}, {}
local function lost(why, what, who, number)
  redis.call('SREM', T .. ':H:' .. who, what)
  local text = 'K' .. net(why) .. net(what) .. net(number)
  if who == node and got[number] then losses[#losses + 1] = text else redis.call('SPUBLISH', T .. ':N:' .. who, text) end
end
local function drop(what)
  redis.call('DEL', T .. ':h:' .. what)
  redis.call('SREM', list, what)
end
local function take(what, number, stamp, made, who, others)
  if who and not (who == node and others == number) then
    lost('t', what, who, others)
    if who ~= node then
      local taken, any, some, before = marks(what)
      mark(what, math.max(taken, stamp), any, some, before)
    end
  end
  got[number] = true
  redis.call('SET', T .. ':h:' .. what, node .. ' ' .. number .. ' ' .. num(stamp) .. ' ' .. made, 'PX', life)
  redis.call('SADD', list, what)
  return 'o' .. num(stamp)
end
-- Puts a bar up at a time, and returns what is said of it: who had the id, and when that was.
local function bar(what, before, wait, stamp)
  redis.call('SET', T .. ':b:' .. what, before .. ' ' .. num(stamp), 'PX', wait)
  local taken, any, some, upto = marks(what)
  if before == '0' then
    any = math.max(any, stamp)
  else
    upto = some > 0 and tonumber(upto) > tonumber(before) and upto or before
    some = math.max(some, stamp)
  end
  mark(what, taken, any, some, upto)
  local said = '-'
  local who, others, _, made = read(what)
  if who and holds(before, made) then
    if who == node or redis.call('EXISTS', T .. ':L:' .. who) == 1 then said = 'h' .. num(made) end
    lost('b', what, who, others)
    drop(what)
  end
  return said .. ' ' .. num(stamp)
end
local out = {'H', net(batch), net(before[1] and '' or 'n')}
while at <= #ARGV do
  local op, what, number, said = arg(), arg(), arg(), '-'
  if op == 'c' or op == 'k' then
    local stamp, made = tonumber(arg()), arg()
    local who, others, theirs = read(what)
    local same = who == node and others == number
    local taken, any, some, upto = marks(what)
    if holds((barred(what)), made) or op == 'k' and (any > stamp or some > stamp and holds(upto, made)) then
      if same then drop(what) end
      said = 'b'
    elseif op == 'c' then
      said = take(what, number, math.max(now, (theirs or 0) + 1, taken + 1, any + 1, some + 1), made, who, others)
    elseif taken > stamp or who and not same and theirs > stamp then
      said = 't'
    else
      said = take(what, number, stamp, made, who, others)
    end
  elseif op == 'r' then
    local who, others = read(what)
    if who == node and others == number then drop(what) end
  elseif op == 'b' then
    local wait = arg()
    local _, last = barred(what)
    local _, _, theirs = read(what) -- whose loss is to be known by the mark, also where the clock was set back
    said = bar(what, number, wait, math.max(now, last + 1, (theirs or 0) + 1))
  elseif op == 'a' then
    local wait, stamp = tonumber(arg()), tonumber(arg())
    local _, last = barred(what)
    -- One that was over before its node heard that it was up is not put up again.
    local left = math.min(wait, math.ceil(wait - (now - stamp) / 1000))
    if stamp > last and left > 0 then bar(what, number, num(left), stamp) end
  end
  out[#out + 1] = net(said)
end
local answer = table.concat(out)
redis.call('HSET', own, 'q', batch, 'a', answer)
redis.call('PEXPIRE', own, lease)
redis.call('PEXPIRE', list, life)
local heard = redis.call('SPUBLISH', T .. ':N:' .. node, answer)
for _, text in ipairs(losses) do redis.call('SPUBLISH', T .. ':N:' .. node, text) end
return heard
