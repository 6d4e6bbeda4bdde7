"""How long a session lives, and that its parts go with it."""

import time

import pytest

from client import HEARTBEAT

SHORT = pytest.mark.options(receiver_grace="700ms", close_linger="700ms",
                            first_receiver_grace="2s", hold_min="100ms")


@pytest.fixture
def quiet(relay, target):
    return relay.create(target.url("quiet"))


@SHORT
def test_session_without_a_first_receiver_is_closed(quiet, target):
    begun = time.monotonic()
    assert target.connection().wait_closed()[0] == 1001
    assert 1.7 < time.monotonic() - begun < 4
    assert quiet.is_gone()
    assert quiet.try_poll().status == 403


@SHORT
def test_session_without_a_next_receiver_is_closed_sooner(quiet, target):
    assert quiet.poll(timeout=100) == [HEARTBEAT]
    begun = time.monotonic()
    assert target.connection().wait_closed()[0] == 1001
    assert 0.5 < time.monotonic() - begun < 1.8
    assert quiet.is_gone()


@SHORT
def test_sending_does_not_keep_a_session(quiet, target):
    assert quiet.poll(timeout=100) == [HEARTBEAT]
    connection = target.connection()
    deadline = time.monotonic() + 4
    while not connection.ended and time.monotonic() < deadline:
        quiet.try_send("keep me")
        time.sleep(0.05)
    assert connection.wait_closed()[0] == 1001


@SHORT
@pytest.mark.parametrize("kind", ["poll", "stream", "events"])
def test_held_receiver_keeps_a_session(quiet, target, kind, parked):
    with parked(quiet, kind, timeout=5000) as receiver:
        # Longer than both graces; the target is asked meanwhile.
        time.sleep(2.2)
        assert not target.connection().ended
        target.connection().send("still here")
        while "still here" not in receiver.line():
            pass


@SHORT
def test_polls_one_after_another_keep_a_session(quiet, target):
    begun = time.monotonic()
    while time.monotonic() - begun < 2.5:
        assert quiet.poll(timeout=300) == [HEARTBEAT]
    assert not target.connection().ended


@SHORT
def test_client_that_left_a_stream_is_missed_after_the_grace(
        quiet, target, server):
    if server == "apache":
        pytest.skip("Apache does not tell that a client has gone")
    stream = quiet.stream()
    target.connection().send("hello")
    assert stream.receive() == ["hello"]
    stream.exchange.reset()
    assert target.connection().wait_closed()[0] == 1001


@SHORT
def test_many_sessions_end_without_a_receiver(relay, target, stack):
    before = len(stack.bridge_descriptors()) + 8    # the workers' own
    for _ in range(50):
        relay.create(target.url("quiet"))
    for i in range(50):
        assert target.connection(i).wait_closed()[0] == 1001
    stack.wait_until(lambda: len(stack.bridge_descriptors()) <= before,
                     "the bridge closing what it had opened")
