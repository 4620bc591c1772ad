"""A WebSocket library at both ends of the gate: its server behind it, its client in front of it."""

import json
import sys
import threading

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve

closed = threading.Event()


def say(what):
    print(json.dumps(what), flush=True)


def handle(socket):
    """Answers as it is asked to, and else with what it heard."""
    try:
        for message in socket:
            if message == "who":
                socket.send(socket.request.headers["X-Key-Id"])
            elif message == "end":
                socket.close(4001, "as asked")
            else:
                socket.send(message)
    except ConnectionClosed:
        pass
    if socket.close_code == 4002:
        closed.set()


with serve(handle, "127.0.0.1", 0, subprotocols=["echo.v1"], max_size=None) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(server.socket.getsockname()[1])
    given = json.loads(sys.stdin.readline())

    def opened(path="", key=given["key"]):
        headers = {"Authorization": f"Bearer {key}", "X-Key-Id": "forged"}
        return connect(given["url"] + path, additional_headers=headers, subprotocols=["echo.v1"], max_size=None)

    with opened() as socket:
        say([socket.subprotocol, type(socket.protocol.extensions[0]).__name__])
        for sent in ("a word", bytes(range(256)) * 16_384, ["in ", "three ", "frames"]):
            socket.send(sent)
            say(socket.recv() == ("".join(sent) if isinstance(sent, list) else sent))
        socket.send("who")
        say(socket.recv())
        say(socket.ping().wait(20))
        socket.close(4002, "gone")
    say(closed.wait(20))

    with opened() as socket:
        socket.send("end")
        try:
            socket.recv()
        except ConnectionClosed as error:
            say([error.rcvd.code, error.rcvd.reason])

    for path, key in (("", "kw_live_wrong"), ("/../plain", given["key"])):
        try:
            opened(path, key)
        except InvalidStatus as error:
            say(error.response.status_code)
    server.shutdown()
