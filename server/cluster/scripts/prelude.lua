-- Stands in front of every script of a partition. KEYS[1] is the partition's state, the hash
-- T:n: it decides the slot, and all other keys have the same hash tag.
-- ARGV[1] T, ARGV[2] a fresh epoch, ARGV[3] which process of the engine the caller is connected to.
local T, meta = ARGV[1], KEYS[1]
-- Lua writes large numbers with an exponent.
local function num(n) return string.format('%d', n) end
local function net(x) x = tostring(x or '') return #x .. ':' .. x end
-- The epoch names the log. One that is not there begins: the engine has forgotten everything.
local function epoch()
  local e = redis.call('HGET', meta, 'e')
  if e then return e end
  redis.call('DEL', T .. ':l')
  redis.call('HSET', meta, 'e', ARGV[2], 'n', 0, 'b', 0, 'run', ARGV[3], 'since', redis.call('TIME')[1])
  return ARGV[2]
end
