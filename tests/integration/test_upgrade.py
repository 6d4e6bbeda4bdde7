"""WebSocket upgrades of /<channel>/listen go to the bridge's own listener, all
else to FastCGI; the bridge checks what a worker would."""

import json

import pytest

from client import Http
from rawsocket import RawSocket, head

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket",
           "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


@pytest.mark.parametrize("prefix", ["", "/below/a-prefix"],
                         ids=["root", "prefix"])
def test_upgrade_is_answered_without_any_worker(new_stack, prefix):
    stack = new_stack(prefix=prefix)
    stack.stop_workers()
    http = Http(stack.port, prefix)
    for path in ("/room/listen", "/a%2Fb/listen?x=%C3%A9"):
        for upgrade in ("websocket", "WebSocket"):
            with RawSocket(("127.0.0.1", stack.port)) as raw:
                raw.handshake(prefix + path, Upgrade=upgrade)
        assert http.get(path).status in (500, 502, 503)
    assert http.get("/polysocket/xhr", UPGRADE).status in (500, 502, 503)


def test_other_upgrades_are_requests_like_any(http):
    for upgrade in ("h2c", "websockets", "TLS/1.0"):
        response = http.get("/polysocket/xhr", {
            "Connection": "Upgrade", "Upgrade": upgrade}, socket="none.0")
        assert (response.status, response.code) == (403, "socket_unknown")


def test_a_plain_request_at_ws_socket(stack):
    with RawSocket(stack.ws_socket) as raw:
        raw.send(b"GET /room/listen HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, body = raw.answer()
        assert (status, json.loads(body)["code"]) == (426, "upgrade_required")
        assert headers["sec-websocket-version"] == "13"


# What is refused looks the same as from a worker.

def refusal(stack, path="/room/listen", **headers):
    """Through the web server: status, code, headers."""
    response = Http(stack.port).get(path, {**UPGRADE, **{
        name.replace("_", "-"): value for name, value in headers.items()}})
    assert response.json["success"] is False
    assert response.header("X-Content-Type-Options") == "nosniff"
    assert "no-store" in response.header("Cache-Control")
    return response.status, response.code, response


def join(stack, path, **headers):
    """A RawSocket that is let in as soon as the bridge knows the token."""
    joined = []

    def is_let_in():
        raw = RawSocket(("127.0.0.1", stack.port))
        raw.send(head(path, **headers))
        joined.append(raw)
        return raw.answer()[0] == 101

    stack.wait_until(is_let_in, "the bridge knows the token")
    for raw in joined[:-1]:
        raw.socket.close()
    return joined[-1]


def joins(stack, path, **headers):
    with join(stack, path, **headers):
        pass


@pytest.mark.anonymous(None)
def test_tokens(stack):
    stack.add_token("listener")
    stack.add_token("a&b+c%")
    status, code, response = refusal(stack)
    assert (status, code) == (401, "token_required")
    assert response.header("WWW-Authenticate") == "Bearer"
    assert refusal(stack, "/room/listen?token=nobody")[:2] == (
        403, "token_unknown")
    assert refusal(stack, Authorization="Bearer nobody")[:2] == (
        403, "token_unknown")
    joins(stack, "/room/listen?token=listener")
    joins(stack, "/room/listen?token=a%26b%2Bc%25")
    joins(stack, "/room/listen", Authorization="Bearer listener")


@pytest.mark.anonymous(None)
def test_channels_of_tokens(stack):
    stack.add_token("some", channels=[("room-*", 0, 1), ("emit", 1, 0)])
    joins(stack, "/room-1/listen?token=some")
    for channel in ("emit", "elsewhere"):
        assert refusal(stack, f"/{channel}/listen?token=some")[:2] == (
            403, "channel_refused")


@pytest.mark.anonymous(None)
def test_origins(stack):
    stack.add_token("pages", origins=("https://a.test",), allow_no_origin=0)
    path = "/room/listen?token=pages"
    joins(stack, path, Origin="https://a.test")
    joins(stack, path, Referer="https://a.test/page")
    for headers in ({}, {"Origin": "https://b.test"}, {"Origin": "null"},
                    {"Referer": "https://b.test/page"}):
        status, code, response = refusal(stack, path, **headers)
        assert (status, code) == (403, "origin_refused")
        assert response.header("Access-Control-Allow-Origin") is None


@pytest.mark.anonymous(None)
def test_limits_of_tokens(stack):
    stack.add_token("one", max_sockets=1)
    path = "/room/listen?token=one"
    with join(stack, path):
        status, code, response = refusal(stack, path)
        assert (status, code) == (429, "connection_limit")
        assert response.json["limit"] == "max_sockets"
        assert int(response.header("Retry-After")) > 0


def test_limits_of_addresses_know_the_client(new_stack):
    """The web server's word for who it is, not the client's own."""
    stack = new_stack(options={"max_sessions_per_address": 1})
    with RawSocket(("127.0.0.1", stack.port)) as raw:
        raw.handshake(X_Forwarded_For="192.0.2.1")
        status, code, response = refusal(
            stack, X_Forwarded_For="192.0.2.2")
        assert (status, code) == (429, "connection_limit")
        assert response.json["limit"] == "max_sessions_per_address"
    rows = stack.sql("SELECT DISTINCT remote_addr FROM sessions")
    assert "192.0.2" not in str(rows)


def test_a_full_bridge(new_stack):
    stack = new_stack(options={"max_sessions": 1})
    with RawSocket(("127.0.0.1", stack.port)) as raw:
        raw.handshake()
        status, code, response = refusal(stack)
        assert (status, code) == (503, "bridge_full")
        assert int(response.header("Retry-After")) > 0


def test_without_the_service(new_stack):
    stack = new_stack(options={"services": "relay"})
    assert refusal(stack)[:2] == (404, "not_found")
