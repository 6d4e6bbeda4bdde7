"""WebSockets of channels past the web server: the option ws_listen."""

import asyncio
import json
import os
import signal
import socket
import ssl
import struct

import pytest
import websockets

from client import Http
from rawsocket import (CLOSE, PING, PONG, TEXT, TIMEOUT_S, RawSocket,
                       client_frame, head)
from sockjs import FramedSocket, Service
from stack import free_port
from test_websocket_rfc import assert_echo, deflate, emit

PENDING_MAX = 1024      # as in downstream.c
LINGER_RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def server():
    """Which one makes no difference here."""
    return "lighttpd"


@pytest.fixture
def port():
    return free_port()


@pytest.fixture(params=["plain", "tls"])
def direct(request, new_stack, port, authority):
    """A function that connects."""
    options = {"ws_listen": f"127.0.0.1:{port}"}
    context = None
    if request.param == "tls":
        cert, key = authority.certificate()
        options.update(ws_certificate=cert, ws_key=key)
        context = ssl.create_default_context(cafile=authority.path)
    stack = new_stack(options=options)

    def connect(**headers):
        raw = RawSocket(("127.0.0.1", port), context)
        raw.handshake(**headers)
        return raw

    connect.stack = stack
    connect.context = context
    connect.port = port
    return connect


def test_messages_both_ways(direct):
    with direct() as raw:
        for size in (40, 126, 20000, 65536, 1 << 20):
            raw.say(TEXT, emit(size=size))
            assert_echo(raw, emit(size=size))
        raw.say(PING, b"there?")
        while (frame := raw.next_frame())[0] == TEXT:
            pass
        assert frame == (PONG, b"there?")
        raw.say(CLOSE, struct.pack("!H", 1000))
        assert raw.next_close() == (1000, "")
        assert raw.at_end()


def test_many_frames_in_one_write(direct):
    """More than the kernel and TLS take at once, to one who does not read at
    first; PONGs come between frames."""
    with direct() as raw, direct() as other:
        for i in range(20):
            other.say(TEXT, emit(f"{i:02}" + "x" * 50000))
            raw.say(PING, b"%d" % i)
        heard, pongs = [], []
        while len(heard) < 20:
            opcode, payload = raw.next_frame()
            if opcode == PONG:
                pongs.append(int(payload))
            elif (message := json.loads(payload))["type"] == "DATA":
                heard.append(int(message["payload"][:2]))
        assert heard == list(range(20))
        assert pongs == sorted(pongs)


def test_more_than_can_be_committed_at_once(direct, new_application):
    """The bridge reads on by itself, also what TLS has read already."""
    application = new_application(stack=direct.stack)
    service = Service(Http(direct.stack.port), application.authorize("ann"))
    texts = [f"{i} " + "x" * 3000 for i in range(200)]
    with FramedSocket(("127.0.0.1", direct.port), direct.context) as raw:
        raw.upgrade(service.base + "/websocket")
        raw.send(b"".join(client_frame(TEXT, text.encode())
                          for text in texts))
        application.wait_messages(*texts)
        assert raw.leave() == (1000, "")


def test_who_says_nothing_stays(direct):
    """For longer than libwebsockets gives a handshake, which is 5 s."""
    with direct() as raw:
        raw.socket.settimeout(6)
        with pytest.raises(TimeoutError):
            while True:
                raw.next_frame()    # what it is told at first
        raw.socket.settimeout(TIMEOUT_S)
        raw.say(PING, b"there?")
        assert raw.next_frame() == (PONG, b"there?")


def test_the_address_is_that_of_the_connection(direct):
    with direct(X_Forwarded_For="192.0.2.7"):
        direct.stack.wait_until(
            lambda: direct.stack.sql("SELECT * FROM live_sessions"),
            "the session is recorded")
        row, = direct.stack.sql("SELECT remote_addr, kind, subject"
                                " FROM sessions")
        assert tuple(row.values()) == ("127.0.0.1", "channel", "room")


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_connections_that_end(direct, how):
    with direct() as other:
        raw = direct()
        if how == "reset":
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  LINGER_RESET)
        raw.socket.close()
        assert other.find("PRESENCE:LEFT")


