-- Who has an id: the last that asked. All of it is one batch of a node, which has a number: one that was
-- done before is not done again, its answer is said once more.
-- Keys: T:h:WHAT is who has it, "node number stamp made", where the node "-" had it taken by a bar;
-- T:b:WHAT a bar, the time before which it holds; T:H:NODE what a node has; T:L:NODE the lease of a node
-- within this partition, with its last batch. WHAT is the app, a byte 0 and the id.
-- ARGV[4] node, [5] batch, [6] milliseconds of a lease, then operations: claim, keep, release, bar.
local node, batch, lease = ARGV[4], ARGV[5], ARGV[6]
local own, list = T .. ':L:' .. node, T .. ':H:' .. node
local before = redis.call('HMGET', own, 'q', 'a')
if before[1] == batch then
  redis.call('PEXPIRE', own, lease)
  return redis.call('SPUBLISH', T .. ':N:' .. node, before[2])
end
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local at = 7
local function arg() at = at + 1 return ARGV[at - 1] end
local function read(what)
  local v = redis.call('GET', T .. ':h:' .. what)
  if not v then return end
  local who, number, stamp, made = string.match(v, '^(%S+) (%d+) (%d+) (%-?%d+)$')
  return who, number, tonumber(stamp), tonumber(made)
end
local function write(what, who, number, stamp, made, seconds)
  redis.call('SET', T .. ':h:' .. what, who .. ' ' .. number .. ' ' .. num(stamp) .. ' ' .. made, 'EX', seconds)
end
local function holds(bar, made) return bar and (bar == '0' or tonumber(made) <= tonumber(bar)) end
local function lost(why, what, who, number)
  redis.call('SREM', T .. ':H:' .. who, what)
  redis.call('SPUBLISH', T .. ':N:' .. who, 'K' .. net(why) .. net(what) .. net(number))
end
local function take(what, number, stamp, made, who, others)
  if who and who ~= '-' and not (who == node and others == number) then lost('t', what, who, others) end
  write(what, node, number, stamp, made, 86400)
  redis.call('SADD', list, what)
  return 'o' .. num(stamp)
end
local out = {'H', net(batch), net(before[1] and '' or 'n')}
while at <= #ARGV do
  local op, what, number, said = arg(), arg(), arg(), '-'
  if op == 'c' or op == 'k' then
    local stamp, made = tonumber(arg()), arg()
    local who, others, theirs = read(what)
    if holds(redis.call('GET', T .. ':b:' .. what), made) then
      if who == node and others == number then
        redis.call('SREM', list, what)
        write(what, '-', '0', now, made, 3600)
      end
      said = 'b'
    elseif op == 'c' then
      said = take(what, number, math.max(now, (theirs or 0) + 1), made, who, others)
    elseif who and not (who == node and others == number) and theirs > stamp then
      said = (who == '-') and 'b' or 't'
    else
      said = take(what, number, stamp, made, who, others)
    end
  elseif op == 'r' then
    local who, others = read(what)
    if who == node and others == number then
      redis.call('DEL', T .. ':h:' .. what)
      redis.call('SREM', list, what)
    end
  elseif op == 'b' then
    local wait = arg()
    redis.call('SET', T .. ':b:' .. what, number, 'PX', wait)
    local who, others, theirs, made = read(what)
    if who and who ~= '-' and holds(number, made) then
      if who == node or redis.call('EXISTS', T .. ':L:' .. who) == 1 then said = 'h' .. num(made) end
      lost('b', what, who, others)
      -- For a node that is cut off, and would keep it when it is back.
      write(what, '-', '0', math.max(now, theirs + 1), made, 3600)
    end
  end
  out[#out + 1] = net(said)
end
local answer = table.concat(out)
redis.call('HSET', own, 'q', batch, 'a', answer)
redis.call('PEXPIRE', own, lease)
redis.call('EXPIRE', list, 86400)
return redis.call('SPUBLISH', T .. ':N:' .. node, answer)
