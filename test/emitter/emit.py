# Emits with the package socket.io-emitter: python emit.py PORT SCRIPT, which is that of emit.js.
import json
import sys

import redis
from socket_io_emitter import Emitter


def value(v):
    if isinstance(v, list):
        return [value(x) for x in v]
    if isinstance(v, dict):
        if "$buffer" in v:
            return bytes.fromhex(v["$buffer"])
        return {k: value(x) for k, x in v.items()}
    return v


client = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]))
for rooms, _, args in json.loads(sys.argv[2]):
    io = Emitter({"client": client})
    for room in rooms:
        io = io.To(room)
    io.Emit(*[value(a) for a in args])
