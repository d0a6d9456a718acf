"""Drives socketIO-client 0.7.2, which knows polling and the change to WebSocket."""

import threading

from socketIO_client import SocketIO, SocketIONamespace

from driver import command, done, event, report, task


class Namespace(SocketIONamespace):
    def join(self, saw):
        for room in task["rooms"]:
            self.emit("room", room)
        report(saw)

    def on_connect(self):
        self.join("connect")

    def on_reconnect(self):
        self.join("connect")

    def on_disconnect(self):
        report("disconnect")

    def on_news(self, payload):
        event(payload)


transports = {"polling": ["xhr-polling"], "upgrade": ["xhr-polling", "websocket"]}
client = SocketIO(task["url"], None, Namespace, transports=transports[task["way"]])
report("transport", client.transport_name)
# wait serves the connection until disconnect is called.
serving = threading.Thread(target=client.wait, daemon=True)
serving.start()
command()
client.disconnect()
done()
