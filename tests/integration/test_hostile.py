"""Clients and targets that are slow, stop in the middle or mean no good: the
others are served, nothing grows without bound, and nothing is left behind."""

import contextlib
import json
import re
import socket
import struct

import pytest

import fastcgi
import prometheus
import websocket
from client import Http, Polysocket
from target import Target

N = 30                  # of each kind
SIZE = 4000             # of a message that is one of many
QUEUE_BYTES = 65536
SMALL = {"queue_messages": "16", "queue_bytes": "64KiB",
         "max_message": "64KiB", "max_events": "16", "hold_min": "100ms"}
# All that a connection held has ended before long.
SHORT = {"receiver_grace": "1s", "first_receiver_grace": "2s",
         "close_linger": "500ms"}
RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def target():
    with Target(buffer_bytes=16384) as target:
        yield target


@pytest.fixture
def make(new_stack):
    """A stack that only this test uses, and a relay through it."""
    def make(**options):
        stack = new_stack(options={"metrics_from": "127.0.0.1", **options})
        return stack, Polysocket(Http(stack.port))

    return make


class Healthy:
    """A conversation that goes on whatever else happens."""

    def __init__(self, relay, target):
        self.session = relay.create(target.url("echo"))
        self.n = 0

    def go_on(self, trips=3):
        for _ in range(trips):
            self.n += 1
            self.session.send(f"trip {self.n}", n=self.n)
            assert self.session.receive() == [f"trip {self.n}"]


def figures(relay):
    response = relay.http.get("/polysocket/metrics")
    assert response.status == 200, response
    return prometheus.parse(response.text)


def queued(relay, direction):
    return figures(relay).value("polysocket_queued_bytes",
                                direction=direction)


class Traces:
    """What there is before, and that it is no more afterwards."""

    def __init__(self, stack, relay, target):
        self.stack = stack
        self.relay = relay
        relay.create(target.url("echo")).finish()
        self.wait_calm()
        self.pids = stack.worker_pids
        self.descriptors = self.count_descriptors()
        self.complaints = self.count_complaints()

    def count_descriptors(self):
        # A thread of a worker keeps its connection once it had one.
        return (len(self.stack.bridge_descriptors()) - figures(
            self.relay).value("polysocket_worker_connections"))

    def count_complaints(self):
        return [line for name in ("wsbridge", "workers")
                for line in self.stack.log(name).splitlines()
                if re.search(r"\] (error|warning): ", line)]

    def is_calm(self):
        now = figures(self.relay)
        return (now.sum("polysocket_sessions") == 0
                and now.value("polysocket_open_requests") == 1)

    def wait_calm(self):
        self.stack.wait_until(self.is_calm, "the end of all sessions",
                              self.stack.bridge, 30)

    def check(self):
        self.wait_calm()
        self.stack.wait_until(
            lambda: self.count_descriptors() <= self.descriptors,
            "the end of all connections", self.stack.bridge)
        assert self.stack.worker_pids == self.pids
        assert self.count_complaints() == self.complaints


def connect(stack, part=b"", receive_bytes=None):
    """A connection on which a part of a request was sent."""
    sock = socket.socket()
    sock.settimeout(20)
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.connect(("127.0.0.1", stack.port))
    sock.sendall(part)
    return sock


def raw(method, path, body=None):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1",
             "Connection: close"]
    if body is not None:
        body = json.dumps(body)
        lines += ["Content-Type: application/json",
                  f"Content-Length: {len(body)}"]
    return "\r\n".join(lines + ["", body or ""]).encode("ascii")


def raw_create(url):
    return raw("POST", "/polysocket/create", {"target": url})


def raw_send(session, text, n):
    return raw("POST", "/polysocket/send", send_body(session, text, n))


def send_body(session, text, n):
    return {"socket": session.id, "n": n,
            "events": [{"type": "string", "data": text}]}


# Requests that are cut.

def leave(sock, how):
    if how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


@pytest.mark.parametrize("how", ["reset", "close"])
def test_create_that_is_cut_at_any_byte_creates_nothing(make, target, how):
    stack, relay = make(**SHORT)
    traces = Traces(stack, relay, target)
    accepted = target.accepted
    request = raw_create(target.url("quiet"))
    for at in range(1, len(request)):
        leave(connect(stack, request[:at]), how)
    traces.check()
    assert target.accepted == accepted
    Healthy(relay, target).go_on()


