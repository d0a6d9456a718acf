-- Numbers publications, keeps them for nodes that are cut off, and hands them to all nodes.
-- ARGV[4] name of the node, [5] number of the first within what the node publishes, [6] bytes that
-- are kept, [7] and on what keep.lua says; then for each: channel, envelope, for how many seconds it is the last of its room that
-- is kept, with that as APP\0ROOM, or nothing, and the channel of a node that gets it whether or not it is subscribed to the first.
-- What was done before is not done again: the caller had no answer and says it once more.
local e = epoch()
local m = redis.call('HMGET', meta, 'n', 'b', 's:' .. ARGV[4])
local n, b, done = tonumber(m[1] or 0), tonumber(m[2] or 0), tonumber(string.match(m[3] or '', '^%d+') or 0)
local seq, limit, out = tonumber(ARGV[5]), tonumber(ARGV[6]), {}
beginKeeping(e, n)
for i = firstItem, #ARGV, 4 do
  if seq > done then
    n = n + 1
    local frame = e .. ' ' .. num(n) .. ' ' .. ARGV[i + 1]
    redis.call('RPUSH', T .. ':l', frame)
    b = b + #frame
    keep(ARGV[i], ARGV[i + 1], frame, n)
    if ARGV[i + 2] ~= '' then
      local seconds, room = string.match(ARGV[i + 2], '^(%d+) (.*)$')
      redis.call('SET', T .. ':dc:' .. room, frame, 'EX', seconds)
    end
    local handed = redis.call('SPUBLISH', ARGV[i], frame)
    if ARGV[i + 3] ~= '' then handed = handed + redis.call('SPUBLISH', ARGV[i + 3], frame) end
    out[#out + 1] = handed
  else
    out[#out + 1] = -1
  end
  seq = seq + 1
end
while b > limit do
  local old = redis.call('LPOP', T .. ':l')
  if not old then b = 0 break end
  b = b - #old
end
endKeeping(e, n)
-- With when that was, for forget.lua.
local t = redis.call('TIME')
local now = num(t[1] * 1000 + math.floor(t[2] / 1000))
redis.call('HSET', meta, 'n', num(n), 'b', num(b), 's:' .. ARGV[4], num(math.max(done, seq - 1)) .. ' ' .. now)
return {e, out}
