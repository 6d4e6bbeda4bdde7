"""XHR streaming and EventSource."""

import json

import pytest

from client import HEARTBEAT, Close, Polysocket

FAST = pytest.mark.options(hold_min="100ms", hold_default="300ms",
                           hold_max="1s", stream_bytes="4KiB")


@pytest.fixture
def quiet(relay, target):
    return relay.create(target.url("quiet"))


def test_stream_starts_with_a_prelude(quiet):
    with quiet.stream() as stream:
        # 2 KiB with the line's end: some browsers hold back that much.
        assert stream.prelude == " " * 2047
        assert stream.exchange.header("Content-Type") == (
            "text/plain; charset=utf-8")


def test_stream_is_one_json_object_a_line(quiet, target):
    target.connection().do("say", "a\nb", "c")
    with quiet.stream() as stream:
        lines = []
        while "c" not in "".join(lines):
            lines.append(stream.exchange.line())
    events = [event for line in lines
              for event in json.loads(line)[quiet.relay.events_key]]
    assert [event["data"] for event in events] == ["a\nb", "c"]


def test_stream_brings_what_waited_first(quiet, target):
    connection = target.connection()
    connection.do("say", "before 1", "before 2")
    with quiet.stream() as stream:
        assert stream.receive(2) == ["before 1", "before 2"]
        connection.send("during")
        assert stream.receive() == ["during"]


@FAST
@pytest.mark.parametrize("kind", ["stream", "events"])
def test_silent_stream_brings_heartbeats(quiet, target, kind):
    with quiet.stream(kind, timeout=100) as stream:
        assert [stream.next() for _ in range(3)] == [HEARTBEAT] * 3
        target.connection().send("still there")
        assert stream.receive() == ["still there"]
        assert stream.next() == HEARTBEAT


@FAST
@pytest.mark.parametrize("kind", ["stream", "events"])
def test_stream_is_cycled_and_loses_nothing(quiet, target, kind):
    connection = target.connection()
    stream, n_streams = quiet.stream(kind), 1
    for i in range(40):
        connection.send(text := f"{i} ".ljust(500, "x"))
        while (message := stream.next()) in (HEARTBEAT, None):
            if message is None:
                assert 2048 <= stream.n_bytes < 4096 + 1000
                stream.close()
                stream, n_streams = quiet.stream(kind), n_streams + 1
        assert message == text
    stream.close()
    assert 5 <= n_streams <= 12


@pytest.mark.options(hold_min="100ms")
def test_stream_is_cycled_after_128_kib_by_default(quiet, target):
    connection = target.connection()
    message = "x" * 10000
    with quiet.stream() as stream:
        n = 0
        while True:
            connection.send(message)
            if stream.next() is None:
                break
            n += 1
    assert 12 <= n <= 14
    assert quiet.receive() == [message]


@pytest.mark.parametrize("kind", ["stream", "events"])
def test_stream_ends_after_the_close_event(quiet, target, kind):
    with quiet.stream(kind) as stream:
        connection = target.connection()
        connection.send("last")
        connection.do("close-with", "4001", "bye")
        assert stream.rest() == ["last", Close(4001, "bye", True)]
    assert quiet.is_gone()


def test_eventsource_has_its_form(quiet, target):
    with quiet.begin("events") as exchange:
        assert exchange.head() == 200
        assert exchange.header("Content-Type").startswith("text/event-stream")
        assert exchange.line() == "id: 0"
        assert exchange.line() == "retry: 100"
        assert exchange.line() == ""
        target.connection().send("a\nb\r\u2028")
        fields = {}
        while line := exchange.line():
            name, _, value = line.partition(": ")
            assert name not in fields, "one line each"
            fields[name] = value
    assert fields.keys() == {"id", "data"}
    assert fields["id"] == "1"
    assert quiet.relay.decode(json.loads(fields["data"])) == ["a\nb\r\u2028"]


def test_eventsource_counts_messages_across_receivers(quiet, target):
    connection = target.connection()
    connection.send("1")
    with quiet.stream("events") as stream:
        assert stream.receive() == ["1"]
        assert stream.last_id == 1
        connection.send("2")
        assert stream.receive() == ["2"]
        assert stream.last_id == 2
        with quiet.begin() as poll:
            assert stream.next() is None, "replaced"
            connection.send("3")
            assert quiet.relay.decode(poll.response().json) == ["3"]
    connection.send("4")
    with quiet.stream("events") as stream:
        assert stream.receive() == ["4"]
        assert stream.last_id == 4


@pytest.mark.parametrize("kind", ["stream", "events"])
def test_stream_tells_proxies_not_to_buffer(quiet, kind):
    with quiet.begin(kind) as exchange:
        assert exchange.header("X-Accel-Buffering") == "no"
        assert "no-store" in exchange.header("Cache-Control")
        assert exchange.header("X-Content-Type-Options") == "nosniff"


def test_one_byte_messages_arrive_one_by_one(http, target):
    session = Polysocket(http).create(target.url("echo"))
    with session.stream() as stream:
        for i in range(50):
            session.send(str(i))
            assert stream.receive() == [str(i)]