@pytest.mark.parametrize("how", ["reset", "close"])
def test_send_that_is_cut_at_any_byte_is_taken_whole_or_not(make, target,
                                                            how):
    stack, relay = make(**{**SHORT, "first_receiver_grace": "10m"})
    session = relay.create(target.url("quiet"))
    at, texts, is_whole = 0, [], False
    while not is_whole:
        at += 1
        texts.append(f"{at:08}")
        request = raw_send(session, texts[-1], at)
        is_whole = at >= len(request)
        leave(connect(stack, request[:at]), how)
        # Whatever became of it, the same number is sent once.
        session.send(texts[-1], n=at)
    session.send("end")
    target.connection().wait_for_messages(*texts, "end")


@pytest.mark.parametrize("how", ["reset", "close"])
def test_receive_that_is_cut_at_any_byte_takes_nothing(make, target, how):
    stack, relay = make(**{**SHORT, "first_receiver_grace": "10m"})
    traces = Traces(stack, relay, target)
    session = relay.create(target.url("quiet"))
    target.connection(1).send("waiting")
    request = raw("GET", f"/polysocket/xhr?socket={session.id}&ack=0")
    for at in range(1, len(request) + 1):
        leave(connect(stack, request[:at]), how)
    response = session.try_poll(ack=0)
    assert relay.decode(response.json) == ["waiting"]
    assert response.json["seq"] == 1
    session.close(code=1000)
    traces.check()


@pytest.fixture
def one_server(server):
    """Of tests that go round the web server."""
    if server != "lighttpd":
        pytest.skip("the web server has no part in it")


def test_records_that_are_cut_at_any_byte_are_taken_whole_or_not(
        one_server, make, target):
    stack, relay = make(**{**SHORT, "first_receiver_grace": "10m"})
    traces = Traces(stack, relay, target)
    session = relay.create(target.url("quiet"))
    at, texts, is_whole = 0, [], False
    while not is_whole:
        at += 1
        texts.append(f"{at:08}")
        request = fastcgi.Recorded(
            "POST", "/polysocket/send",
            json.dumps(send_body(session, texts[-1], at)).encode("ascii"),
            CONTENT_TYPE="application/json").bytes
        is_whole = at >= len(request)
        with fastcgi.connect(stack.fcgi_socket) as sock:
            sock.sendall(request[:at])
        session.send(texts[-1], n=at)
    session.send("end")
    target.connection(1).wait_for_messages(*texts, "end")
    session.close(code=1000)
    traces.check()


# Requests that stop and stay.

def half_open(stack, target):
    """Heads without an end, bodies that do not come, and a client that has
    said all it will in the middle of one."""
    request = raw_create(target.url("quiet"))
    body_at = request.index(b"\r\n\r\n") + 4
    for i in range(N):
        yield connect(stack, request[:body_at - 9])
        yield connect(stack, request[:body_at])
        sock = connect(stack, request[:body_at + 9])
        sock.shutdown(socket.SHUT_WR)
        yield sock


def test_half_open_requests_hold_no_worker(make, target):
    stack, relay = make(**SHORT, processes="1", threads="1")
    traces = Traces(stack, relay, target)
    healthy = Healthy(relay, target)
    accepted = target.accepted
    with contextlib.ExitStack() as stopped:
        for sock in half_open(stack, target):
            stopped.enter_context(sock)
        healthy.go_on(10)
        assert figures(relay).value("polysocket_open_requests") == 1
    assert target.accepted == accepted
    healthy.session.close(code=1000)
    traces.check()


@pytest.mark.parametrize("at", [4, 40, -1], ids=["begin", "params", "stdin"])
def test_records_that_stop_hold_up_no_other_request(one_server, make, target,
                                                    at):
    stack, relay = make(**SHORT, processes="1", threads="4")
    traces = Traces(stack, relay, target)
    healthy = Healthy(relay, target)
    request = fastcgi.Recorded("POST", "/polysocket/create", b'{"a":1}',
                               CONTENT_TYPE="application/json").bytes
    for _ in range(3):
        with fastcgi.connect(stack.fcgi_socket) as sock:
            sock.sendall(request[:at])
            healthy.go_on()
    healthy.session.close(code=1000)
    traces.check()


# A byte now and then.

def test_requests_that_come_byte_by_byte_are_answered(make, target):
    stack, relay = make(processes="1", threads="1")
    healthy = Healthy(relay, target)
    request = raw_create(target.url("quiet"))
    slow = [connect(stack) for _ in range(N)]
    # The last bytes of a head, and the first ones of a body.
    at = request.index(b"\r\n\r\n") - 8
    for sock in slow:
        sock.sendall(request[:at])
    for i in range(at, at + 20):
        for sock in slow:
            sock.sendall(request[i:i + 1])
        healthy.go_on(1)
    accepted = target.accepted
    for sock in slow:
        sock.sendall(request[at + 20:])
    for sock in slow:
        with sock, sock.makefile("rb") as answer:
            assert b'"ok":true' in answer.read()
    assert target.accepted == accepted + N


