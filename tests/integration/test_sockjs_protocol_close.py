"""The SockJS protocol: who closes a session, and how; and its answers in
HTTP/1.0 and 1.1. See test_sockjs_protocol.py.

What a server is told of clients that leave depends on the web server in front
(doc/operations.md): lighttpd tells a reset of the connection, but no ordinary
end of it; Apache tells neither. Both tell it when they cannot write, and with
a heartbeat they have to."""

import json

import pytest

from rawsocket import RawSocket
from sockjs import HTTP_TRANSPORTS, STREAMS, Service

GO_AWAY = 'c[3000,"Go away!"]'
OTHER_IS_OPEN = 'c[2010,"Another connection still open"]'
INTERRUPTED = 'c[1002,"Connection interrupted"]'
GREETING = b"Welcome to SockJS!\n"
OPENING = b"h" * 2048 + b"\no\n"       # of XHR streaming
LAST = "x" * 4096                       # ends a stream, see stream_bytes

pytestmark = pytest.mark.options(stream_bytes="4KiB")


@pytest.fixture
def echo(sockjs):
    return sockjs("echo")


@pytest.fixture(params=HTTP_TRANSPORTS)
def transport(request):
    return request.param


def frames(session, transport):
    """Of one answer, to its end."""
    with session.begin(transport) as receiver:
        return list(iter(receiver.frame, None))


@pytest.fixture
def hold(stack):
    """Begins a receiver and waits until the bridge holds it."""
    def begin(session, transport):
        return stack.until_held(lambda: session.begin(transport))

    return begin


# Closed by the server.

def test_close_frame(sockjs, transport):
    """Whoever asks gets it, not that another connection is open, and streams
    end with it."""
    session = sockjs("close").session()
    heard = []
    while GO_AWAY not in heard:
        heard += frames(session, transport)
    assert heard == ["o", GO_AWAY]
    for other in HTTP_TRANSPORTS:
        assert frames(session, other) == [GO_AWAY]
    assert session.try_send('["a"]').status == 404


@pytest.mark.parametrize("stream", STREAMS)
def test_close_frame_in_a_stream_that_is_open(http, new_application, stream):
    application = new_application(events=True)
    socket_id = application.authorize()
    session = Service(http, socket_id).session()
    with session.open(stream) as receiver:
        name = application.wait_event("connected")["session"]
        application.publish(socket_id, "last words")
        application.publish(socket_id, session=name,
                            close={"code": 4001, "reason": "\u20ac<\"%"})
        assert receiver.messages() == ["last words"]
        frame = receiver.frame()
        assert frame[0] == "c"
        assert json.loads(frame[1:]) == [4001, "\u20ac<\"%"]
        assert receiver.at_end()


def test_close_request(echo, hold, transport):
    """A second receiver is told so at once and does no harm to the first."""
    session = echo.session()
    assert session.xhr().text == "o\n"
    with hold(session, transport) as first:
        for other in HTTP_TRANSPORTS:
            assert frames(session, other) == [OTHER_IS_OPEN]
        session.send("a")
        assert first.messages() == ["a"]


# Left by the client.

def after(session, stack):
    """What the next receiver is told once the first is known to be gone."""
    heard = []

    def something_else():
        heard[:] = [session.xhr().text]
        return heard[0] != OTHER_IS_OPEN + "\n"

    stack.wait_until(something_else, "the end of the first receiver")
    return heard[0].rstrip("\n")


@pytest.mark.parametrize("server", ["lighttpd"])
def test_abort_by_a_reset(echo, hold, stack, transport):
    session = echo.session()
    assert session.xhr().text == "o\n"
    with hold(session, transport) as first:
        if transport in STREAMS:
            first.prelude()
        assert first.head() == 200
        assert session.xhr().text == OTHER_IS_OPEN + "\n"
        first.exchange.reset()
        assert after(session, stack) == INTERRUPTED
        # As any session that was closed:
        assert session.xhr().text == INTERRUPTED + "\n"
        assert session.try_send('["a"]').status == 404


