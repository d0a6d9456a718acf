"""Talks with the Go test: JSON lines out, one command a line in.

A driver is one client. Its only argument is JSON: the url of the server, the way
to connect (polling, websocket or upgrade), the rooms to join at each connect, and
what else a kind of client needs. What it sees it prints as {"saw", "text"}; the
text of an event is JSON. The line "close" on its input ends it.
"""

import json
import os
import sys
import threading

task = json.loads(sys.argv[1])

_printing = threading.Lock()


def report(saw, text=""):
    """Prints one line for the test."""
    with _printing:
        sys.stdout.write(json.dumps({"saw": saw, "text": text}) + "\n")
        sys.stdout.flush()


def event(payload):
    """Reports an event; payload is what the client made of its JSON."""
    report("event", json.dumps(payload))


def command():
    """Waits for the test to say that the client is to end."""
    return sys.stdin.readline().strip()


def done():
    """Says that the client was told to disconnect, waits until the test has seen what
    came of that, and ends the process with the threads that the client leaves behind.
    """
    report("closed")
    sys.stdin.read()
    os._exit(0)
