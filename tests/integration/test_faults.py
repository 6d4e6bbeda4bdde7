"""What is killed, restarted, or goes away in the middle."""

import http.client
import json
import os
import signal
import socket
import subprocess

import pytest

from client import Http, Polysocket
from fastcgi import Request
from stack import can_connect


@pytest.fixture
def parts(new_stack, target):
    """A stack of its own and a relay through it."""
    stack = new_stack()
    return stack, Polysocket(Http(stack.port))


def converses(relay, target):
    session = relay.create(target.url("echo"))
    session.send("hello")
    return session.receive() == ["hello"]


def converses_at_last(relay, target):
    """Asking once more where the server closed a connection that it had just
    accepted, as lighttpd may in the moment of a reload."""
    try:
        return converses(relay, target)
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return converses(relay, target)


def is_unavailable(response):
    assert (response.status, response.code) == (503, "bridge_unavailable")
    assert int(response.header("Retry-After")) >= 1
    assert "/" not in response.json["error"], "no path is shown"
    return True


def assert_gone(session):
    for response in (session.try_poll(), session.try_send("x"),
                     session.try_close(code=1000)):
        assert (response.status, response.code) == (403, "socket_unknown")


# The bridge.

def test_killed_bridge_is_403_for_its_sessions_and_503_for_new_ones(
        parts, target):
    stack, relay = parts
    session = relay.create(target.url("quiet"))
    with stack.until_held(session.begin) as held:
        stack.stop_bridge(signal.SIGKILL)
        try:
            held.response()     # ends in whatever way, and at once
        except Exception as error:
            assert "timed out" not in str(error)
    assert_gone(session)
    assert is_unavailable(relay.try_create(target.url("quiet")))
    stack.start_bridge()
    assert_gone(session)
    assert converses(relay, target)


def test_ids_of_an_older_bridge_stay_unknown(parts, target):
    stack, relay = parts
    seen = set()
    for _ in range(3):
        session = relay.create(target.url("quiet"))
        seen.add(session.id.partition(".")[0])
        stack.stop_bridge(signal.SIGKILL)
        stack.start_bridge()
        assert session.try_poll().status == 403
    assert len(seen) == 3, "the tag names the bridge's generation"


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM],
                         ids=["killed", "stopped"])
def test_bridge_restarted_while_500_polls_are_held(new_stack, target, sig):
    stack = new_stack(options={"hold_default": "60s",
                               "first_receiver_grace": "10m"})
    relay = Polysocket(Http(stack.port))
    sessions = [relay.create(target.url("quiet")) for _ in range(500)]
    held = stack.until_held(
        lambda: [session.begin() for session in sessions], 500, timeout=30)
    stack.stop_bridge(sig)
    stack.start_bridge()
    for exchange in held:
        with exchange:
            try:
                response = exchange.response()
            except Exception as error:
                assert sig == signal.SIGKILL, error
                assert "timed out" not in str(error)
                continue
            if sig == signal.SIGTERM:
                assert response.status == 200
                assert response.json["ok"] is True
    assert {session.try_poll().status for session in sessions[::25]} == {403}
    assert converses(relay, target)


def test_workers_started_before_the_bridge_find_it(new_stack, target):
    stack = new_stack(start=False)
    stack.make_database()
    stack.write_config()
    stack.start_workers()
    stack.start_server()
    relay = Polysocket(Http(stack.port))
    assert is_unavailable(relay.try_create(target.url("quiet")))
    stack.start_bridge()
    assert converses(relay, target)


def test_bridge_started_before_the_workers_serves_them(new_stack, target):
    stack = new_stack(start=False)
    stack.make_database()
    stack.write_config()
    stack.start_bridge()
    stack.start_server()
    stack.start_workers()
    assert converses(Polysocket(Http(stack.port)), target)


# The workers.

def test_held_poll_outlives_all_workers(parts, target):
    stack, relay = parts
    session = relay.create(target.url("quiet"))
    with stack.until_held(session.begin) as held, session.relay.create(
            target.url("quiet")).stream() as stream:
        assert stream.prelude
        old = stack.worker_pids
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        stack.wait_until(lambda: not set(old) & set(stack.worker_pids),
                         "the end of the workers")
        target.connection(0).send("through it all")
        assert "through it all" in held.response().text
        target.connection(1).send("this too")
        assert stream.receive() == ["this too"]
    assert converses(relay, target)


def test_worker_killed_in_mid_request_is_replaced(parts, target):
    stack, relay = parts
    old = stack.worker_pids
    body = json.dumps({"target": target.url("echo")}).encode("ascii")
    requests = [Request(stack.fcgi_socket, "POST", "/polysocket/create",
                        CONTENT_TYPE="application/json",
                        CONTENT_LENGTH=str(len(body))) for _ in range(8)]
    # Every worker is now reading a body that does not come.
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    stack.wait_workers(len(old), without=old)
    for request in requests:
        request.close()
    assert target.accepted == 0
    assert converses(relay, target)


def test_slow_request_does_not_stop_the_others(parts, target):
    stack, relay = parts
    stuck = Request(stack.fcgi_socket, "POST", "/polysocket/create",
                    CONTENT_TYPE="application/json", CONTENT_LENGTH="100")
    for _ in range(10):
        assert converses(relay, target)
    stuck.close()


