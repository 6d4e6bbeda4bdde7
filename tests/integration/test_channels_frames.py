"""What a member says: ACK, PONG, PRESENCE, EMIT, and what is none of them."""

import json

import pytest

from channel import EVENT_ID, HTTP_KINDS


def emit_with_acks(channel, payload, **params):
    """The request, on its way."""
    params = {name.replace("_", "-"): value for name, value in params.items()}
    return channel.http.begin("POST", channel.path("emit"),
                              {"require-ack": "true", **params},
                              {"Content-Type": "application/json"},
                              json.dumps(payload).encode())


# ACK.

def test_an_ack_is_answered(channel, kind):
    with channel.join(kind) as member:
        with emit_with_acks(channel, "x") as emit:
            event = member.next("DATA")
            member.ack(event.event_id)
            assert member.next("ACK-RECEIVED").payload == {
                "eventID": event.event_id}
            answer = emit.response()
            assert answer.status == 200
            assert answer.json["acked"] == [member.id]


def test_an_emit_waits_for_members_of_every_kind(channel):
    members = [channel.join(kind) for kind in ("ws", *HTTP_KINDS)]
    try:
        with emit_with_acks(channel, "x") as emit:
            for member in members:
                member.ack(member.find("DATA").event_id)
            answer = emit.response().json
        assert set(answer["acked"]) == {member.id for member in members}
        assert answer["pending"] == answer["left"] == []
        assert answer["delivered"] == len(members)
    finally:
        for member in members:
            member.close()


def test_an_ack_may_be_repeated_while_the_event_waits(channel):
    with channel.join() as one, channel.join() as two:
        with emit_with_acks(channel, "x") as emit:
            event = one.find("DATA").event_id
            for _ in range(2):
                one.ack(event)
                assert one.next("ACK-RECEIVED").payload == {"eventID": event}
            two.ack(event)
            assert emit.response().status == 200


def test_who_leaves_is_no_longer_waited_for(channel):
    with channel.join() as stays:
        goes = channel.join()
        with emit_with_acks(channel, "x") as emit:
            stays.ack(stays.find("DATA").event_id)
            stays.next("ACK-RECEIVED")
            goes.next("DATA")
            goes.reset()
            answer = emit.response()
            assert answer.status == 200
            assert answer.json["acked"] == [stays.id]
            assert answer.json["left"] == [goes.id]


@pytest.mark.options(ack_timeout="500ms")
def test_who_does_not_acknowledge_is_named(channel):
    with channel.join() as one, channel.join() as two:
        with emit_with_acks(channel, "x") as emit:
            one.ack(one.find("DATA").event_id)
            answer = emit.response()
            assert (answer.status, answer.code) == (408, "ack_timeout")
            assert answer.json["success"] is False and answer.json["error"]
            assert answer.json["acked"] == [one.id]
            assert answer.json["pending"] == [two.id]
            assert set(answer.json["ack_ms"]) == {"p50", "max"}


def test_an_event_that_nobody_waits_for_is_unknown(channel):
    with channel.join() as member:
        for event in ("evt_nothing_", channel.emit("x")["eventID"]):
            member.ack(event)
            assert member.find("ERROR").payload["code"] == "UNKNOWN_EVENT"


# Types.

@pytest.mark.parametrize("frame", [
    {"type": "presence", "payload": {}}, {"type": "Presence", "payload": {}},
    {"payload": {}, "extra": [1], "type": "PRESENCE"}], ids=range(3))
def test_types_compare_case_insensitively(channel, kind, frame):
    with channel.join(kind) as member:
        member.say(frame)
        member.next("PRESENCE:UPDATED")


def test_pongs_need_no_ping(channel, kind):
    with channel.join(kind) as member:
        for frame in ({"type": "PONG"}, {"type": "pong", "payload": {}}):
            member.say(frame)
        channel.emit("mark")
        member.hears_nothing_before("mark")


@pytest.mark.parametrize("frame", [
    {"type": "HELLO"}, {"type": "DATA", "payload": 1}, {"type": ""},
    {"type": "PONG "}, {"type": "CONNECTED", "payload": {}}], ids=str)
def test_an_unknown_type_is_an_error(channel, kind, frame):
    with channel.join(kind) as member:
        member.say(frame)
        error = member.next("ERROR").payload
        assert list(error) == ["message", "code"]
        assert error["code"] == "UNKNOWN_TYPE" and error["message"]
        channel.emit("still here")
        assert member.data() == ["still here"]


BAD = ["", " ", "nonsense", "{", "[]", "1", "null", '"PONG"', "{}",
       '{"payload":{}}', '{"type":1}', '{"type":null}', '{"type":["PONG"]}',
       '{"type":"PONG"}{}', '{"type":"ACK"}', '{"type":"ACK","payload":{}}',
       '{"type":"ACK","payload":"evt_12345678"}',
       '{"type":"ACK","payload":{"eventID":1}}', '{"type":"PRESENCE"}',
       '{"type":"PRESENCE","payload":[]}', "[" * 100, '{"type":"\\ud800"}',
       '{"type":"PONG","type":"PONG"}']


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_no_message_is_an_error_and_the_connection_stays(channel,
                                                                text):
    with channel.join() as member:
        member.say(text)
        error = member.next("ERROR").payload
        assert list(error) == ["message", "code"]
        assert error["code"] == "BAD_MESSAGE" and error["message"]
        channel.emit("still here")
        assert member.data() == ["still here"]


