"""Long polls: what waits, what is held, for how long, and by whom."""

import json
import time

import pytest

from client import HEARTBEAT, Close, Http, Polysocket

FAST = pytest.mark.options(hold_min="100ms", hold_default="600ms",
                           hold_max="1200ms")


@pytest.fixture
def quiet(relay, target):
    return relay.create(target.url("quiet"))


def seconds(function, *args, **kwargs):
    begun = time.monotonic()
    function(*args, **kwargs)
    return time.monotonic() - begun


# Held until something comes, or the time is up.

def test_poll_is_held_until_a_message_comes(quiet, target, parked):
    with parked(quiet) as poll:
        target.connection().send("at last")
        messages = quiet.relay.decode(poll.response().json)
    assert messages == ["at last"]


@FAST
def test_poll_without_a_message_gets_a_heartbeat(quiet):
    response = quiet.try_poll(timeout=100)
    assert response.status == 200
    assert response.json == {
        "ok": True, quiet.relay.events_key: [{"type": "heartbeat"}]}


@FAST
def test_poll_is_held_for_its_timeout(quiet):
    assert 0.29 < seconds(quiet.poll, timeout=300) < 0.8


@FAST
def test_poll_without_a_timeout_is_held_for_the_default(quiet):
    assert 0.59 < seconds(quiet.poll) < 1.1


@FAST
@pytest.mark.parametrize("timeout", [0, 1, -5, -(1 << 70)])
def test_too_short_a_timeout_is_clamped(quiet, timeout):
    assert 0.09 < seconds(quiet.poll, timeout=timeout) < 0.5


@FAST
@pytest.mark.parametrize("timeout", [100000, 1 << 40, 10 ** 30])
def test_too_long_a_timeout_is_clamped(quiet, timeout):
    assert 1.19 < seconds(quiet.poll, timeout=timeout) < 1.9


@pytest.mark.parametrize("timeout", ["soon", "1s", "1.5", "0x10", "", "1 "])
def test_timeout_that_is_no_number_is_refused(quiet, timeout):
    response = quiet.try_poll(timeout=timeout)
    assert (response.status, response.code) == (400, "bad_parameter")


# What a reply holds.

def test_everything_that_waits_comes_at_once_and_in_order(quiet, target):
    connection = target.connection()
    for message in ("one", b"two", "three"):
        connection.send(message)
    # Whether all have reached the bridge shows when the last one has.
    session = quiet.relay.create(target.url("quiet"))
    target.connection(1).send("marker")
    session.receive()
    assert quiet.poll() == ["one", b"two", "three"]


def test_reply_has_the_words_of_its_dialect(quiet, target):
    target.connection().do("say", "hello")
    response = quiet.try_poll()
    assert response.json == {"ok": True, quiet.relay.events_key: [
        {"type": quiet.relay.text_type, "data": "hello"}]}
    target.connection().do("say-binary", "00ff10")
    response = quiet.try_poll()
    assert response.json == {"ok": True, quiet.relay.events_key: [
        {"type": "binary", "data": "AP8Q"}]}


def test_reply_is_one_line_of_json(quiet, target):
    target.connection().send("a\nb")
    response = quiet.try_poll()
    assert response.header("Content-Type") == "application/json; charset=utf-8"
    assert response.text.rstrip("\n").count("\n") == 0


@pytest.mark.parametrize("message", [
    "", "é✓𝄞\U0010ffff", "".join(map(chr, range(32))) + "\x7f", '"\\/',
    "\u2028\u2029</script>", "\ufffe\uffff", b"", bytes(range(256))],
    ids=repr)
@pytest.mark.parametrize("kind", ["poll", "jsonp", "stream", "events"])
def test_message_comes_as_the_target_sent_it(quiet, target, kind, message):
    target.connection().send(message)
    if kind in ("stream", "events"):
        with quiet.stream(kind) as stream:
            assert stream.receive() == [message]
    elif kind == "jsonp":
        reply = quiet.try_poll(kind="jsonp", callback="cb").jsonp("cb")
        assert quiet.relay.decode(reply) == [message]
    else:
        assert quiet.poll() == [message]


def test_fragments_come_as_one_message(quiet, target):
    target.connection().do("say-fragments", "é✓" * 1000, 7)
    assert quiet.receive() == ["é✓" * 1000]


