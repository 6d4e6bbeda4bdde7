"""The SockJS protocol by WebSocket: framed and raw. See
test_sockjs_protocol.py."""

import contextlib
import json
import secrets

import pytest

from channel import UPGRADE
from client import Http
from h2stream import Http2Stream
from rawsocket import BINARY, CLOSE, PING, PONG, TEXT, close_payload
from sockjs import FramedSocket, Service
from test_sockjs_protocol import NOBODY, check_404, check_405

KEY, ACCEPT = "x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
GO_AWAY = (3000, "Go away!")

pytestmark = pytest.mark.options(stream_bytes="4KiB")


@pytest.fixture
def echo(sockjs):
    return sockjs("echo")


def check_gone(socket):
    """That nothing comes any more but, perhaps, a close frame; returns its
    code."""
    with contextlib.suppress(AssertionError):
        return socket.next_close()[0]
    return None


# Requests that are none for a WebSocket.

@pytest.mark.parametrize("version", ["1.1", "2"])
def test_an_ordinary_request(echo, stack, version):
    echo.http = Http(stack.port, stack.prefix, version)
    response = echo.get("/0/0/websocket")
    assert response.status == 400, response
    assert 'Can "Upgrade" only to "WebSocket".' in response.text
    check_405(echo.request("POST", "/0/0/websocket"), "GET")


def test_invalid_connection_header(echo):
    """A proxy on the way does not pass upgrades."""
    response = echo.get("/0/0/websocket", {"Upgrade": "WebSocket",
                                           "Connection": "close"})
    assert response.status == 400, response
    assert response.text
    # All but that is right:
    response = echo.get("/0/0/websocket", {**UPGRADE, "Connection": "close"})
    assert response.status == 400, response


def test_invalid_method(echo):
    check_405(echo.request("POST", "/0/0/websocket", {
        "Upgrade": "WebSocket", "Connection": "Upgrade"}), "GET")
    check_405(echo.request("POST", "/0/0/websocket", UPGRADE), "GET")


@pytest.mark.parametrize("path", [
    "/websocket/", "/a/websocket", "/a/a/a/websocket", "//websocket",
    "/a./a/websocket", "/a/a./websocket", "//a/websocket"])
def test_invalid_paths(echo, path):
    check_404(echo.get(path, UPGRADE))


def test_nobody_is_not_found(http):
    check_404(http.get(f"/{NOBODY}/websocket", UPGRADE))
    check_404(http.get(f"/{NOBODY}/a/a/websocket", UPGRADE))


def test_a_service_without_websockets(sockjs):
    service = sockjs("disabled_websocket_echo")
    for path in ("/a/a/websocket", "/websocket"):
        check_404(service.get(path))
        check_404(service.get(path, UPGRADE))


def test_an_origin_that_the_application_refuses(http, new_application):
    application = new_application(
        "echo", origins=["https://app.example.com"])
    base = f"/{application.authorize()}"
    for path in ("/a/a/websocket", "/websocket"):
        response = http.get(base + path, {
            **UPGRADE, "Origin": "https://evil.example"})
        assert response.status == 403, response


# WebSockets: hybi-10 and what came after it.

def test_transport(echo):
    with echo.socket() as socket:
        socket.say_text("")             # empty frames are ignored
        socket.say_text("[]")
        socket.say_text('["a"]')
        assert socket.text() == 'a["a"]'
        socket.say_text('["b","c"]')
        heard = socket.messages()
        while len(heard) < 2:
            heard += socket.messages()
        assert heard == ["b", "c"]
        socket.say_text('"bare"')       # which some clients send
        assert socket.text() == 'a["bare"]'
        assert socket.leave()[0] == 1000


def test_close(sockjs):
    with sockjs("close").socket() as socket:
        assert socket.text() == 'c[3000,"Go away!"]'
        assert socket.next_close() == GO_AWAY
        assert socket.at_end()


@pytest.mark.parametrize("version", ["7", "8", "13"])
@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade"])
def test_headers_sanity(echo, version, connection):
    """The second Connection is that of Firefox 6."""
    with echo.socket(Connection=connection, Sec_WebSocket_Version=version,
                     Sec_WebSocket_Origin="http://asd",
                     Sec_WebSocket_Key=KEY) as socket:
        assert socket.answered["sec-websocket-accept"] == ACCEPT
        assert socket.answered["connection"].lower() == "upgrade"
        assert socket.answered["upgrade"].lower() == "websocket"
        assert "content-length" not in socket.answered
        socket.say_messages("a")
        assert socket.text() == 'a["a"]'


@pytest.mark.parametrize("version", ["0", "6", "9", "14", "x", None])
def test_other_versions(echo, version):
    response = echo.get("/0/0/websocket",
                        {**UPGRADE, "Sec-WebSocket-Version": version})
    assert response.status in (400, 426), response


