"""Members that have only HTTP: streams, polls, and what they send."""

import contextlib
import json

import pytest

from channel import HTTP_KINDS, Channel
from client import Http
from rawsocket import RawSocket

SHORT = pytest.mark.options(receiver_grace="500ms", hold_min="100ms",
                            first_receiver_grace="2s")


@pytest.fixture(params=HTTP_KINDS)
def http_kind(request):
    return request.param


def first_poll(channel, **params):
    """The answer to a first poll: {"clientID", "key", "seq"}."""
    answer = channel.try_listen(transport="xhr", **params).json
    assert answer["success"] is True
    connected, = answer["events"]
    return {"client": connected["clientID"],
            "key": connected["payload"]["key"], "ack": answer["seq"]}


# How each looks on the wire.

def test_eventsource_is_chosen_by_accept_or_by_name(channel):
    for headers, params in (({"Accept": "text/event-stream"}, {}),
                            ({"Accept": "text/html;q=0.9, "
                                        "text/event-stream"}, {}),
                            ({}, {"transport": "eventsource"})):
        with channel.http.begin("GET", channel.path("listen"), params,
                                headers) as stream:
            assert stream.head() == 200
            assert stream.header("Content-Type").startswith(
                "text/event-stream")
            assert stream.header("X-Accel-Buffering") == "no"
            assert "no-store" in stream.header("Cache-Control")
            fields = []
            while not any(field == "data" for field, _ in fields):
                field, _, value = stream.line().partition(": ")
                fields.append((field, value))
            frame = json.loads(dict(fields)["data"])
            assert frame["type"] == "CONNECTED"
            key, seq, event = stream_id(stream)
            assert key == frame["payload"]["key"]
            assert (seq, event) == ("1", "")
            event_id = channel.emit("x")["eventID"]
            while not (line := stream.line()).startswith("data: "):
                assert "CONNECTED" not in line
            assert json.loads(line[6:])["payload"] == "x"
            assert stream_id(stream) == [key, str(int(seq) + 1), event_id]


def stream_id(stream):
    """The three parts of the `id` that comes next."""
    while not (line := stream.line()).startswith("id: "):
        pass
    return line[4:].rsplit("/", 2)


def test_a_stream_has_one_frame_a_line(channel):
    with channel.http.begin("GET", channel.path("listen"),
                            {"transport": "xhr-streaming"}) as stream:
        assert stream.head() == 200
        assert stream.header("X-Accel-Buffering") == "no"
        prelude = stream.line()
        assert prelude.strip() == "" and len(prelude) >= 2047
        assert json.loads(stream.line())["type"] == "CONNECTED"
        for i in range(3):
            channel.emit(i)
            assert json.loads(stream.line())["payload"] == i


def test_a_poll_has_all_that_waits(channel):
    known = first_poll(channel)
    for i in range(3):
        channel.emit(i)
    answer = channel.try_listen(transport="xhr", **known).json
    assert list(answer) == ["success", "events", "seq"]
    assert [event["payload"] for event in answer["events"]] == [0, 1, 2]
    assert answer["seq"] == known["ack"] + 3


def test_a_poll_may_be_jsonp(channel):
    response = channel.try_listen(transport="xhr", cb="show")
    assert response.header("Content-Type").startswith(
        ("application/javascript", "text/javascript"))
    answer = response.jsonp("show")
    assert answer["success"] is True
    assert answer["events"][0]["type"] == "CONNECTED"


def test_jsonp_needs_no_transport(channel):
    answer = channel.try_listen(cb="show").jsonp("show")
    assert answer["events"][0]["type"] == "CONNECTED"


def test_a_script_tag_is_safe_from_what_is_sent(channel):
    text = "</script>\u2028\u2029"
    known = first_poll(channel)
    channel.emit(text)
    response = channel.try_listen(transport="xhr", cb="f", **known)
    assert not any(c in response.text for c in ("</", "\u2028", "\u2029"))
    assert response.jsonp("f")["events"][0]["payload"] == text


@pytest.mark.parametrize("transport", ["", "websocket", "long-poll", "XHR"])
def test_another_transport_is_none(channel, transport):
    response = channel.try_listen(transport=transport)
    assert response.status in (400, 426)
    assert response.json["success"] is False
    assert channel.members() == []


