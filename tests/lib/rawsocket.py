"""A WebSocket that says whatever a test wants to, well-formed or not."""

import fcntl
import json
import os
import socket
import ssl
import struct
import termios
import time

from client import TIMEOUT_S
from websocket import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT,
                       accept_key, close_payload, frame)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x37\xfa\x21\x3d"
__all__ = ["BINARY", "CLOSE", "CONTINUATION", "PING", "PONG", "TEXT",
           "RawSocket", "client_frame", "close_payload", "head"]


def client_frame(opcode, payload=b"", fin=True, rsv1=False, mask=MASK):
    return frame(opcode, payload, fin=fin, rsv1=rsv1, mask=mask)


def head(path="/room/listen", **headers):
    """The request; a header that is None is left out."""
    lines = {"Host": "localhost", "Upgrade": "websocket",
             "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": KEY}
    lines.update({name.replace("_", "-"): value
                  for name, value in headers.items()})
    return (f"GET {path} HTTP/1.1\r\n" +
            "".join(f"{name}: {value}\r\n" for name, value in lines.items()
                    if value is not None) + "\r\n").encode()


class RawSocket:
    """`address` is a path, or host and port, or what is connected."""

    def __init__(self, address, tls=None):
        self.buffer = b""
        if hasattr(address, "recv"):
            self.socket = address
            return
        unix = isinstance(address, (str, os.PathLike))
        self.socket = socket.socket(
            socket.AF_UNIX if unix else socket.AF_INET)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(str(address) if unix else address)
        if not unix:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket,
                                          server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # What goes out.

    def send(self, data, chop=None):
        """All at once, or so many bytes at a time, each of them taken before
        the next go."""
        for at in range(0, len(data), chop or len(data) or 1):
            self.socket.sendall(data[at:at + (chop or len(data))])
            if chop:
                self.wait_taken()

    def wait_taken(self):
        end = time.monotonic() + TIMEOUT_S
        while self.unread():
            assert time.monotonic() < end, "nobody reads"
            time.sleep(0)

    def unread(self):
        room = bytearray(4)
        fcntl.ioctl(self.socket, termios.TIOCOUTQ, room)
        return struct.unpack("i", room)[0]

    def say(self, opcode, payload=b"", chop=None, **options):
        self.send(client_frame(opcode, payload, **options), chop)

    # What comes.

    def read(self, n):
        while len(self.buffer) < n:
            data = self.receive()
            assert data, f"the end after {self.buffer!r}"
            self.buffer += data
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def receive(self):
        try:
            return self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            return b""

    def read_until(self, mark):
        while mark not in self.buffer:
            data = self.receive()
            assert data, f"the end after {self.buffer!r}"
            self.buffer += data
        at = self.buffer.index(mark) + len(mark)
        data, self.buffer = self.buffer[:at], self.buffer[at:]
        return data

    def answer(self):
        """Status, headers in lower case, body."""
        lines = self.read_until(b"\r\n\r\n").decode().split("\r\n")
        headers = {}
        for line in lines[1:-2]:
            name, value = line.split(": ", 1)
            headers.setdefault(name.lower(), []).append(value)
        headers = {name: ", ".join(values)
                   for name, values in headers.items()}
        return int(lines[0].split()[1]), headers, self.body(headers)

    def body(self, headers):
        if headers.get("transfer-encoding") != "chunked":
            return self.read(int(headers.get("content-length", 0)))
        body = b""
        while size := int(self.read_until(b"\r\n"), 16):
            body += self.read(size)
            self.read_until(b"\r\n")
        self.read_until(b"\r\n")
        return body

    def handshake(self, path="/room/listen", **headers):
        """Returns the headers of the 101, once CONNECTED is there as well."""
        self.send(head(path, **headers))
        status, answered, body = self.answer()
        assert status == 101, (status, answered, body)
        assert answered["sec-websocket-accept"] == accept_key(KEY)
        assert answered["upgrade"].lower() == "websocket"
        connected = self.next_message()
        assert connected["type"] == "CONNECTED", connected
        return answered

    def next_frame(self):
        """(opcode, payload): what a server says is whole and not masked."""
        first, second = self.read(2)
        assert first & 0x80 and not first & 0x30, (first, second)
        assert not second & 0x80, "masked"
        size = second
        if second == 126:
            size, = struct.unpack("!H", self.read(2))
            assert size > 125, "length not minimal"
        elif second == 127:
            size, = struct.unpack("!Q", self.read(8))
            assert size > 0xffff, "length not minimal"
        self.compressed = bool(first & 0x40)
        return first & 0x0f, self.read(size)

    def next_message(self):
        opcode, payload = self.next_frame()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    def find(self, kind):
        while (message := self.next_message())["type"] != kind:
            pass
        return message

    def next_close(self):
        """(code, reason) of the next close frame, and then the end."""
        while True:
            opcode, payload = self.next_frame()
            if opcode == CLOSE:
                break
        code = struct.unpack("!H", payload[:2])[0] if payload else None
        return code, payload[2:].decode()

    def at_end(self):
        return not self.buffer and not self.receive()