@pytest.mark.parametrize("text", [
    '["a', "[", "a", '["a"]]', "1", "{}", "null", "[1]", '["a",null]',
    '[["a"]]', '"a', '["\\x"]'])
def test_broken_json(echo, text):
    with echo.socket() as socket:
        socket.say_text(text)
        assert check_gone(socket) in (None, 1007)


def test_binary(echo):
    with echo.socket() as socket:
        socket.say(BINARY, b'["a"]')
        assert check_gone(socket) in (1003, 1007)


def test_text_that_is_no_utf8(echo):
    with echo.socket() as socket:
        socket.say(TEXT, b'["\xff"]')
        assert check_gone(socket) == 1007


def test_reuse_of_a_session_id(echo):
    """A WebSocket is a session of its own, whatever its path says."""
    path = f"/000/{secrets.token_hex(8)}/websocket"
    with echo.socket(path) as one, echo.socket(path) as other:
        one.say_messages("a")
        assert one.text() == 'a["a"]'
        other.say_messages("b")
        assert other.text() == 'a["b"]'
        one.leave()
        other.leave()
    with echo.socket(path) as socket:
        socket.say_messages("a")
        assert socket.text() == 'a["a"]'


def test_server_and_session_of_any_value(echo):
    for path in ("/_/_", "/abcdefgh_i-j%20/abcdefg_i-j%20", "/%2F/%2F"):
        with echo.socket(path + "/websocket") as socket:
            socket.say_messages("a")
            assert socket.text() == 'a["a"]'


@pytest.mark.options(heartbeat_interval="100ms")
def test_heartbeats(echo):
    with echo.socket() as socket, echo.raw() as raw:
        assert [socket.text(), socket.text()] == ["h", "h"]
        assert raw.next_frame()[0] == PING
        # One that answers stays.
        raw.say(PONG)
        raw.say_text("still there")
        while (frame := raw.next_frame())[0] == PING:
            raw.say(PONG, frame[1])
        assert frame == (TEXT, b"still there")


def test_fragments_and_pings(echo):
    with echo.socket() as socket:
        socket.say(TEXT, b'["fr', fin=False)
        socket.say(PING, b"there?")
        assert socket.next_frame() == (PONG, b"there?")
        socket.say(0, b'om parts"]')
        assert socket.messages() == ["from parts"]


def test_over_http2(echo, stack):
    stream = Http2Stream(("127.0.0.1", stack.port))
    with FramedSocket(stream) as socket:
        assert stream.offered is (stack.server == "lighttpd")
        if not stream.offered:
            return      # a browser makes a connection of HTTP/1.1 then
        stream.connect(f"{echo.base}/000/{secrets.token_hex(8)}/websocket")
        assert socket.text() == "o"
        socket.say_messages("by HTTP/2")
        assert socket.messages() == ["by HTTP/2"]


def test_a_close_frame_is_answered(echo):
    with echo.socket() as socket:
        socket.say_messages("last words")
        socket.say(CLOSE, close_payload(4321, "done"))
        code, reason = socket.next_close()
        assert (code, reason) == (4321, "done")
        assert socket.at_end()


# The raw one.

def test_raw_transport(echo):
    with echo.raw() as socket:
        for text in ("Hello world!\uffff", '["a"]', "\0\u2028", "o"):
            socket.say_text(text)
            assert socket.text() == text
        assert socket.leave()[0] == 1000


def test_raw_close(sockjs):
    with sockjs("close").raw() as socket:
        assert socket.next_close() == GO_AWAY
        assert socket.at_end()


def test_raw_binary(echo):
    with echo.raw() as socket:
        socket.say(BINARY, b"a")
        assert check_gone(socket) == 1003


def test_raw_and_framed_of_one_client(http, new_application):
    """What is published gets to both, each in its own clothing."""
    application = new_application()
    socket_id = application.authorize()
    service = Service(http, socket_id)
    with service.raw() as raw, service.socket() as framed:
        assert application.publish(socket_id, "to\u2028all")["sessions"] == 2
        assert raw.text() == "to\u2028all"
        assert framed.text() == 'a["to\\u2028all"]'


def test_large_messages(echo):
    text = "".join(secrets.token_hex(500) for _ in range(100))
    with echo.socket() as socket, echo.raw() as raw:
        socket.say_messages(text)
        assert socket.messages() == [text]
        raw.say_text(text)
        assert raw.text() == text
        # Many at once come in order, in as many frames as may be.
        socket.say_messages(*map(str, range(200)))
        heard = []
        while len(heard) < 200:
            heard += json.loads(socket.text()[1:])
        assert heard == [str(n) for n in range(200)]
