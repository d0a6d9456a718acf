"""Drives Pysher: public, private and presence channels of Pusher."""

import json

import pysher

from driver import command, done, report, task

client = pysher.Pusher(
    task["key"], secret=task["secret"], user_data={"user_id": "7", "user_info": {"name": "é"}},
    custom_host=task["host"], port=task["port"], secure=False, reconnect_interval=0.2,
)


def subscribe(_):
    for name in task["rooms"]:
        channel = client.subscribe(name)
        channel.bind("pusher_internal:subscription_succeeded", lambda data, name=name: report("subscribed", name))
        channel.bind("news", lambda data: report("event", data))
        channel.bind("client-hello", lambda data: report("hello", data))
    report("connect")


client.connection.bind("pusher:connection_established", subscribe)
client.connection.bind("pusher:error", lambda data: report("error", json.dumps(data)))
client.connect()
while True:
    line = command()
    if line == "hello":
        client.channel(task["rooms"][1]).trigger("client-hello", {"from": "Pysher é"})
        continue
    break
client.disconnect()
done()
