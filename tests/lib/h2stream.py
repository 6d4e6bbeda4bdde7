"""A WebSocket within a connection of HTTP/2 (RFC 8441), which is how a
browser asks for one that speaks HTTP/2 with the web server already.

    stream = Http2Stream(("127.0.0.1", port))
    if stream.offered:
        stream.connect("/room/listen")
        with RawSocket(stream) as raw:
            raw.next_message()
"""

import struct

from rawsocket import RawSocket

DATA, HEADERS, SETTINGS = 0, 1, 4
END_HEADERS, ACK = 4, 1
CONNECT_PROTOCOL = struct.pack("!HI", 8, 1)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STATUS_200 = b"\x88"


class Http2Stream:
    """The only one of its connection. `offered`: whether the server lets
    WebSockets through."""

    def __init__(self, address):
        self.wire = RawSocket(address)
        self.wire.send(PREFACE + frame(SETTINGS))
        self.offered = CONNECT_PROTOCOL in self.take(SETTINGS)

    def connect(self, path):
        self.wire.send(frame(SETTINGS, ACK) + frame(
            HEADERS, END_HEADERS, 1, b"".join(
                field(name, value) for name, value in (
                    (":method", "CONNECT"), (":protocol", "websocket"),
                    (":scheme", "http"), (":authority", "localhost"),
                    (":path", path), ("sec-websocket-version", "13")))))
        assert self.take(HEADERS)[:1] == STATUS_200

    def take(self, kind):
        """The payload of the next frame of a kind that is no
        acknowledgement."""
        while True:
            head = self.wire.read(9)
            payload = self.wire.read(int.from_bytes(head[:3], "big"))
            if head[3] == kind and not (kind == SETTINGS and head[4]):
                return payload

    # What a socket has.

    def sendall(self, data):
        self.wire.send(frame(DATA, 0, 1, data))

    def recv(self, _size):
        return self.take(DATA)

    def close(self):
        self.wire.socket.close()


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack(
        "!BBI", kind, flags, stream) + payload


def field(name, value):
    """Literal, never indexed, not Huffman coded; shorter than 127 bytes."""
    assert len(name) < 127 and len(value) < 127
    return (b"\x10" + bytes([len(name)]) + name.encode()
            + bytes([len(value)]) + value.encode())
