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


class Client(SocketIO):
    """A client whose waiting can be ended. disconnect alone ends it too, but is not made
    for two threads: the waiting one may find the connection closed, before it looks
    whether it should wait on, and open another that nobody ends.
    """

    stopping = False

    def _should_stop_waiting(self, *args, **kw):
        return self.stopping or super()._should_stop_waiting(*args, **kw)


transports = {"polling": ["xhr-polling"], "upgrade": ["xhr-polling", "websocket"]}
client = Client(task["url"], None, Namespace, transports=transports[task["way"]])
report("transport", client.transport_name)
serving = threading.Thread(target=client.wait, daemon=True)
serving.start()
command()
client.stopping = True
serving.join()
client.disconnect()
done()