def test_head_makes_no_member(channel):
    for params in ({"transport": "xhr"}, {"transport": "eventsource"}):
        response = channel.http.request("HEAD", channel.path("listen"),
                                        params)
        assert (response.status, response.body) == (200, b"")
    assert channel.http.request("HEAD", channel.path("listen")).status == 426
    assert channel.members() == []


# Going on as the same member.

@SHORT
def test_a_member_is_the_same_from_request_to_request(channel, http_kind):
    with channel.join(http_kind, hold=100) as member:
        for i in range(5):
            channel.emit(i)
            assert member.data() == [i]
        assert channel.ids() == [member.id]


@pytest.mark.options(stream_bytes="4KiB")
def test_a_stream_is_cycled_without_gap_or_double(channel, http_kind):
    with channel.join(http_kind) as member:
        for i in range(40):
            channel.emit({"i": i, "x": "y" * 500})
        assert [d["i"] for d in member.data(40)] == list(range(40))
        assert channel.ids() == [member.id]


def test_what_was_not_acknowledged_is_sent_again(channel):
    known = first_poll(channel)
    channel.emit("one")
    for _ in range(3):
        answer = channel.try_listen(transport="xhr", **known).json
        assert [e["payload"] for e in answer["events"]] == ["one"]
    channel.emit("two")
    answer = channel.try_listen(transport="xhr",
                                **{**known, "ack": answer["seq"]}).json
    assert [e["payload"] for e in answer["events"]] == ["two"]


def test_an_ack_that_may_not_come_is_a_gap(channel):
    known = first_poll(channel)
    answer = channel.try_listen(transport="xhr", **{**known, "ack": 99})
    assert (answer.status, answer.code) == (409, "gap")
    assert answer.json["success"] is False


def test_going_on_needs_client_and_key(channel):
    known = first_poll(channel)
    other = first_poll(channel)
    for wrong in ({"key": "none.0"}, {"key": other["key"]},
                  {"key": known["key"][:-1]}, {"client": other["client"]},
                  {"client": "client_nobody__"}):
        params = {**known, **wrong}
        answer = channel.try_listen(transport="xhr", **params)
        assert (answer.status, answer.code) == (403, "key_unknown"), wrong
        assert answer.json["success"] is False
        said = channel.try_say(params["client"], params["key"],
                               {"type": "PONG"})
        assert (said.status, said.code) == (403, "key_unknown"), wrong
    for missing in ("client", "key"):
        params = {name: value for name, value in known.items()
                  if name != missing}
        assert channel.try_listen(transport="xhr", **params).status in (
            400, 403)


def test_a_key_is_good_for_its_channel_only(channel, http):
    known = first_poll(channel)
    elsewhere = Channel(http, channel.name + "-else")
    answer = elsewhere.try_listen(transport="xhr", **known)
    assert (answer.status, answer.code) == (403, "key_unknown")
    said = elsewhere.try_say(known["client"], known["key"], {"type": "PONG"})
    assert (said.status, said.code) == (403, "key_unknown")
    assert channel.ids() == [known["client"]]


def test_a_key_is_no_socket_of_the_relay(channel, http):
    known = first_poll(channel)
    assert http.get("/p/" + known["key"], ttl="1000").status == 403
    assert http.post("/polysocket/send", {
        "socket": known["key"],
        "events": [{"type": "string", "data": "x"}]}).status == 403
    assert http.post("/polysocket/close",
                     {"socket": known["key"]}).status == 403
    assert channel.ids() == [known["client"]]


def test_a_socket_of_the_relay_is_no_key(channel, http, relay, target):
    session = relay.create(target.url("echo"))
    answer = channel.try_listen(transport="xhr", client="client_12345678",
                                key=session.id, ack=0)
    assert (answer.status, answer.code) == (403, "key_unknown")
    session.send("still mine")
    assert session.receive() == ["still mine"]
    session.finish()


# What it says.

@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"1", b"{"])
def test_what_is_no_message_is_told_by_http_or_as_error(channel, body):
    with channel.join("poll") as member:
        response = member.try_say(body)
        if response.status == 200:
            assert (member.next("ERROR").payload["code"] == "BAD_MESSAGE")
        else:
            assert response.status == 400
            assert response.json["success"] is False
        channel.emit("still here")
        assert member.data() == ["still here"]


