"""A whole conversation: both dialects, servers, mounts and HTTP versions."""

import pytest

from client import DIALECTS, Close, Http

pytestmark = pytest.mark.options(hold_min="100ms")


@pytest.fixture(params=["", "/below/a-prefix"], ids=["root", "prefix"])
def prefix(request):
    return request.param


@pytest.fixture(params=["1.1", "2"], ids=["http1", "http2"])
def relay(request, stack, dialect):
    return DIALECTS[dialect](Http(stack.port, stack.prefix, request.param))


def test_client_with_only_http_talks_to_a_websocket_server(relay, target):
    session = relay.create(target.url("echo"))
    session.send("héllo ✓ 𝄞")
    session.send(b"\x00\x01\xfe\xff")
    assert session.receive(2) == ["héllo ✓ 𝄞", b"\x00\x01\xfe\xff"]
    with session.stream() as stream:
        session.send("by stream")
        assert stream.receive() == ["by stream"]
        session.close(code=3001, reason="enough")
        assert stream.rest() == [Close(3001, "enough", True)]
    assert target.connection().wait_closed() == (3001, "enough")
    assert session.is_gone()


def test_stream_arrives_unbuffered(relay, target):
    session = relay.create(target.url("quiet"))
    with session.stream() as stream:
        for i in range(5):
            # The next is only sent once the one before has arrived.
            target.connection().send(f"piece {i}")
            assert stream.next() == f"piece {i}"


def test_eventsource_arrives_unbuffered(relay, target):
    session = relay.create(target.url("quiet"))
    with session.stream("events") as stream:
        for i in range(5):
            target.connection().send(f"piece {i}")
            assert stream.next() == f"piece {i}"
            assert stream.last_id == i + 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", ["poll", "jsonp", "stream", "events"])
def test_receivers_take_get_and_post(relay, target, kind, method):
    session = relay.create(target.url("say", "hello"))
    target.connection()
    params = {"callback": "cb"} if kind == "jsonp" else {}
    with session.begin(kind, method=method, **params) as receiver:
        assert receiver.head() == 200
        while "hello" not in (line := receiver.line()):
            assert line is not None
