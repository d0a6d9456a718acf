-- Has an answer stand among what is published: whoever gets it has had everything before it.
-- ARGV[4] channel of the node, [5] the request.
local e = epoch()
local m = redis.call('HMGET', meta, 'n', 'o', 'x')
-- A cluster that does not come back leaves nothing behind.
redis.call('EXPIRE', meta, 86400)
redis.call('EXPIRE', T .. ':l', 86400)
return redis.call('SPUBLISH', ARGV[4], 'F' .. net(ARGV[5]) .. net(e) .. net(m[1]) .. net(m[2]) .. net(m[3] or 0))