@pytest.mark.options(heartbeat_interval="200ms")
@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("stream", STREAMS)
def test_abort_of_streams(echo, stack, stream, how):
    session = echo.session()
    with session.open(stream) as first:
        assert frames(session, stream) == [OTHER_IS_OPEN]
        getattr(first.exchange, how)()
        assert after(session, stack) == INTERRUPTED


@pytest.mark.options(heartbeat_interval="500ms")
@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("poll", ["xhr", "jsonp"])
def test_abort_of_polls(echo, hold, stack, poll, how):
    """Where nobody tells it the heartbeat takes the poll's place, and the
    session goes on: its client has lost nothing but that."""
    session = echo.session()
    assert session.xhr().text == "o\n"
    with hold(session, poll) as first:
        getattr(first.exchange, how)()
        assert after(session, stack) in (INTERRUPTED, "h")


def test_an_abort_is_told_to_the_application(http, new_application, stack):
    application = new_application(events=True)
    service = Service(http, application.authorize())
    socket = service.socket()
    name = application.wait_event("connected")["session"]
    socket.socket.close()
    gone = application.wait_event("disconnected", session=name)
    assert (gone["client"], gone["code"]) == ("ann", 1006)


# HTTP/1.0 and 1.1.

class Connection(RawSocket):
    """One connection, request by request."""

    def __init__(self, stack):
        super().__init__(("127.0.0.1", stack.port))

    def request(self, method, path, version):
        # lighttpd answers a POST without a length with 411.
        self.send(f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n"
                  "Connection: keep-alive\r\nContent-Length: 0\r\n\r\n"
                  .encode())
        lines = self.read_until(b"\r\n\r\n").decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in
                   (line.partition(": ") for line in lines[1:-2])}
        protocol, status = lines[0].split()[:2]
        assert status == "200", lines
        return protocol, headers

    def rest(self):
        """All up to the end of the connection."""
        while data := self.receive():
            self.buffer += data
        data, self.buffer = self.buffer, b""
        return data

    def chunk(self):
        data = self.read(int(self.read_until(b"\r\n"), 16))
        assert self.read(2) == b"\r\n"
        return data


def test_synchronous_http10(echo, stack):
    with Connection(stack) as connection:
        _, headers = connection.request("GET", echo.base, "1.0")
        assert "transfer-encoding" not in headers
        if "content-length" in headers:
            assert headers["content-length"] == str(len(GREETING))
        if "keep-alive" not in headers.get("connection", "").lower():
            assert connection.rest() == GREETING
            return
        assert connection.read(int(headers["content-length"])) == GREETING
        connection.request("GET", echo.base, "1.0")


def test_streaming_http10(echo, stack):
    session = echo.session()
    with Connection(stack) as connection:
        _, headers = connection.request(
            "POST", f"{echo.base}{session.path}/xhr_streaming", "1.0")
        assert not {"transfer-encoding", "content-length"} & set(headers)
        assert connection.read(len(OPENING)) == OPENING
        session.send(LAST)
        assert connection.rest() == f'a["{LAST}"]\n'.encode()


def test_synchronous_http11(echo, stack):
    with Connection(stack) as connection:
        for _ in range(2):      # on one connection
            protocol, headers = connection.request("GET", echo.base, "1.1")
            assert protocol == "HTTP/1.1"
            assert "close" not in headers.get("connection", "").lower()
            if "content-length" in headers:
                assert "transfer-encoding" not in headers
                assert connection.read(
                    int(headers["content-length"])) == GREETING
            else:
                assert headers["transfer-encoding"] == "chunked"
                assert connection.chunk() == GREETING
                assert connection.chunk() == b""


def test_streaming_http11(echo, stack):
    session = echo.session()
    with Connection(stack) as connection:
        _, headers = connection.request(
            "POST", f"{echo.base}{session.path}/xhr_streaming", "1.1")
        assert headers["transfer-encoding"] == "chunked"
        assert "content-length" not in headers
        data = b""
        while data != OPENING:
            assert OPENING.startswith(data)
            data += connection.chunk()
        session.send(LAST)
        data = b"".join(iter(connection.chunk, b""))
        assert data == f'a["{LAST}"]\n'.encode()
