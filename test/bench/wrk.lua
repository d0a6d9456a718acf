-- Sends signed requests in turn. They are in the file that BENCH_REQUESTS names,
-- as they go on the wire, with a NUL byte between two.
local requests = {}
local at = 0

function init()
  local file = assert(io.open(os.getenv("BENCH_REQUESTS"), "rb"))
  for request in file:read("*a"):gmatch("%Z+") do
    requests[#requests + 1] = request
  end
  file:close()
end

function request()
  at = at % #requests + 1
  return requests[at]
end

-- One line for the benchmark: requests, microseconds, answers that are errors,
-- what else went wrong, and the latency in microseconds.
function done(summary, latency)
  local e = summary.errors
  print(string.format("RESULT %d %d %d %d %d %d", summary.requests, summary.duration, e.status,
    e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
