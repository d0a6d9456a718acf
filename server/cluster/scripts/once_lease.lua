-- Which node takes the messages of a source. KEYS[1] is "node token clear", with a time to live, or "- token clear"
-- for one that was given up. What leaders had read before clear, a time of the engine, was taken.
-- KEYS[2] is "node from", of those that asked within a lease and were not given it who has read for longest: since
-- that time of the engine. As long as it is there, no other one goes on in its place, unless with ARGV[5] of 1.
-- ARGV[1] node, [2] milliseconds, 0 to give it up, or to ask no more, [3] the token that the node has, or 0, [4] a token that a new
-- one has to be above, [5] 1 if the node takes what nobody has, 3 if it does unless another one has read for longer, 2 if it
-- only takes what was given up, 0 if it takes that where it lacks nothing and no other one has read for longer,
-- [6] what it knows of clear, [7] what clear has to be for that; 0 for never, [8] since when it reads; 0 for now.
-- Tokens grow: they are times of the engine, in microseconds. That of the answer is the last but one.
local who, token, clear = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+) (%d+)$')
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function text(n) return string.format('%.0f', n) end
clear = text(math.max(clear or 0, tonumber(ARGV[6])))
local function answer(word, token, left) return {word, token, left, text(now), clear} end
local candidate, since = string.match(redis.call('GET', KEYS[2]) or '', '^(%S+) (%d+)$')
local function longest()
  local from = ARGV[8] == '0' and now or tonumber(ARGV[8])
  if candidate and candidate ~= ARGV[1] and tonumber(since) <= from then return false end
  redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. text(from), 'PX', ARGV[2])
  return true
end
local first = who ~= ARGV[1] and ARGV[2] ~= '0' and longest()
if ARGV[2] == '0' and candidate == ARGV[1] then redis.call('DEL', KEYS[2]) end
if who == ARGV[1] then
  if ARGV[2] == '0' then
    redis.call('SET', KEYS[1], '- ' .. token .. ' ' .. clear, 'PX', 60000)
    return answer('free', token, 0)
  end
  if tonumber(token) > tonumber(ARGV[4]) then
    redis.call('SET', KEYS[1], who .. ' ' .. token .. ' ' .. clear, 'PX', ARGV[2])
    return answer('mine', token, 0)
  end
elseif who and who ~= '-' then return answer('theirs', token, redis.call('PTTL', KEYS[1]))
elseif ARGV[2] == '0' or ARGV[5] ~= '1' and ARGV[5] ~= '3' and not who then return answer(who and 'free' or 'none', token or '0', 0)
elseif ARGV[5] == '0' and (ARGV[7] == '0' or tonumber(clear) < tonumber(ARGV[7])) then return answer('free', token, 0)
elseif (ARGV[5] == '0' or ARGV[5] == '3') and not first then return answer(who and 'free' or 'none', token or '0', 0)
end
if first then redis.call('DEL', KEYS[2]) end -- it asks for no more
local new = text(math.max(now, (token or 0) + 1, ARGV[3] + 1, ARGV[4] + 1))
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. new .. ' ' .. clear, 'PX', ARGV[2])
return answer('mine', new, 0)
