"""A FastCGI client: what no web server would send, straight to a worker."""

import contextlib
import http.client
import io
import socket
import struct

from client import Response

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR = 1, 2, 3, 4, 5, 6, 7
RESPONDER = 1
TIMEOUT_S = 60


class Request:
    """One request over a connection of its own; sends only what it is told."""

    def __init__(self, path, method, uri, **params):
        self.sock = connect(path)
        self.begin(method, uri, **params)

    def begin(self, method, uri, **params):
        self.record(BEGIN, struct.pack("!HB5x", RESPONDER, 0))
        path, _, query = uri.partition("?")
        self.params({
            "REQUEST_METHOD": method, "REQUEST_URI": uri,
            "SCRIPT_NAME": path, "QUERY_STRING": query,
            "REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "localhost", "SERVER_PORT": "80",
            "HTTP_HOST": "localhost", **params})

    def record(self, kind, content):
        self.sock.sendall(struct.pack("!BBHHBx", 1, kind, 1, len(content), 0)
                          + content)

    def params(self, params):
        pairs = b""
        for name, value in params.items():
            name, value = encode(name), encode(value)
            pairs += struct.pack("!II", len(name) | 1 << 31,
                                 len(value) | 1 << 31) + name + value
        self.record(PARAMS, pairs)
        self.record(PARAMS, b"")

    def body(self, content=b"", complete=True):
        if content:
            self.record(STDIN, content)
        if complete:
            self.record(STDIN, b"")
        return self

    def read_record(self):
        """(kind, content), None at the end of the connection."""
        head = self.read_exactly(8)
        if head is None:
            return None
        kind, size, padding = struct.unpack("!xB2xHBx", head)
        content = self.read_exactly(size + padding)
        return None if content is None else (kind, content[:size])

    def read_exactly(self, size):
        parts = b""
        while len(parts) < size:
            try:
                part = self.sock.recv(size - len(parts))
            except ConnectionError:
                part = b""
            if not part:
                return None
            parts += part
        return parts

    def response(self):
        """The answer; the request must be ended by END_REQUEST."""
        output = b""
        while True:
            record = self.read_record()
            assert record is not None, "closed without END_REQUEST"
            kind, content = record
            if kind == STDOUT:
                output += content
            if kind == END:
                break
        file = io.BytesIO(output)
        headers = http.client.parse_headers(file)
        status = int((headers.get("Status") or "200").split()[0])
        return Response(status, headers, file.read())

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.close()


class Recorded(Request):
    """One that is not sent; `bytes` is what would be."""

    def __init__(self, method, uri, body=b"", **params):
        self.bytes = b""
        self.sock = self
        self.begin(method, uri, CONTENT_LENGTH=str(len(body)), **params)
        self.body(body)

    def sendall(self, data):
        self.bytes += data


def connect(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(TIMEOUT_S)
    sock.connect(str(path))
    return sock


def encode(text):
    return text if isinstance(text, bytes) else text.encode("utf-8")
