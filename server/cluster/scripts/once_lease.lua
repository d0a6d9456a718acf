-- Which node takes the messages of a source. KEYS[1] is "node token", with a time to live, or "- token" for
-- one that was given up. ARGV[1] node, [2] milliseconds, 0 to give it up, [3] the token that the node has, or
-- 0, [4] a token that a new one has to be above, [5] 1 if the node takes what nobody has, 2 if it only takes
-- what was given up.
-- Tokens grow: they are times of the engine.
local who, token = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+)$')
if who == ARGV[1] then
  if ARGV[2] == '0' then
    redis.call('SET', KEYS[1], '- ' .. token, 'PX', 60000)
    return {'free', token, 0}
  end
  if tonumber(token) > tonumber(ARGV[4]) then
    redis.call('SET', KEYS[1], who .. ' ' .. token, 'PX', ARGV[2])
    return {'mine', token, 0}
  end
elseif who and who ~= '-' then return {'theirs', token, redis.call('PTTL', KEYS[1])}
elseif ARGV[2] == '0' or ARGV[5] == '2' and not who then return {who and 'free' or 'none', token or '0', 0}
end
local t = redis.call('TIME')
local new = string.format('%.0f', math.max(t[1] * 1000000 + t[2], (token or 0) + 1, ARGV[3] + 1, ARGV[4] + 1))
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. new, 'PX', ARGV[2])
return {'mine', new, 0}
