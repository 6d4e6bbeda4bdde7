"""Joining a channel, and the frames that the server sends."""

import json

import pytest

from channel import CLIENT_ID, EVENT_ID, HTTP_KINDS, UPGRADE, Channel

OWN = ["type", "payload", "clientID", "latency"]


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# What is sent arrives.

def test_what_is_emitted_arrives_at_all_who_listen(channel, kind):
    with channel.join(kind) as one, channel.join(kind) as other:
        answer = channel.emit({"hello": "world"})
        assert (answer["success"], answer["delivered"]) == (True, 2)
        for member in (one, other):
            frame = member.find("DATA")
            assert frame.payload == {"hello": "world"}
            assert frame.event_id == answer["eventID"]


@pytest.mark.parametrize("payload", [
    {"a": 1}, [1, "two", None], "text", "", 0, 12345678901234567890, 1.5e300,
    True, False, {"": {"nested": [[]]}}, "\u2028\u2029</script>\u0000\u001f",
    "\U0001f600\u00e9"], ids=range(12))
def test_the_payload_is_as_sent(channel, payload):
    with channel.join() as member:
        channel.emit(payload)
        assert member.data() == [payload]


@pytest.mark.parametrize("text,expected", [
    (' { "b" : 1 , "a" : 1.10 } ', '{"b":1,"a":1.10}'),
    ('[1e5, 100000, 0.1e1,\n -0]', "[1e5,100000,0.1e1,-0]"),
    ('{"u": "\\u00e9 \\ud83d\\ude00 é"}', '{"u":"\\u00e9 \\ud83d\\ude00 é"}'),
])
def test_numbers_order_and_escapes_are_those_of_the_sender(channel, text,
                                                          expected):
    with channel.join() as member:
        answer = channel.emit(text=text.encode())
        assert member.next("DATA").text == (
            f'{{"type":"DATA","payload":{expected},"clientID":"{member.id}",'
            f'"latency":0,"eventID":"{answer["eventID"]}"}}')


def test_a_large_event_arrives(channel, kind):
    payload = "x" * 1000000
    with channel.join(kind) as member:
        channel.emit(payload)
        assert member.data() == [payload]


def test_channels_do_not_hear_each_other(channel, http, kind):
    other = Channel(http, channel.name + "-other")
    with channel.join(kind) as here, other.join(kind) as there:
        channel.emit("here")
        other.emit("there")
        assert here.next("DATA").payload == "here"
        assert there.next("DATA").payload == "there"


# Frames.

def test_data_has_its_keys_in_order(channel, kind):
    with channel.join(kind) as member:
        answer = channel.emit({"a": [1]})
        frame = member.next("DATA")
        assert list(frame) == [*OWN, "eventID"]
        assert EVENT_ID.fullmatch(answer["eventID"])
        if kind not in ("poll", "jsonp"):
            assert frame.text == compact(frame)


def test_data_that_wants_an_ack_has_its_keys_in_order(channel):
    with channel.join() as member:
        response = channel.try_emit("x", require_ack="true", min_acks=1,
                                    clients="client_nobody__")
        assert response.status == 404
        with channel.http.begin(
                "POST", channel.path("emit"), {"require-ack": "true"},
                {"Content-Type": "application/json"}, b'"x"') as emit:
            frame = member.next("DATA")
            assert list(frame) == [*OWN, "requires_ack", "eventID"]
            assert frame["requires_ack"] is True
            assert frame.text == compact(frame)
            member.ack(frame.event_id)
            assert emit.response().status == 200


def test_every_other_frame_has_type_payload_client_and_latency(channel):
    with channel.join() as one:
        with channel.join() as two:
            frames = [one.connected, two.connected,
                      one.next("PRESENCE:JOINED")]
            two.set_presence({})
            frames += [one.next("PRESENCE:UPDATED"),
                       two.next("PRESENCE:UPDATED")]
            one.say("nonsense")
            frames.append(one.next("ERROR"))
        frames.append(one.next("PRESENCE:LEFT"))
    for frame in frames:
        assert list(frame) == OWN
        assert frame.text == compact(frame)
        assert frame["latency"] == 0


def test_client_id_is_always_that_of_the_recipient(channel, kind):
    with channel.join(kind) as one, channel.join(kind) as two:
        assert one.next("PRESENCE:JOINED")["clientID"] == one.id
        two.set_presence({"a": 1})
        for member in (one, two):
            updated = member.next("PRESENCE:UPDATED")
            assert updated["clientID"] == member.id
            assert updated.payload["clientID"] == two.id
        channel.emit(1)
        for member in (one, two):
            assert member.next("DATA")["clientID"] == member.id


# CONNECTED.

def test_connected_is_first_and_has_everyone_but_the_newcomer(channel, kind):
    members = []
    try:
        for i in range(4):
            members.append(channel.join(kind, presence={"i": i}))
        for i, member in enumerate(members):
            assert member.connected.payload["members"] == [
                {"clientID": members[j].id, "presence": {"i": j}}
                for j in range(i)]
    finally:
        for member in members:
            member.close()


def test_only_members_without_websocket_get_a_key(channel, kind):
    with channel.join(kind) as member:
        assert list(member.connected.payload) == (
            ["members"] if kind == "ws" else ["members", "key"])


