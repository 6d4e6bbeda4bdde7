"""PING, PONG, latency, and members that do not answer."""

import pytest

from channel import HTTP_KINDS, Channel

pytestmark = pytest.mark.options(ping_interval="200ms", ping_timeout="700ms",
                                 hold_min="100ms")


def test_members_are_asked_again_and_again(channel, kind):
    with channel.join(kind, pongs=False) as member:
        for _ in range(3):
            frame = member.next("PING")
            assert frame.payload == {}
            assert list(frame) == ["type", "payload", "clientID", "latency"]
            member.pong()


@pytest.mark.options(ping_timeout="10s", ack_timeout="60ms")
def test_latency_is_the_round_trip_of_the_last_ping(channel, http):
    elsewhere = Channel(http, channel.name + "-else")
    with channel.join(pongs=False) as member, elsewhere.join():
        assert member.connected["latency"] == 0
        assert member.next("PING")["latency"] == 0
        # This is answered after ack_timeout, and the PING after that.
        assert elsewhere.try_emit("x", require_ack="true").status == 408
        member.pong()
        member.set_presence({})         # after which the PONG was heard
        member.find("PRESENCE:UPDATED")
        channel.emit("after")
        latency = member.find("DATA")["latency"]
        assert 60 <= latency < 10000
        ping = member.find("PING")
        assert ping["latency"] == latency
        member.pong()
        assert 0 <= member.find("PING")["latency"] < 10000


def test_who_does_not_answer_is_told_and_closed(channel):
    with channel.join() as stays, channel.join(pongs=False) as member:
        stays.next("PRESENCE:JOINED")
        frames = member.rest()
        assert {frame.type for frame in frames[:-1]} == {"PING"}
        error = frames[-1]
        assert error.type == "ERROR"
        assert list(error.payload.items()) == [
            ("message", "Client did not respond to PING event"),
            ("code", "PING_TIMEOUT")]
        assert member.closed().code == 1008
        assert stays.next("PRESENCE:LEFT").payload == {"clientID": member.id}
        channel.emit("mark")
        stays.hears_nothing_before("mark")


@pytest.mark.parametrize("http_kind", ["events", "lines"])
def test_who_does_not_answer_by_http_is_told_and_closed(channel, http_kind):
    with channel.join(http_kind, pongs=False) as member:
        frames = member.rest()
        assert frames[-1].payload["code"] == "PING_TIMEOUT"
        assert member.closed().code == 1008


def test_who_answers_stays(channel, kind):
    with channel.join(pongs=False) as clock, channel.join(kind) as member:
        for _ in range(8):      # twice ping_timeout
            clock.find("PING")
            clock.pong()
        channel.emit("still here")
        assert member.data() == ["still here"]


def test_coming_back_for_a_poll_counts(channel):
    with channel.join(pongs=False) as clock, channel.join(
            "poll", pongs=False, hold=100) as member:
        for _ in range(8):
            clock.find("PING")
            clock.pong()
        channel.emit("still here")
        assert member.find("DATA").payload == "still here"


def test_other_words_count_as_an_answer(channel):
    with channel.join(pongs=False) as clock, channel.join(
            pongs=False) as member:
        for _ in range(8):
            clock.find("PING")
            clock.pong()
            member.set_presence({})
        channel.emit("still here")
        assert member.find("DATA").payload == "still here"


@pytest.mark.options(ping_interval="1h", ping_timeout="2h")
@pytest.mark.parametrize("http_kind", HTTP_KINDS)
def test_heartbeats_keep_a_member_by_http(channel, http_kind):
    with channel.join(http_kind, hold=100) as member:
        for i in range(5):
            channel.emit(i)
            assert member.data() == [i]
            assert channel.ids() == [member.id]