def test_messages_that_come_byte_by_byte_arrive(make, target):
    stack, relay = make(first_receiver_grace="10m")
    slow = [relay.create(target.url("quiet")) for _ in range(N)]
    healthy = Healthy(relay, target)

    async def write(connection, byte):
        connection.writer.write(byte)
        await connection.writer.drain()

    frame = websocket.frame(websocket.TEXT, "slowly é".encode("utf-8"))
    for byte in frame:
        for i in range(N):
            connection = target.connection(i)
            connection.run(write(connection, bytes([byte])))
        healthy.go_on(1)
    for session in slow:
        assert session.receive() == ["slowly é"]


# Nobody reads.

def test_clients_that_never_read_are_bounded_and_closed(make, target):
    stack, relay = make(**{**SMALL, **SHORT, "stall_timeout": "1s",
                           "receiver_grace": "20s"})
    traces = Traces(stack, relay, target)
    healthy = Healthy(relay, target)
    first = len(target.connections)
    with contextlib.ExitStack() as unread:
        for i in range(N):
            session = relay.create(target.url("quiet"))
            kind = "xhr-streaming" if i % 2 else "xhr"
            unread.enter_context(connect(
                stack, raw("GET", f"/polysocket/{kind}?socket={session.id}"),
                receive_bytes=2048))
        flooding = [target.connection(first + i) for i in range(N)]
        for connection in flooding:
            connection.start("flood", 3000, SIZE)
        while not all(connection.ended for connection in flooding):
            healthy.go_on(1)
            assert queued(relay, "down") <= (N + 1) * (QUEUE_BYTES + SIZE)
        assert [connection.close for connection in flooding] == [
            (1008, "slow client")] * N
        healthy.go_on()
    healthy.session.close(code=1000)
    traces.check()


def test_targets_that_never_read_are_bounded_and_lose_nothing(make, target):
    stack, relay = make(**{**SMALL, "first_receiver_grace": "10m"})
    healthy = Healthy(relay, target)
    sessions = [relay.create(target.url("deaf")) for _ in range(N)]
    taken = [fill(session) for session in sessions]
    assert queued(relay, "up") <= N * QUEUE_BYTES
    healthy.go_on()
    for i, session in enumerate(sessions):
        # What was refused may be tried again, as often as one likes.
        response = session.try_send(numbered(taken[i] + 1), n=taken[i] + 1)
        assert response.status in (201, 429)
        target.connection(1 + i).resume()
    for i, session in enumerate(sessions):
        connection = target.connection(1 + i)
        # All of them read at once, in one program of Python.
        connection.wait_for(lambda c, i=i: len(c.messages) >= taken[i],
                            timeout=60)
        session.send(numbered(taken[i] + 1), n=taken[i] + 1)
        connection.wait_for_messages(*map(numbered, range(1, taken[i] + 2)),
                                     timeout=60)
    healthy.go_on()


def numbered(n):
    return f"{n} ".ljust(16 * SIZE // 4, "x")


def fill(session):
    """Sends until the bridge refuses; how many it took."""
    for n in range(1, 3000):
        response = session.try_send(numbered(n), n=n)
        if response.status != 201:
            assert (response.status, response.code) == (429, "slow_target")
            return n - 1
    raise AssertionError("the target took everything")


# All at once.

def test_burst_of_connections_and_creates_is_answered(make, target):
    stack, relay = make(**SHORT)
    traces = Traces(stack, relay, target)
    healthy = Healthy(relay, target)
    accepted = target.accepted
    request = raw_create(target.url("quiet"))
    with contextlib.ExitStack() as burst:
        for _ in range(5 * N):
            burst.enter_context(connect(stack))
        creates = [burst.enter_context(connect(stack, request))
                   for _ in range(5 * N)]
        healthy.go_on()
        answers = [burst.enter_context(sock.makefile("rb")).read()
                   for sock in creates]
    assert all(b'"ok":true' in answer for answer in answers)
    assert len({answer.split(b'"socket":"')[1] for answer in answers}) == (
        5 * N)
    assert target.accepted == accepted + 5 * N
    healthy.session.close(code=1000)
    traces.check()