def test_ids_are_random_and_of_their_form(channel):
    seen = set()
    for i in range(20):
        with channel.join() as member:
            assert CLIENT_ID.fullmatch(member.id)
            event = channel.emit(i)["eventID"]
            assert EVENT_ID.fullmatch(event)
            seen |= {member.id, event}
    assert len(seen) == 40


def test_presence_of_a_newcomer_is_told(channel, kind):
    with channel.join() as one:
        with channel.join(kind, presence={"name": "Zoë", "n": [1, {}]}) as two:
            assert one.next("PRESENCE:JOINED").payload == {
                "clientID": two.id,
                "presence": {"name": "Zoë", "n": [1, {}]}}


def test_presence_is_empty_where_none_is_told(channel):
    with channel.join() as one, channel.join() as two:
        joined = one.next("PRESENCE:JOINED")
        assert joined.payload == {"clientID": two.id, "presence": {}}


@pytest.mark.parametrize("presence", [
    "nonsense", "[]", "1", "null", '"text"', "{", '{"a":"' + "x" * 4096
    + '"}', '{"a":1}{}', "{'a':1}"], ids=range(9))
@pytest.mark.parametrize("upgrade", [True, False], ids=["ws", "http"])
def test_a_presence_that_is_none_is_refused(channel, presence, upgrade):
    if upgrade:
        response = channel.try_upgrade(presence=presence)
    else:
        response = channel.try_listen(transport="xhr", presence=presence)
    assert (response.status, response.code) == (400, "bad_parameter")
    assert response.json["success"] is False
    assert channel.members() == []


def test_the_largest_presence_is_taken(channel, kind):
    presence = {"a": "x" * (4096 - len('{"a":""}'))}
    with channel.join() as one, channel.join(kind, presence=presence):
        assert one.next("PRESENCE:JOINED").payload["presence"] == presence


# JOINED to the others comes before the newcomer's CONNECTED is built.

def test_who_is_told_of_a_newcomer_is_on_its_list(channel):
    with channel.join() as one:
        with channel.join() as two:
            one.next("PRESENCE:JOINED")
            with channel.join() as three:
                listed = {m["clientID"]
                          for m in three.connected.payload["members"]}
                assert listed == {one.id, two.id}
                for member in (one, two):
                    assert (member.next("PRESENCE:JOINED").payload["clientID"]
                            == three.id)


# Names.

@pytest.mark.parametrize("name", [
    "a", "x" * 128, "é" * 64, "a/b", "a b", "per%cent", "q?mark#hash", "…",
    "emit", "listen", "members", "a;b", "a&b=c", "+plus", "~tilde", "../"])
def test_a_channel_has_any_name(http, name):
    channel = Channel(http, name)
    for kind in ("ws", "poll"):
        with channel.join(kind) as member:
            assert channel.emit(name)["delivered"] == 1
            assert member.data() == [name]


@pytest.mark.parametrize("path,code", [
    ("/" + "x" * 129 + "/", "name_invalid"),
    ("/" + "%C3%A9" * 65 + "/", "name_invalid"),
    ("/a%0Ab/", "name_invalid"), ("/a%7Fb/", "name_invalid"),
    ("/a%1Fb/", "name_invalid"), ("/a%C2%85b/", "name_invalid"),
    ("/a%FFb/", "bad_request"), ("/polysocket/", "name_reserved"),
    ("/create/", "name_reserved"), ("/authorize/", "name_reserved")])
def test_what_is_no_name_is_refused(http, path, code):
    for what in ("members", "history", "emit", "listen"):
        response = http.get(path + what, x=1)
        assert (response.status, response.code) == (400, code), what
    response = http.get(path + "listen", UPGRADE)
    assert (response.status, response.code) == (400, code)


def test_nothing_else_takes_an_upgrade(channel, http):
    for path in ("/" + channel.name, "/" + channel.name + "/listen/more",
                 "/" + channel.name + "/emit", "//listen",
                 "/polysocket/xhr"):
        response = http.get(path, UPGRADE)
        assert response.status in (400, 404), path
        assert response.header("X-Content-Type-Options") == "nosniff"


@pytest.mark.prefix("/live")
def test_channels_are_below_the_prefix(channel, kind):
    with channel.join(kind) as member:
        channel.emit("below")
        assert member.data() == ["below"]


# Through the two servers' upgrades.

def test_an_upgrade_may_offer_compression(channel):
    with channel.join(deflate=True) as member:
        channel.emit("x" * 10000)
        assert member.data() == ["x" * 10000]


def test_a_ping_of_the_websocket_is_answered(channel):
    with channel.join() as member:
        member.ping()


def test_a_close_is_answered_with_its_code(channel):
    with channel.join() as member:
        member.close(4001, "enough")
        assert member.closed()[:2] == (4001, "enough")


def test_a_plain_get_is_told_to_upgrade(channel, stack):
    response = channel.try_listen()
    assert (response.status, response.code) == (426, "upgrade_required")
    assert response.json["success"] is False
    if stack.server == "apache":        # lighttpd keeps it to itself
        assert response.header("Upgrade") == "websocket"


@pytest.mark.parametrize("http_kind", HTTP_KINDS)
def test_a_member_by_http_is_one_like_all(channel, http_kind):
    with channel.join() as one, channel.join(http_kind) as two:
        assert (one.next("PRESENCE:JOINED").payload["clientID"] == two.id)
        assert set(channel.ids()) == {one.id, two.id}
        channel.emit("to both")
        assert one.data() == two.data() == ["to both"]
