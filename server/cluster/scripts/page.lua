-- A page of a chunk of what is kept of an app, see keep.lua: "page", the engine's time and a part of it; "next" and "end" at
-- the end of one, behind which there is another one, or none yet; "anew" where it is not there any more.
-- KEYS[1] state of a partition. ARGV[1] T, [2] app, [3] epoch and [4] number of where it began, [5] chunk, [6] how many
-- of it the caller has, [7] most frames and [8] most bytes of one page, [9] the number of the last that the caller has, or behind
-- which the chunk begins: another chunk may have the name of one that ended, once all of an app did.
local T, app, had = ARGV[1], ARGV[2], tonumber(ARGV[6])
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local m = redis.call('HMGET', KEYS[1], 'e', 'h:' .. app)
local key = T .. ':hc:' .. ARGV[5] .. ':' .. app
local length = redis.call('LLEN', key)
if m[1] ~= ARGV[3] or string.match(m[2] or '', '^%d+') ~= ARGV[4] or length == 0 or length < had then return {'anew', now} end
local before
if had == 0 then before = redis.call('HGET', T .. ':h:' .. app, ARGV[5] .. ':b')
else before = string.match(redis.call('LINDEX', key, had - 1), '^%d+ %d+ (%d+) ') end
if before ~= ARGV[9] then return {'anew', now} end
if length == had then
  return {tonumber(redis.call('HGET', T .. ':h:' .. app, 'l') or 0) > tonumber(ARGV[5]) and 'next' or 'end', now}
end
local answer, bytes = {'page', now}, 0
-- A few at a time: they may be large.
for first = had, had + ARGV[7] - 1, 16 do
  for _, frame in ipairs(redis.call('LRANGE', key, first, math.min(first + 16, had + ARGV[7]) - 1)) do
    bytes = bytes + #frame
    if bytes > tonumber(ARGV[8]) and #answer > 2 then return answer end
    answer[#answer + 1] = frame
  end
end
return answer