def test_large_message_comes_whole(quiet, target):
    message = "0123456789" * 100000
    target.connection().send(message)
    assert quiet.receive() == [message]


@pytest.mark.options(max_message="1000B")
@pytest.mark.parametrize("size", [1001, 2000, 10000, 300000])
def test_target_that_sends_far_too_much_harms_nobody(relay, target, size):
    # libwebsockets has the rest of it in hand when the rule is broken.
    session, other = (relay.create(target.url("quiet")) for _ in range(2))
    target.connection(0).send("x" * size)
    assert target.connection(0).wait_closed() == (1009, "message too large")
    close, = session.receive()
    assert close == Close(1009, "message too large", False)
    target.connection(1).send("still here")
    assert other.receive() == ["still here"]


@pytest.mark.parametrize("behind", [1, 5000, 300000])
def test_target_that_goes_on_after_bad_utf8_harms_nobody(relay, target,
                                                         behind):
    session, other = (relay.create(target.url("quiet")) for _ in range(2))
    connection = target.connection(0)
    connection.start("say-invalid-utf8")
    connection.start("flood", str(behind // 1000 + 1), "1000")
    assert connection.wait_closed()[0] == 1007
    assert session.receive()[-1].code == 1007
    target.connection(1).send("still here")
    assert other.receive() == ["still here"]


@pytest.mark.options(max_message="1000B")
def test_message_over_the_limit_from_the_target_closes_with_1009(quiet,
                                                                 target):
    connection = target.connection()
    connection.send("x" * 1000)
    assert quiet.receive() == ["x" * 1000]
    connection.send("x" * 1001)
    close, = quiet.receive()
    assert close.code == 1009
    assert connection.wait_closed()[0] == 1009


@pytest.mark.options(max_message="64KiB")
@pytest.mark.parametrize("kind", ["poll", "stream"])
def test_queue_larger_than_one_reply_comes_in_several(quiet, target, kind):
    messages = [f"{i} ".ljust(60000, "x") for i in range(20)]
    connection = target.connection()
    for message in messages:
        connection.send(message)
    assert quiet.receive(20) == messages


def test_invalid_utf8_from_the_target_closes_it_with_1007(quiet, target):
    connection = target.connection()
    connection.send("valid")
    connection.do("say-invalid-utf8")
    messages = quiet.receive(2)
    assert messages[0] == "valid"
    assert messages[1].code == 1007
    assert connection.wait_closed()[0] == 1007


@pytest.mark.parametrize("kind", ["jsonp"])
@pytest.mark.parametrize("name", ["cb", "callback"])
def test_jsonp_poll_calls_the_callback(quiet, target, kind, name):
    target.connection().send("hello")
    response = quiet.try_poll(kind=kind, **{name: "my.cb$_1"})
    assert response.status == 200
    assert response.header("Content-Type") in (
        # lighttpd knows a newer name for it.
        "application/javascript; charset=utf-8",
        "text/javascript; charset=utf-8")
    assert quiet.relay.decode(response.jsonp("my.cb$_1")) == ["hello"]


def test_pings_of_the_target_are_answered_unseen(quiet, target):
    connection = target.connection()
    connection.do("ping", "are you there?")
    connection.send("after")
    assert quiet.receive() == ["after"]


# One receiver at a time.

@pytest.mark.parametrize("second", ["poll", "stream", "events"])
def test_second_receiver_replaces_a_poll(quiet, target, second, parked):
    with parked(quiet) as first, quiet.begin(second) as other:
        reply = first.response()
        assert quiet.relay.decode(reply.json) == [HEARTBEAT]
        target.connection().send("for the second")
        while "for the second" not in other.line():
            pass


@pytest.mark.parametrize("second", ["poll", "stream", "events"])
def test_second_receiver_ends_a_stream(quiet, target, second):
    with quiet.stream() as first:
        target.connection().send("for the first")
        assert first.receive() == ["for the first"]
        with quiet.begin(second) as other:
            assert [m for m in first.rest() if m != HEARTBEAT] == []
            target.connection().send("for the second")
            while "for the second" not in other.line():
                pass


def test_replacing_receivers_neither_lose_nor_double(quiet, target):
    connection = target.connection()
    flood = connection.start("flood", "300", "20")
    seen = []
    while len(seen) < 300:
        with quiet.begin(timeout=1000) as first, \
                quiet.begin(timeout=1000) as second:
            for exchange in (first, second):
                seen += [m for m in quiet.relay.decode(
                    exchange.response().json) if m != HEARTBEAT]
            # Which of the two came first is the network's choice.
    flood.result(10)
    numbers = [int(m.split()[0]) for m in seen]
    assert sorted(numbers) == list(range(300))


def test_messages_of_two_sessions_do_not_mix(relay, target):
    sessions = [relay.create(target.url("quiet")) for _ in range(5)]
    for i in range(5):
        target.connection(i).send(f"for {i}")
    for i, session in reversed(list(enumerate(sessions))):
        assert session.receive() == [f"for {i}"]


# The client goes away.

@pytest.mark.parametrize("server", ["lighttpd"], indirect=True)
@pytest.mark.parametrize("kind", ["poll", "jsonp", "stream", "events"])
def test_message_is_kept_when_the_client_is_seen_gone(new_stack, target,
                                                      kind):
    # Apache does not tell; there only an acknowledgement can help.
    stack = new_stack()
    session = Polysocket(Http(stack.port)).create(target.url("quiet"))
    params = {"callback": "cb"} if kind == "jsonp" else {}
    receiver = stack.until_held(lambda: session.begin(kind, **params))
    assert receiver.head() == 200
    receiver.reset()
    stack.wait_held(0)
    target.connection().send("kept")
    assert session.receive() == ["kept"]


# What is wrong with a receiver's request.

@pytest.mark.parametrize("kind", ["poll", "jsonp", "stream", "events"])
def test_receiver_of_an_unknown_socket_is_refused(relay, kind):
    path, params = relay.receiver(kind, "none.AAAAAAAAAAAAAAAAAAAAAA")
    if kind == "jsonp":
        params["callback"] = "cb"
    response = relay.http.get(path, **params)
    assert response.status == 403
    answer = response.jsonp("cb") if kind == "jsonp" else response.json
    assert (answer["ok"], answer["code"]) == (False, "socket_unknown")
    assert answer["error"]


@pytest.mark.parametrize("route", ["jsonp", "xhr", "xhr-streaming",
                                   "eventsource"])
def test_receiver_without_a_socket_is_a_missing_parameter(http, route):
    response = http.get("/polysocket/" + route, callback="cb")
    assert response.status == 400
    answer = (response.jsonp("cb") if "javascript" in
              response.header("Content-Type") else response.json)
    assert (answer["code"], answer["missing"]) == ("missing_parameter",
                                                   ["socket"])


def test_jsonp_poll_needs_a_callback(quiet):
    response = quiet.try_poll(kind="jsonp")
    assert response.status == 400
    assert response.code in ("missing_parameter", "callback_invalid")


def test_upstream_that_goes_closes_after_all_messages(quiet, target):
    connection = target.connection()
    connection.send("first")
    connection.send(b"second")
    connection.do("drop")
    messages = quiet.receive(3)
    assert messages[:2] == ["first", b"second"]
    assert (messages[2].code, messages[2].was_clean) == (1006, False)
    assert isinstance(messages[2], Close)
    assert quiet.try_poll().status == 403


def test_session_of_one_dialect_is_reached_by_the_other(http, target):
    session = Polysocket(http).create(target.url("say", "hello"))
    response = http.get("/p/" + session.id)
    assert json.loads(response.text) == {
        "ok": True, "messages": [{"type": "text", "data": "hello"}]}


@pytest.mark.options(reply_bytes="4KiB")
def test_reply_ends_at_its_bound(quiet, target):
    texts = [f"{i} ".ljust(1000, "x") for i in range(10)]
    connection = target.connection()
    connection.do("say", *texts)
    connection.do("close-with", "3001", "bye")
    connection.wait_closed()    # answered, so the bridge has read it all
    sizes = []
    while len(texts) > sum(sizes):
        reply = [m for m in quiet.poll() if not isinstance(m, Close)]
        assert reply == texts[sum(sizes):sum(sizes) + len(reply)]
        sizes.append(len(reply))
    assert max(sizes) in (4, 5) and len(sizes) == 3
