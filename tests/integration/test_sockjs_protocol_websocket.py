"""The SockJS protocol by WebSocket: framed and raw. See
test_sockjs_protocol.py; test_sockjs_websocket.py has what is our own."""

import secrets

import pytest

from channel import UPGRADE
from client import Http
from rawsocket import CLOSE, close_payload
from sockjs import Service
from test_sockjs_protocol import NOBODY, check_404, check_405

KEY, ACCEPT = "x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
GO_AWAY = (3000, "Go away!")

pytestmark = pytest.mark.options(stream_bytes="4KiB")


@pytest.fixture
def echo(sockjs):
    return sockjs("echo")


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
    assert "Upgrade" in response.text
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


@pytest.mark.parametrize("version, header", [
    ("13", "Origin"), ("8", "Sec-WebSocket-Origin")])
def test_an_origin_that_the_application_refuses(http, new_application,
                                                version, header):
    application = new_application(
        "echo", origins=["https://app.example.com"])
    service = Service(http, application.authorize())
    for path in ("/a/a/websocket", "/websocket"):
        response = service.get(path, {
            **UPGRADE, "Sec-WebSocket-Version": version,
            header: "https://evil.example"})
        assert response.status == 403, response
    with service.socket(Sec_WebSocket_Version=version, **{
            header.replace("-", "_"): "https://app.example.com"}) as socket:
        socket.say_messages("a")
        assert socket.messages() == ["a"]


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
        socket.say(CLOSE, close_payload(*GO_AWAY))
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


@pytest.mark.parametrize("text", [
    '["a', "[", "a", '["a"]]', "1", "{}", "null", "[1]", '["a",null]',
    '[["a"]]', '"a', '["\\x"]'])
def test_broken_json(echo, text):
    with echo.socket() as socket:
        socket.say_text(text)
        assert socket.next_close()[0] == 1007
        assert socket.at_end()


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
        socket.say(CLOSE, close_payload(*GO_AWAY))
        assert socket.at_end()
