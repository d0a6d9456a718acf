"""Drives python-socketio; 4.6.1 and 5.x have the same calls."""

import socketio

from driver import command, done, event, report, task

client = socketio.Client()


@client.on("connect")
def connected():
    for room in task["rooms"]:
        client.emit("room", room)
    report("connect")


@client.on("disconnect")
def disconnected(*reason):
    report("disconnect", str(reason))


client.on("news", event)

transports = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": None}
client.connect(task["url"], transports=transports[task["way"]])
report("transport", client.transport())
command()
client.disconnect()
done()