@pytest.mark.options(max_message="10KiB")
def test_what_is_too_large_is_refused(channel):
    with channel.join("poll") as member:
        response = member.try_say({"type": "PONG", "payload": "x" * 10240})
        assert (response.status, response.code) == (413, "message_too_large")
        channel.emit("still here")
        assert member.data() == ["still here"]


def test_text_plain_is_json_too(channel):
    with channel.join("poll") as member:
        response = channel.http.request(
            "POST", channel.path("listen"),
            {"client": member.id, "key": member.key},
            {"Content-Type": "text/plain"},
            '{"type":"PRESENCE","payload":{"a":1}}')
        assert response.status == 200
        assert (member.next("PRESENCE:UPDATED").payload["presence"]
                == {"a": 1})


# Both versions of HTTP.

def test_a_stream_over_http2(stack, channel, http2):
    with http2.begin("GET", channel.path("listen"),
                     {"transport": "xhr-streaming"}) as stream:
        assert stream.head() == 200
        stream.line()
        assert json.loads(stream.line())["type"] == "CONNECTED"
        channel.emit("x")
        assert json.loads(stream.line())["payload"] == "x"


# EventSource that comes back by itself.

def test_an_eventsource_goes_on_where_it_was(channel):
    with channel.join("events") as member:
        channel.emit("before")
        assert member.data() == ["before"]
        member.exchange.sock.shutdown(2)        # its connection breaks
        channel.emit("after")
        assert member.next("DATA").payload == "after"
        assert channel.ids() == [member.id]


@SHORT
def test_an_eventsource_whose_member_is_gone_is_a_new_one(channel):
    with channel.join("events", hold=100) as old:
        channel.emit("before")
        assert old.data() == ["before"]
        old.close()
    with channel.join() as witness:
        for gone in witness.connected.payload["members"]:
            assert witness.next("PRESENCE:LEFT").payload["clientID"] == (
                gone["clientID"])
        channel.emit("missed")
        assert witness.data() == ["missed"]
        with channel.join("events", headers={
                "Last-Event-ID": old.last_id}) as new:
            assert new.id != old.id
            assert new.key != old.key
            replayed = new.next("DATA")
            assert replayed.payload == "missed"
            assert replayed["replayed"] is True


@pytest.mark.parametrize("last_id", ["", "x", "1", "/", "//", "a/b/c/d",
                                     "none.0/1/evt_12345678",
                                     "none.0/99999999999999999999/"])
def test_any_last_event_id_makes_a_member(channel, last_id):
    with channel.join("events", headers={"Last-Event-ID": last_id}) as member:
        channel.emit("x")
        assert member.find("DATA").payload == "x"


@pytest.mark.options(max_held="1")
def test_above_max_held_a_stream_is_refused(channel, stack):
    with channel.join("lines"):
        stack.wait_held(1)
        response = channel.try_listen(transport="xhr-streaming")
        assert (response.status, response.code) == (503, "too_many_held")
        assert response.json["success"] is False


@pytest.mark.options(max_held="1")
def test_above_max_held_a_poll_gets_its_key_or_nothing(channel, stack):
    """Where many are there a newcomer has to wait in line, and a poll that
    is not held cannot: it would not know which member it has become."""
    stack.wait_held(0)
    with channel.join("lines"), contextlib.ExitStack() as others:
        stack.wait_held(1)
        assert first_poll(channel)["key"]
        for _ in range(256):
            other = others.enter_context(RawSocket(stack.ws_socket))
            other.handshake(channel.path("listen"))
        before = channel.ids()
        response = channel.try_listen(transport="xhr")
        assert (response.status, response.code) == (503, "too_many_held")
        assert response.header("Retry-After") == "5"
        assert set(channel.ids()) <= set(before)


def test_source_of_a_member_does_not_matter(channel, stack):
    """Phones change their address."""
    known = first_poll(channel)
    channel.emit("x")
    channel.http = Http(stack.port, source="127.0.0.2")
    answer = channel.try_listen(transport="xhr", **known).json
    assert [e["payload"] for e in answer["events"]] == ["x"]
