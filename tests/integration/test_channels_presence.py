"""Who is there: presence, and that whoever goes is missed once."""

import re
import signal

import pytest

from channel import HTTP_KINDS, Channel
from client import Http

SHORT = {"receiver_grace": "500ms", "first_receiver_grace": "2s",
         "hold_min": "100ms"}
# A web server tells that a client has gone when it cannot write, if at all.
HOLD = {kind: {"hold": 100} for kind in HTTP_KINDS}


def left(member, gone):
    """The next that a member hears is that the other has left, once."""
    assert member.next("PRESENCE:LEFT").payload == {"clientID": gone.id}


# UPDATED.

def test_everyone_hears_of_a_presence_the_sender_too(channel, kind):
    with channel.join() as one, channel.join(kind) as two:
        one.next("PRESENCE:JOINED")
        two.set_presence({"typing": True})
        for member in (one, two):
            assert member.next("PRESENCE:UPDATED").payload == {
                "clientID": two.id, "presence": {"typing": True}}


def test_a_presence_replaces_all_of_the_one_before(channel):
    with channel.join(presence={"a": 1, "b": 2}) as member:
        member.set_presence({"c": 3})
        assert member.next("PRESENCE:UPDATED").payload["presence"] == {"c": 3}
        assert channel.members()[0]["presence"] == {"c": 3}
        member.set_presence({})
        assert member.next("PRESENCE:UPDATED").payload["presence"] == {}
        assert channel.members()[0]["presence"] == {}


def test_a_newcomer_is_told_the_presence_of_the_moment(channel):
    with channel.join(presence={"a": 1}) as one:
        one.set_presence({"a": 2})
        one.next("PRESENCE:UPDATED")
        with channel.join() as two:
            assert two.connected.payload["members"] == [
                {"clientID": one.id, "presence": {"a": 2}}]


@pytest.mark.parametrize("presence", [
    None, [], 1, "text", True, {"a": "x" * 4096}], ids=str)
def test_a_presence_that_is_none_is_a_bad_message(channel, presence):
    with channel.join(presence={"kept": 1}) as member:
        member.set_presence(presence)
        error = member.next("ERROR").payload
        assert error["code"] == "BAD_MESSAGE" and error["message"]
        assert channel.members()[0]["presence"] == {"kept": 1}


def test_the_largest_presence_may_be_set(channel):
    presence = {"a": "x" * (4096 - len('{"a":""}'))}
    with channel.join() as member:
        member.set_presence(presence)
        assert (member.next("PRESENCE:UPDATED").payload["presence"]
                == presence)


def test_updates_come_in_the_order_of_events(channel):
    with channel.join() as one, channel.join() as two:
        one.next("PRESENCE:JOINED")
        for i in range(50):
            two.set_presence({"i": i})
            assert two.find("PRESENCE:UPDATED").payload["presence"] == {"i": i}
            channel.emit(i)
        for i in range(50):
            updated = one.next("PRESENCE:UPDATED")
            assert updated.payload["presence"] == {"i": i}
            assert one.next("DATA").payload == i


# /members.

def test_members_lists_them_oldest_first(channel, kind):
    with channel.join(kind, presence={"n": 1}) as one:
        with channel.join() as two:
            found = channel.members()
            assert [m["clientID"] for m in found] == [one.id, two.id]
            assert [m["presence"] for m in found] == [{"n": 1}, {}]
            for member in found:
                assert list(member) == ["clientID", "presence", "since"]
                assert re.fullmatch(
                    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z",
                    member["since"])


def test_an_empty_channel_has_no_members(channel):
    response = channel.http.get(channel.path("members"))
    assert response.text.strip() == '{"members":[],"count":0}'


def test_members_of_a_large_channel_are_all_told(channel):
    members = [channel.join(presence={"i": i, "x": "y" * 3000})
               for i in range(100)]
    try:
        assert channel.ids() == [member.id for member in members]
        with channel.join() as last:
            assert len(last.connected.payload["members"]) == 100
    finally:
        for member in members:
            member.close()


