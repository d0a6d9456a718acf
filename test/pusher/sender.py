"""Calls Pusher's Python library: sender.py SETTINGS CALL ARGUMENTS, each of the two as JSON.

Prints what the call returned, or the error, as JSON.
"""
import json
import sys

import pusher

settings = json.loads(sys.argv[1])
client = pusher.Pusher(
    app_id=settings["app"], key=settings["key"], secret=settings["secret"], host="127.0.0.1",
    port=settings["port"], ssl=False, encryption_master_key_base64=settings["masterKey"],
)
try:
    result = getattr(client, sys.argv[2])(*json.loads(sys.argv[3]))
    print(json.dumps({"ok": True, "result": result}, default=lambda b: b.decode()))
except Exception as err:  # the test looks at what kind it is
    print(json.dumps({"ok": False, "result": type(err).__name__ + ": " + str(err)}))