def test_garbage_instead_of_fastcgi_does_no_harm(parts, target):
    stack, relay = parts
    stack.wait_workers(2)
    pids = stack.worker_pids
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 1000, b"\x01" * 9,
                    b"\x01\x01\x00\x01\xff\xff\xff\x00" + b"\xff" * 65535):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(stack.fcgi_socket))
            sock.sendall(garbage)
    assert converses(relay, target)
    assert stack.worker_pids == pids


def test_stranger_on_the_bridge_socket_does_no_harm(parts, target):
    stack, relay = parts
    for garbage in (b"", b"\x00" * 4, b"\xff" * 4096, b"\x00\x00\x00\x01",
                    os.urandom(100000)):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(stack.bridge_socket))
            try:
                sock.sendall(garbage)
            except ConnectionError:
                pass
    assert converses(relay, target)


# Clients and servers.

@pytest.mark.parametrize("how", ["reset", "close"])
def test_client_gone_in_mid_poll_harms_nobody(parts, target, how):
    stack, relay = parts
    sessions = [relay.create(target.url("quiet")) for _ in range(20)]
    held = stack.until_held(
        lambda: [session.begin() for session in sessions], len(sessions))
    for exchange in held:
        getattr(exchange, how)()
    for i, session in enumerate(sessions):
        target.connection(i).send(f"for {i}")
        target.connection(i).send("and more")
    assert converses(relay, target)


def test_web_server_restarted_in_mid_poll_keeps_the_session(parts, target):
    stack, relay = parts
    session = relay.create(target.url("quiet"))
    exchange = stack.until_held(session.begin)
    stack.stop_server(signal.SIGKILL)
    exchange.close()
    stack.wait_held(0)
    target.connection().send("kept")
    stack.start_server()
    stack.wait_until(stack.answers, "the server")
    assert session.receive() == ["kept"]


def test_reload_of_the_web_server_in_mid_poll_refuses_nobody(parts, target):
    stack, relay = parts
    log, started = {"lighttpd": ("lighttpd-error", "server started"),
                    "apache": ("apache-error", "resuming normal"),
                    }[stack.server]
    session = relay.create(target.url("quiet"))
    with stack.until_held(lambda: session.begin(ack=0)):
        stack.reload_server()
        assert converses_at_last(relay, target)
        stack.wait_until(lambda: stack.log(log).count(started) == 2,
                         "the next generation", stack.web)
        assert converses(relay, target)
        target.connection().send("kept")
        assert "kept" in session.try_poll(ack=0).text


def test_target_that_dies_while_connecting_is_an_answer(parts, target):
    stack, relay = parts
    with relay.http.begin("POST", "/polysocket/create",
                          body={"target": target.url("stall")}) as pending:
        target.wait_for(lambda: target.connections, "the handshake")
        target.connections[0].do("reset")
        response = pending.response()
    assert response.status == 200
    assert response.json["ok"] is False
    assert response.code in ("handshake_rejected", "connect_refused")


def test_client_gone_while_connecting_frees_the_target(new_stack, target,
                                                       server):
    if server == "apache":
        pytest.skip("Apache does not tell that a client has gone")
    stack = new_stack(options={"connect_timeout": "20s",
                               "first_receiver_grace": "1s"})
    relay = Polysocket(Http(stack.port))
    exchange = relay.http.begin("POST", "/polysocket/create",
                                body={"target": target.url("stall")})
    target.wait_for(lambda: target.connections, "the handshake")
    exchange.reset()
    assert converses(relay, target)


# Many at once.

@pytest.mark.parametrize("server, n", [("lighttpd", 1500), ("apache", 1000)],
                         indirect=["server"])
def test_many_requests_are_held(new_stack, target, server, n):
    stack = new_stack(options={"log_level": "info", "hold_default": "60s",
                               "first_receiver_grace": "10m"})
    relay = Polysocket(Http(stack.port))
    sessions = [relay.create(target.url("quiet")) for _ in range(n)]
    held = stack.until_held(
        lambda: [session.begin() for session in sessions], n, timeout=60)
    # With all of them held, somebody else is served as ever.
    assert converses(relay, target)
    for i in range(n):
        target.connections[i].start("say", str(i))
    for i, exchange in enumerate(held):
        with exchange:
            assert exchange.response().json["events"] == [
                {"type": "string", "data": str(i)}]


def test_nothing_is_leaked_by_sessions_that_came_and_went(parts, target):
    stack, relay = parts
    relay.create(target.url("quiet")).finish()
    before = len(stack.bridge_descriptors())
    for _ in range(100):
        session = relay.create(target.url("echo"))
        session.send("x")
        session.receive()
        session.finish()
    # Each worker thread has a connection of its own, made when needed.
    before += 8
    stack.wait_until(lambda: len(stack.bridge_descriptors()) <= before,
                     "the bridge closing what it had opened")


def test_worker_whose_bridge_socket_is_missing_says_503(parts, target):
    stack, relay = parts
    stack.stop_bridge()
    assert not can_connect(stack.bridge_socket)
    assert is_unavailable(relay.try_create(target.url("quiet")))
    assert subprocess.run([stack.fcgi, "--version"],
                          capture_output=True).returncode == 0