def test_a_library_with_deflate(direct):
    """python3-websockets checks what comes as strictly as we do."""
    scheme = "ws" if direct.context is None else "wss"

    async def talk():
        url = f"{scheme}://localhost:{direct.port}/room/listen"
        async with websockets.connect(url, ssl=direct.context,
                                      max_size=None) as ws:
            assert "no_context" in ws.response_headers[
                "Sec-WebSocket-Extensions"]
            assert json.loads(await ws.recv())["type"] == "CONNECTED"
            for size in (100, 600, 100000):
                # In fragments, as the library makes them of a list.
                text = emit(size=size).decode()
                await ws.send([text[:30], text[30:70], text[70:]])
                while (message := json.loads(await ws.recv()))[
                        "type"] != "DATA":
                    pass
                assert message["payload"] == json.loads(text)["payload"]
            await (await ws.ping(b"x"))
            await ws.close(4000, "done")
            assert (ws.close_code, ws.close_reason) == (4000, "done")

    asyncio.run(talk())


def test_compressed_messages_to_many(direct):
    with direct(Sec_WebSocket_Extensions="permessage-deflate") as packed, \
            direct() as plain:
        packed.say(TEXT, deflate(emit(size=5000)), rsv1=True)
        assert_echo(plain, emit(size=5000))


def test_ipv6(new_stack, port):
    new_stack(options={"ws_listen": f"[::1]:{port}"})
    raw = socket.create_connection(("::1", port))
    raw.sendall(head())
    assert raw.recv(12) == b"HTTP/1.1 101"
    raw.close()


def test_a_port_that_is_taken(new_stack, port):
    other = socket.socket()
    other.bind(("127.0.0.1", port))
    other.listen()
    stack = new_stack(start=False,
                      options={"ws_listen": f"127.0.0.1:{port}"})
    stack.make_database()
    stack.write_config()
    stack.start_bridge(wait=False)
    assert stack.bridge.wait(10) != 0
    assert (f"cannot listen on 127.0.0.1:{port} (Address already in use)"
            in stack.log("wsbridge"))
    other.close()


def test_a_certificate_that_is_none(new_stack, port, tmp_path):
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate\n")
    stack = new_stack(start=False, options={
        "ws_listen": f"127.0.0.1:{port}", "ws_certificate": nothing})
    stack.make_database()
    stack.write_config()
    stack.start_bridge(wait=False)
    assert stack.bridge.wait(10) != 0
    assert f"ws_certificate {nothing}" in stack.log("wsbridge")


def test_a_successor_listens_when_the_bridge_drains(new_stack, port):
    stack = new_stack(options={"ws_listen": f"127.0.0.1:{port}",
                               "drain_timeout": "1m"})
    address = ("127.0.0.1", port)
    with RawSocket(address) as raw:
        raw.handshake()
        stack.replace_bridge()
        with RawSocket(address) as other:
            other.handshake()
            other.say(TEXT, emit("to the successor"))
            assert_echo(other, emit("to the successor"))
    stack.stop_draining()


def test_one_that_sends_no_request_is_cut_off(direct):
    with socket.create_connection(("127.0.0.1", direct.port)) as silent:
        silent.settimeout(60)
        try:
            assert silent.recv(1) == b""
        except ConnectionResetError:
            pass


def test_many_that_send_no_request_make_room(direct):
    """However many of them come between two looks of the bridge."""
    stack = direct.stack
    before = len(stack.bridge_descriptors())
    silent = []
    try:
        for _ in range(8):
            os.kill(stack.bridge_pid, signal.SIGSTOP)
            try:
                silent += [socket.create_connection(("127.0.0.1",
                                                     direct.port))
                           for _ in range(200)]
            finally:
                os.kill(stack.bridge_pid, signal.SIGCONT)
            direct().socket.close()     # all in front of it are accepted
        assert len(stack.bridge_descriptors()) < before + PENDING_MAX + 100
    finally:
        for connection in silent:
            connection.close()


def test_one_that_does_not_answer_a_close_is_cut_off(direct):
    raw, before = direct(), len(direct.stack.bridge_descriptors())
    raw.say(3)
    assert raw.next_close()[0] == 1002
    direct.stack.wait_until(
        lambda: len(direct.stack.bridge_descriptors()) < before, "cut off")
    raw.socket.close()


def test_one_that_does_not_read_is_cut_off(direct):
    """It leaves the channel at once, and its connection ends soon."""
    with direct() as other:
        deaf = direct()
        other.find("PRESENCE:JOINED")
        before = len(direct.stack.bridge_descriptors())
        left = False
        while not left:
            other.say(TEXT, emit("x" * 100000))
            while (message := other.next_message())["type"] != "EMITTED":
                left = left or message["type"] == "PRESENCE:LEFT"
        direct.stack.wait_until(
            lambda: len(direct.stack.bridge_descriptors()) < before, "cut off")
        deaf.socket.close()
