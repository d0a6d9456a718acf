-- Which node takes the messages of a source. KEYS[1] is "node token clear", with a time to live, or "- token clear"
-- for one that was given up. What leaders had read before clear, a time of the engine, was taken.
-- ARGV[1] node, [2] milliseconds, 0 to give it up, [3] the token that the node has, or 0, [4] a token that a new
-- one has to be above, [5] 1 if the node takes what nobody has, 2 if it only takes what was given up, 0 if it
-- takes that where it lacks nothing, [6] what it knows of clear, [7] what clear has to be for that; 0 for never.
-- Tokens grow: they are times of the engine, in microseconds. That of the answer is the last but one.
local who, token, clear = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+) (%d+)$')
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function text(n) return string.format('%.0f', n) end
clear = text(math.max(clear or 0, tonumber(ARGV[6])))
local function answer(word, token, left) return {word, token, left, text(now), clear} end
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
elseif ARGV[2] == '0' or ARGV[5] ~= '1' and not who then return answer(who and 'free' or 'none', token or '0', 0)
elseif ARGV[5] == '0' and (ARGV[7] == '0' or tonumber(clear) < tonumber(ARGV[7])) then return answer('free', token, 0)
end
local new = text(math.max(now, (token or 0) + 1, ARGV[3] + 1, ARGV[4] + 1))
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. new .. ' ' .. clear, 'PX', ARGV[2])
return answer('mine', new, 0)
