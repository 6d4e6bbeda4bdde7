"""What an emit reaches and what it is answered: by number, by name, with
acknowledgements, once for each id, in batches, and up to its limits."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from channel import EVENT_ID, Channel
from client import Http

NO_PAYLOAD = {"success": False, "error": "No payload provided.",
              "code": "no_payload"}


def refused(response, status, code):
    assert (response.status, response.code) == (status, code), response
    assert response.json["success"] is False and response.json["error"]
    return response.json


@pytest.fixture
def three(channel):
    """Members that have heard of each other."""
    members = [channel.join() for _ in range(3)]
    for i, member in enumerate(members):
        for _ in members[i + 1:]:
            member.next("PRESENCE:JOINED")
    yield members
    for member in members:
        member.close()


# What is sent.

def test_an_event_reaches_all_however_they_listen(channel, kind):
    with channel.join(kind) as one, channel.join() as two:
        one.next("PRESENCE:JOINED")
        answer = channel.emit({"a": [1.0, "ä"]})
        assert answer["delivered"] == 2 and len(answer) == 3
        assert EVENT_ID.fullmatch(answer["eventID"])
        for member in (one, two):
            frame = member.next("DATA")
            assert frame.payload == {"a": [1.0, "ä"]}
            assert frame.event_id == answer["eventID"]
            assert "requires_ack" not in frame


@pytest.mark.parametrize("sent", [
    '{"b":1.0,"a":-0.10e+2,"b":12345678901234567890123}', '"\\u00e4\\/"',
    "0", "false", '""', "[null]", "[[]]"], ids=str)
def test_a_payload_goes_on_to_the_letter(channel, sent):
    with channel.join() as member:
        spaced = sent.replace(",", " ,\n ").replace(":", " : ")
        assert channel.try_emit(text=spaced).status == 200
        text = member.next("DATA").text
        assert text.startswith('{"type":"DATA","payload":' + sent + ',"cl')


@pytest.mark.parametrize("body", [
    "", " ", "{}", "[]", " { } ", "[ \n]"], ids=repr)
def test_nothing_to_send_is_told_in_the_words_of_the_seed(channel, body):
    with channel.join() as member:
        response = channel.try_emit(text=body)
        assert response.status == 400 and response.json == NO_PAYLOAD
        response = channel.try_emit_by_get(clients="1", require_ack="true")
        assert response.status == 400 and response.json == NO_PAYLOAD
        channel.emit("mark")
        member.hears_nothing_before("mark")


def test_a_get_sends_its_parameters(channel):
    with channel.join() as member:
        path = (channel.path("emit") + "?a=1&b=x&a=2&clients=1&id=k"
                "&callback=f")
        assert channel.http.request("GET", path).status == 200
        assert member.next("DATA").payload == {"a": "2", "b": "x",
                                               "callback": "f"}


# Whom it reaches.

def test_a_number_is_so_many_different_ones(channel, three):
    assert channel.emit("two", clients=2)["delivered"] == 2
    channel.emit("mark")
    heard = [member.next("DATA").payload for member in three]
    assert sorted(heard) == ["mark", "two", "two"]


def test_more_than_there_are_reach_nobody(channel, three):
    answer = refused(channel.try_emit("x", clients=4), 400,
                     "not_enough_clients")
    assert answer["error"] == "Not enough clients to target."
    channel.emit("mark")
    for member in three:
        member.hears_nothing_before("mark")


@pytest.mark.parametrize("clients", ["0", "-1", "1000001", "9" * 30, ""])
def test_a_number_that_makes_no_sense_is_refused(channel, three, clients):
    assert channel.try_emit("x", clients=clients).status == 400
    channel.emit("mark")
    for member in three:
        member.hears_nothing_before("mark")


def test_those_who_are_named_get_it_once(channel, three):
    one, two, other = three
    named = ",".join([two.id, "client_nobody__", one.id, two.id])
    answer = channel.emit("named", clients=named)
    assert answer["delivered"] == 2
    assert answer["unknown"] == ["client_nobody__"]
    channel.emit("mark")
    assert one.data(2) == two.data(2) == ["named", "mark"]
    other.hears_nothing_before("mark")


def test_with_nobody_there_it_does_not_go_to_all(channel, http, three):
    elsewhere = Channel(http, channel.name + "-2")
    refused(channel.try_emit("x", clients="client_nobody__"), 404,
            "clients_unknown")
    refused(elsewhere.try_emit("x", clients=three[0].id), 404,
            "clients_unknown")
    channel.emit("mark")
    for member in three:
        member.hears_nothing_before("mark")


# Acknowledgements.

def begin_emit(channel, stack, payload="ack me", n=1, **params):
    """One that waits for its answer, and is held by the bridge."""
    return stack.until_held(lambda: channel.http.begin(
        "POST", channel.path("emit"), channel.params(params),
        {"Content-Type": "application/json"}, json.dumps(payload)), n)


def test_the_answer_waits_for_all(channel, stack, three):
    with begin_emit(channel, stack, require_ack="true") as exchange:
        for member in three:
            frame = member.next("DATA")
            assert frame["requires_ack"] is True
            assert list(frame)[-2:] == ["requires_ack", "eventID"]
            member.ack(frame.event_id)
            assert member.next("ACK-RECEIVED").payload == {
                "eventID": frame.event_id}
        answer = exchange.response()
    assert answer.status == 200, answer
    assert answer.json == {
        "success": True, "eventID": frame.event_id, "delivered": 3,
        "acked": [member.id for member in three], "pending": [], "left": [],
        "ack_ms": answer.json["ack_ms"]}
    times = answer.json["ack_ms"]
    assert 0 <= times["p50"] <= times["max"] < 5000


@pytest.mark.options(ack_timeout="300ms")
def test_time_is_over_at_last(channel, stack, three):
    one, two, gone = three
    with begin_emit(channel, stack, require_ack="1") as exchange:
        event = one.next("DATA").event_id
        one.ack(event)
        gone.close()
        response = exchange.response()
    answer = refused(response, 408, "ack_timeout")
    assert (answer["eventID"], answer["delivered"]) == (event, 3)
    assert (answer["acked"], answer["pending"], answer["left"]) == (
        [one.id], [two.id], [gone.id])
    two.next("DATA")
    two.find("PRESENCE:LEFT")
    two.ack(event)          # too late
    assert two.next("ERROR").payload["code"] == "UNKNOWN_EVENT"


def test_some_are_enough(channel, stack, three):
    with begin_emit(channel, stack, min_acks=1) as exchange:
        three[1].ack(three[1].next("DATA").event_id)
        answer = exchange.response().json
    assert answer["success"] is True
    assert answer["acked"] == [three[1].id]
    assert answer["pending"] == [three[0].id, three[2].id]


def test_when_all_have_left_nobody_is_waited_for(channel, stack, three):
    with begin_emit(channel, stack, require_ack="true",
                    clients=three[0].id) as exchange:
        three[0].next("DATA")
        three[0].close()
        answer = exchange.response()
    assert answer.status == 200, answer
    assert answer.json["left"] == [three[0].id]


def test_with_no_member_there_is_nothing_to_wait_for(channel):
    answer = channel.emit("x", require_ack="true")
    assert answer["delivered"] == 0
    assert answer["acked"] == answer["pending"] == answer["left"] == []
    assert "requires_ack" not in answer


def test_members_of_any_kind_acknowledge(channel, kind):
    with channel.join(kind) as member:
        with ThreadPoolExecutor(1) as pool:
            emit = pool.submit(channel.emit, "x", require_ack="true")
            member.ack(member.next("DATA").event_id)
            assert emit.result()["acked"] == [member.id]
        member.next("ACK-RECEIVED")


def test_a_client_that_goes_leaves_nothing_behind(channel, stack, three):
    exchange = begin_emit(channel, stack, require_ack="true")
    held = stack.held_requests()
    exchange.reset()
    event = three[0].next("DATA").event_id
    if stack.server == "lighttpd":
        stack.wait_until(lambda: len(stack.held_requests()) < len(held),
                         "the bridge letting go")
    for member in three:
        member.ack(event)
    three[0].take()
    assert channel.emit("after")["delivered"] == 3


# Ids.

def test_an_id_is_sent_once(channel, http, three):
    first = channel.emit("one", id="order-17")
    assert channel.emit("two", id="order-17") == first
    again = {"Idempotency-Key": "order-17"}
    assert channel.emit("three", headers=again) == first
    assert channel.try_emit_by_get(a="4", id="order-17").json == first
    assert Channel(http, channel.name + "-2").emit("x", id="order-17") != first
    assert channel.emit("mark", id="order-18") != first
    for member in three:
        assert member.data(2) == ["one", "mark"]


@pytest.mark.parametrize("character", ["x", "ä", "😀"])
def test_an_id_has_at_most_64_characters(channel, character):
    first = channel.emit("x", id=character * 64)
    refused(channel.try_emit("x", id=character * 65), 400, "bad_parameter")
    with channel.join() as member:
        assert member.emit("x", id=character * 64) == first
        member.say({"type": "EMIT", "payload": 1, "id": character * 65})
        assert member.next("ERROR").payload["code"] == "BAD_MESSAGE"


def test_many_at_once_are_one(channel, three):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: channel.emit(i, id="same"),
                                range(48)))
    assert all(answer == answers[0] for answer in answers)
    channel.emit("mark")
    for member in three:
        first, second = member.data(2)
        assert isinstance(first, int) and second == "mark"


def test_one_that_waits_is_answered_with_the_first(channel, stack, three):
    with begin_emit(channel, stack, require_ack="true", id="k") as one, \
            begin_emit(channel, stack, require_ack="true", id="k") as two:
        for member in three:
            member.ack(member.next("DATA").event_id)
            member.next("ACK-RECEIVED")
        answer = one.response()
        assert answer.status == 200 and len(answer.json["acked"]) == 3
        assert two.response().json == answer.json
    assert channel.emit("again", id="k") == answer.json
    channel.emit("mark")
    for member in three:
        member.hears_nothing_before("mark")


def test_a_client_that_comes_again_gets_the_answer(channel, stack, three):
    begin_emit(channel, stack, require_ack="true", id="k").reset()
    events = [member.next("DATA").event_id for member in three]
    with begin_emit(channel, stack, n=1, require_ack="true",
                    id="k") as exchange:
        for member, event in zip(three, events):
            member.ack(event)
        assert len(exchange.response().json["acked"]) == 3


def test_what_was_refused_may_be_tried_again(channel):
    refused(channel.try_emit("x", clients=1, id="k"), 400,
            "not_enough_clients")
    with channel.join() as member:
        assert channel.emit("x", clients=1, id="k")["delivered"] == 1
        assert member.data() == ["x"]


def test_above_max_emit_ids_new_ones_are_refused(new_stack):
    stack = new_stack(options={"max_emit_ids": 2})
    channel = Channel(Http(stack.port), "room")
    first = channel.emit("x", id="1")
    channel.emit("x", id="2")
    answer = refused(channel.try_emit("x", id="3"), 503, "bridge_full")
    assert answer["limit"] == "max_emit_ids"
    assert channel.emit("x", id="1") == first
    assert channel.emit("x")["delivered"] == 0


# Batches.

def test_a_batch_is_events_in_order(channel, three):
    payloads = [{"n": i} for i in range(20)]
    answer = channel.try_emit_batch(payloads).json
    assert answer["success"] is True and answer["delivered"] == 3
    assert len(set(answer["eventIDs"])) == 20
    for member in three:
        frames = member.events(20)
        assert [frame.payload for frame in frames] == payloads
        assert [frame.event_id for frame in frames] == answer["eventIDs"]


def test_a_batch_is_accepted_whole_or_not_at_all(channel, three):
    assert channel.try_emit_batch([1, None, 2]).status == 400
    assert channel.try_emit_batch([1], require_ack="true").status == 400
    body = "1\n" + "x" * 5 + "\n2\n"
    assert channel.http.request(
        "POST", channel.path("emit"), {},
        {"Content-Type": "application/x-ndjson"}, body).status == 400
    channel.emit("mark")
    for member in three:
        member.hears_nothing_before("mark")


def test_a_batch_has_an_id_too(channel, three):
    first = channel.try_emit_batch([1, 2], id="k").json
    assert len(first["eventIDs"]) == 2
    assert channel.try_emit_batch([3], id="k").json == first
    channel.emit("mark")
    for member in three:
        assert member.data(3) == [1, 2, "mark"]


# Limits.

@pytest.mark.options(max_message="1KiB")
def test_what_is_too_large_reaches_nobody(channel, three):
    assert channel.emit("x" * 1022)["delivered"] == 3
    answer = refused(channel.try_emit("x" * 1023), 413, "message_too_large")
    assert answer["limit"] == "max_message"
    refused(channel.try_emit_batch(["y", "x" * 1023]), 413,
            "message_too_large")
    channel.emit("mark")
    for member in three:
        assert [len(x) for x in member.data(2)] == [1022, 4]


@pytest.mark.anonymous(None)
def test_a_token_has_its_limits(channel, new_token):
    listener = Channel(channel.http, channel.name, new_token())
    with listener.join() as member:
        channel.token = new_token(max_message_bytes=5, max_messages_per_day=3)
        answer = refused(channel.try_emit("1234"), 413, "message_too_large")
        assert answer["limit"] == "max_message_bytes"
        assert channel.try_emit_batch([1, 2, 3, 4]).status == 429
        channel.emit("123")
        answer = refused(channel.try_emit_batch([1, 2, 3]), 429,
                         "daily_limit")
        assert answer["limit"] == "max_messages_per_day"
        channel.emit(1, id="k")
        channel.emit(2)
        response = channel.try_emit(3)
        refused(response, 429, "daily_limit")
        assert int(response.header("Retry-After")) > 0
        assert channel.emit(4, id="k")["delivered"] == 1    # known already
        assert member.data(3) == ["123", 1, 2]


@pytest.mark.options(max_held=4)
def test_no_more_wait_than_may_be_held(channel, stack):
    with channel.join() as member:
        waiting = [begin_emit(channel, stack, i, require_ack="true")
                   for i in range(4)]
        answer = refused(channel.try_emit("x", require_ack="true"), 503,
                         "too_many_held")
        assert answer["limit"] == "max_held"
        assert channel.emit("free")["delivered"] == 1
        frames = member.events(5)
        assert [frame.payload for frame in frames] == [0, 1, 2, 3, "free"]
        for frame, exchange in zip(frames, waiting):
            member.ack(frame.event_id)
            with exchange:
                assert exchange.response().json["eventID"] == frame.event_id
