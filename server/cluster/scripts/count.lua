-- How many connections and members are in a room. KEYS[1] of connections, [2] of members.
local sum = 0
for _, v in ipairs(redis.call('HVALS', KEYS[1])) do sum = sum + tonumber(v) end
return {sum, redis.call('HLEN', KEYS[2])}
