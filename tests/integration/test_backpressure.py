"""Slow clients slow the target down, slow targets refuse; nothing is lost."""

import pytest

from client import HEARTBEAT, Close, Polysocket
from target import Target

SMALL = pytest.mark.options(queue_messages="16", queue_bytes="64KiB",
                            max_message="64KiB", max_events="16",
                            hold_min="100ms", receiver_grace="20s",
                            first_receiver_grace="20s")
N, SIZE = 3000, 4000        # 12 MB: more than all buffers on the way hold


@pytest.fixture
def target():
    with Target(buffer_bytes=16384) as target:
        yield target


def blocked(connection):
    """Waits until the flooding target gets nothing out any more."""
    seen = -1
    while connection.n_sent != seen:
        seen = connection.n_sent
        try:
            connection.wait_for(lambda c: c.n_sent > seen, timeout=0.5)
        except AssertionError:
            break
    return connection.n_sent


def fetch(session, kind, n):
    """Receives n messages, by as many polls or streams as it takes."""
    received = []
    while len(received) < n:
        if kind == "poll":
            received += [m for m in session.poll() if m != HEARTBEAT]
            continue
        with session.stream(kind) as stream:
            while len(received) < n and (message := stream.next()) is not None:
                if message != HEARTBEAT:
                    received.append(message)
    return received


def numbers(messages):
    return [int(message.split(" ", 1)[0]) for message in messages]


@SMALL
@pytest.mark.parametrize("kind", ["poll", "stream", "events"])
def test_client_that_does_not_fetch_blocks_the_target(relay, target, kind):
    session = relay.create(target.url("quiet"))
    connection = target.connection()
    flood = connection.start("flood", N, SIZE)
    assert 16 <= blocked(connection) < N / 2
    received = fetch(session, kind, N)
    flood.result(10)
    assert numbers(received) == list(range(N))
    assert all(len(message) == SIZE for message in received)


@SMALL
def test_stream_that_is_not_read_blocks_the_target(relay, target):
    # The web server and the kernel hold what they like; then it stops.
    session = relay.create(target.url("quiet"))
    connection = target.connection()
    stream = session.stream()
    assert stream.prelude
    flood = connection.start("flood", N, SIZE)
    blocked(connection)
    received = [m for m in stream.rest() if m != HEARTBEAT]
    stream.close()
    received += fetch(session, "poll", N - len(received))
    flood.result(10)
    assert numbers(received) == list(range(N))


@pytest.mark.options(queue_messages="16", queue_bytes="64KiB",
                     max_message="64KiB", max_events="16",
                     stall_timeout="1s", receiver_grace="20s",
                     first_receiver_grace="20s")
def test_client_that_stalls_too_long_is_closed(relay, target):
    session = relay.create(target.url("quiet"))
    connection = target.connection()
    flood = connection.start("flood", N, SIZE)
    # The bridge's close frame stands behind nothing: it sends, we read.
    assert connection.wait_closed() == (1008, "slow client")
    flood.cancel()
    received = session.receive(1)
    while not isinstance(received[-1], Close):
        received += session.receive(1)
    assert (received[-1].code, received[-1].reason) == (1008, "slow client")
    assert numbers(received[:-1]) == list(range(len(received) - 1))
    assert session.is_gone()


@SMALL
def test_target_that_does_not_read_refuses_sends(relay, target):
    session = relay.create(target.url("deaf"))
    connection = target.connection()
    accepted = []
    for i in range(N):
        text = f"{i} ".ljust(SIZE, "x")
        response = session.try_send(text)
        if response.status != 201:
            break
        accepted.append(text)
    assert (response.status, response.code) == (429, "slow_target")
    assert int(response.header("Retry-After")) >= 1
    assert len(accepted) >= 16
    connection.resume()
    connection.wait_for(lambda c: len(c.messages) == len(accepted))
    # Nothing of the refused request was queued; now it may be tried again.
    session.send("again")
    connection.wait_for_messages(*accepted, "again")


@SMALL
def test_refused_send_queues_nothing_of_its_events(http, target):
    session = Polysocket(http).create(target.url("deaf"))
    connection = target.connection()
    accepted, refused = [], 0
    while refused < 10:     # the kernel may take more between two of them
        events = ["x" * SIZE, str(len(accepted))]
        status = session.try_send(*events).status
        assert status in (201, 429)
        refused = refused + 1 if status == 429 else 0
        accepted += events if status == 201 else []
        assert len(accepted) < 2 * N
    connection.resume()
    connection.wait_for(lambda c: len(c.messages) == len(accepted))
    session.send("the end")
    connection.wait_for(lambda c: c.messages[-1] == "the end")
    assert connection.messages == accepted + ["the end"]


@SMALL
def test_slow_session_does_not_slow_another(relay, target):
    slow = relay.create(target.url("quiet"))
    flood = target.connection().start("flood", N, SIZE)
    blocked(target.connection())
    quick = relay.create(target.url("echo"))
    for i in range(20):
        quick.send(str(i))
        assert quick.receive() == [str(i)]
    flood.cancel()
    slow.close(code=1000)