# LEFT, once, whichever way one goes.

def test_who_closes_has_left_once(channel):
    with channel.join() as stays:
        with channel.join() as goes:
            stays.next("PRESENCE:JOINED")
        left(stays, goes)
        channel.emit("mark")
        stays.hears_nothing_before("mark")
        assert channel.ids() == [stays.id]


def test_who_is_gone_without_a_word_has_left_once(channel):
    with channel.join() as stays:
        goes = channel.join()
        stays.next("PRESENCE:JOINED")
        goes.reset()
        left(stays, goes)
        channel.emit("mark")
        stays.hears_nothing_before("mark")


@pytest.mark.options(**SHORT)
@pytest.mark.parametrize("http_kind", HTTP_KINDS)
def test_who_does_not_come_again_has_left_once(channel, http_kind):
    with channel.join() as stays:
        with channel.join(http_kind, hold=100) as goes:
            stays.next("PRESENCE:JOINED")
        left(stays, goes)
        channel.emit("mark")
        stays.hears_nothing_before("mark")
        refused = goes.try_say({"type": "PONG"})
        assert (refused.status, refused.code) == (403, "key_unknown")


@pytest.mark.options(ping_interval="200ms", ping_timeout="600ms")
def test_who_does_not_answer_pings_has_left_once(channel):
    with channel.join() as stays:
        with channel.join(pongs=False) as goes:
            stays.next("PRESENCE:JOINED")
            left(stays, goes)
            assert goes.closed().code == 1008
        channel.emit("mark")
        stays.hears_nothing_before("mark")


def test_who_was_closed_by_the_administrator_has_left_once(channel, stack):
    with channel.join() as stays:
        with channel.join(headers={"User-Agent": "out"}) as goes:
            stays.next("PRESENCE:JOINED")
            stack.wait_until(lambda: stack.database.values(
                "SELECT count(*) FROM live_sessions WHERE kind = 'channel'"
                f" AND subject = '{channel.name}'") == [2], "their records")
            stack.sql("UPDATE sessions SET close_requested = 1 WHERE id = "
                      "(SELECT id FROM live_sessions WHERE kind = 'channel'"
                      f" AND subject = '{channel.name}' ORDER BY opened_at"
                      " DESC, CAST(substr(id, instr(id, '-') + 1) AS INTEGER)"
                      " DESC LIMIT 1)")
            assert goes.closed()[:2] == (1008, "closed by administrator")
        left(stays, goes)
        channel.emit("mark")
        stays.hears_nothing_before("mark")


def test_a_bad_client_has_left_once(channel):
    with channel.join() as stays:
        with channel.join() as goes:
            stays.next("PRESENCE:JOINED")
            goes.say(b"binary")
            assert goes.closed().code == 1003
        left(stays, goes)
        channel.emit("mark")
        stays.hears_nothing_before("mark")


@pytest.mark.options(**SHORT)
def test_a_channel_that_all_have_left_begins_anew(channel, kind):
    for _ in range(3):
        with channel.join(kind, **HOLD.get(kind, {})) as member:
            assert member.connected.payload["members"] == []
            channel.emit("x")
            assert member.data() == ["x"]
            member.close()
        with channel.join() as probe:
            # Those without WebSocket stay for a while.
            for gone in probe.connected.payload["members"]:
                assert probe.find("PRESENCE:LEFT").payload == {
                    "clientID": gone["clientID"]}


def test_who_was_killed_with_the_bridge_is_not_there_any_more(new_stack):
    stack = new_stack()
    channel = Channel(Http(stack.port), "room")
    before = [channel.join() for _ in range(3)]
    stack.stop_bridge(signal.SIGKILL)
    for member in before:
        assert member.closed().code == 1006
    stack.start_bridge()
    with channel.join() as after:
        assert after.connected.payload["members"] == []
        assert channel.ids() == [after.id]
