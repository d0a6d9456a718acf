-- Which ids of a node that was cut off are not its own any more, as hold.lua would say of what is kept. It changes
-- nothing. KEYS[1] state of the partition. ARGV[1] T, [2] node, then of each id: what, number and stamp of the
-- claim, and when its connection was made. Returns of each: nothing, "t" if it was taken, "b" if it was barred.
local T, node, out = ARGV[1], ARGV[2], {}
for i = 3, #ARGV, 4 do
  local what, number, stamp, made = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local who, others, theirs = string.match(redis.call('GET', T .. ':h:' .. what) or '', '^(%S+) (%d+) (%d+) ')
  local same = who == node and others == number
  local taken, any, some, upto = string.match(redis.call('GET', T .. ':k:' .. what) or '0 0 0 0', '^(%d+) (%d+) (%d+) (%-?%d+)$')
  local why = ''
  if tonumber(any) > stamp or tonumber(some) > stamp and (upto == '0' or made <= tonumber(upto)) then
    why = 'b'
  elseif tonumber(taken) > stamp or who and not same and tonumber(theirs) > stamp then
    why = 't'
  end
  out[#out + 1] = why
end
return out