def test_twenty_bad_messages_are_too_many(channel):
    with channel.join() as member:
        for i in range(20):
            member.say("nonsense")
        for i in range(20):
            assert member.next("ERROR").payload["code"] == "BAD_MESSAGE"
        assert member.closed().code == 1008


def test_nineteen_bad_messages_are_not(channel):
    with channel.join() as member:
        for i in range(19):
            member.say("nonsense")
            assert member.next("ERROR").payload["code"] == "BAD_MESSAGE"
        member.say({"type": "HELLO"})
        assert member.next("ERROR").payload["code"] == "UNKNOWN_TYPE"
        channel.emit("still here")
        assert member.data() == ["still here"]


def test_a_binary_frame_ends_the_connection(channel):
    with channel.join() as member:
        member.say(b'{"type":"PONG"}')
        assert member.closed().code == 1003


@pytest.mark.options(max_message="10KiB")
def test_what_is_too_large_ends_the_connection(channel):
    with channel.join() as member:
        member.say({"type": "PONG", "payload": "x" * 10240})
        assert member.closed().code == 1009


@pytest.mark.options(max_message="10KiB")
def test_the_largest_message_is_taken(channel):
    with channel.join() as member:
        frame = {"type": "PONG", "payload": ""}
        frame["payload"] = "x" * (10240 - len(json.dumps(frame)))
        assert len(json.dumps(frame)) == 10240
        member.say(frame)
        channel.emit("still here")
        member.hears_nothing_before("still here")


def test_invalid_utf8_ends_the_connection(channel):
    with channel.join() as member:
        member.send_raw_text(b'{"type":"\xff"}')
        assert member.closed().code == 1007


def test_a_message_may_come_in_fragments(channel):
    with channel.join() as member:
        member.say_in_parts(['{"type":"PRES', 'ENCE","payl', 'oad":{"a":1}}'])
        assert (member.next("PRESENCE:UPDATED").payload["presence"]
                == {"a": 1})


# EMIT.

def test_a_member_emits(channel):
    with channel.join() as one, channel.join() as two:
        answer = one.emit({"from": "one"})
        assert (answer["success"], answer["delivered"]) == (True, 2)
        assert EVENT_ID.fullmatch(answer["eventID"])
        event = two.find("DATA")
        assert event.payload == {"from": "one"}
        assert event.event_id == answer["eventID"]


def test_who_emits_hears_it_too(channel):
    with channel.join() as member:
        member.say({"type": "EMIT", "payload": 1})
        found = {member.next().type, member.next().type}
        assert found == {"DATA", "EMITTED"}


def test_an_emit_may_name_its_clients(channel):
    with channel.join() as one, channel.join() as two:
        one.next("PRESENCE:JOINED")
        for clients in ([two.id], two.id):
            answer = one.emit("for two", clients=clients)
            assert answer["delivered"] == 1
            assert two.next("DATA").payload == "for two"
        assert one.emit("x", clients=[two.id, "client_nobody__"])[
            "unknown"] == ["client_nobody__"]
        assert two.data() == ["x"]
        channel.emit("mark")
        one.hears_nothing_before("mark")


def test_an_emit_may_name_how_many(channel):
    with channel.join() as one, channel.join() as two:
        one.next("PRESENCE:JOINED")
        assert one.emit("x", clients=2)["delivered"] == 2
        answer = one.emit("x", clients=3)
        assert answer["success"] is False
        assert answer["code"] == "not_enough_clients"
        assert two.next("DATA").payload == "x"


def test_an_emit_by_socket_waits_for_acks(channel):
    with channel.join() as one, channel.join() as two:
        one.next("PRESENCE:JOINED")
        one.say({"type": "EMIT", "payload": "x", "clients": [two.id],
                 "requires_ack": True})
        event = two.next("DATA")
        assert event["requires_ack"] is True
        two.ack(event.event_id)
        answer = one.next("EMITTED").payload
        assert answer["acked"] == [two.id] and answer["success"] is True


def test_an_emit_by_socket_is_sent_once(channel):
    with channel.join() as one, channel.join() as two:
        first = one.emit("x", id="same")
        assert one.emit("y", id="same") == first
        assert channel.emit("z", id="same") == first
        assert two.data() == ["x"]
        channel.emit("mark")
        two.hears_nothing_before("mark")


@pytest.mark.parametrize("frame", [
    {"payload": None}, {}, {"payload": {}}, {"payload": []}], ids=str)
def test_an_emit_by_socket_needs_a_payload(channel, frame):
    with channel.join() as member:
        member.say({"type": "EMIT", **frame})
        assert member.next("ERROR").payload == {
            "message": "No payload provided.", "code": "BAD_MESSAGE"}


def test_an_emit_by_socket_needs_a_token_that_may(channel, new_token, http):
    token = new_token(channels=[("*", 0, 1)])
    channel.token = token
    with channel.join() as member:
        member.say({"type": "EMIT", "payload": 1})
        answer = member.next("EMITTED").payload
        assert (answer["success"], answer["code"]) == (False,
                                                       "channel_refused")


@pytest.mark.parametrize("http_kind", HTTP_KINDS)
def test_a_member_by_http_emits(channel, http_kind):
    with channel.join() as one, channel.join(http_kind) as two:
        one.next("PRESENCE:JOINED")
        two.say({"type": "EMIT", "payload": "x"})
        assert one.next("DATA").payload == "x"
        assert two.find("EMITTED").payload["delivered"] == 2
