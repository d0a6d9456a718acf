-- Gives a node a seat. ARGV[5] seat, [6] the one that it takes the place of, or empty.
redis.call('HSETNX', seats, ARGV[5], '0 ')
keep(seats)
if ARGV[6] == '' then toldAll(ARGV[5]) end
if ARGV[6] ~= '' and redis.call('EXISTS', T .. ':dh:' .. ARGV[6]) == 1 then
  redis.call('RENAME', T .. ':dh:' .. ARGV[6], T .. ':dh:' .. ARGV[5])
end
return e
