"""since=: what a member has missed, and then what comes, without gap or
double."""

import concurrent.futures
import threading

import pytest

from channel import KINDS, Channel
from client import Http

ROUNDS = 60


def ids_and_flags(frames):
    return [(frame.event_id, frame.get("replayed", False)) for frame in frames]


def test_what_came_after_is_replayed_and_marked(channel, kind):
    ids = [channel.emit({"i": i})["eventID"] for i in range(5)]
    with channel.join(kind, since=ids[1]) as member:
        frames = [member.next("DATA") for _ in range(3)]
        assert ids_and_flags(frames) == [(i, True) for i in ids[2:]]
        assert [frame.payload["i"] for frame in frames] == [2, 3, 4]
        assert list(frames[0]) == ["type", "payload", "clientID", "latency",
                                   "eventID", "replayed"]
        assert frames[0]["clientID"] == member.id
        live = channel.emit("live")["eventID"]
        frame = member.next("DATA")
        assert (frame.event_id, "replayed" in frame) == (live, False)


def test_the_last_event_leaves_nothing_to_replay(channel, kind):
    last = [channel.emit(i)["eventID"] for i in range(3)][-1]
    with channel.join(kind, since=last) as member:
        channel.emit("live")
        member.hears_nothing_before("live")


def test_connected_comes_before_what_is_replayed(channel):
    first = channel.emit(0)["eventID"]
    channel.emit(1)
    with channel.join() as other:
        with channel.join(since=first) as member:
            assert member.connected.payload["members"] == [
                {"clientID": other.id, "presence": {}}]
            assert member.next("DATA").payload == 1
        other.next("PRESENCE:JOINED")
        other.next("PRESENCE:LEFT")
        channel.emit("mark")
        other.hears_nothing_before("mark")


@pytest.mark.parametrize("since", ["evt_nothing_", "nonsense", "evt_"],
                         ids=str)
def test_an_unknown_event_is_a_gap_and_the_connection_goes_on(channel, kind,
                                                              since):
    channel.emit("kept")
    with channel.join(kind, since=since) as member:
        error = member.next("ERROR").payload
        assert error["code"] == "HISTORY_GAP" and error["message"]
        channel.emit("live")
        while (frame := member.next("DATA")).payload != "live":
            assert (frame.payload, frame["replayed"]) == ("kept", True)


@pytest.mark.options(history_events="5")
def test_an_event_no_longer_kept_is_a_gap(channel):
    first = channel.emit("first")["eventID"]
    kept = [channel.emit(i)["eventID"] for i in range(10)][-5:]
    with channel.join(since=first) as member:
        assert member.next("ERROR").payload["code"] == "HISTORY_GAP"
        frames = [member.next("DATA") for _ in range(5)]
        assert ids_and_flags(frames) == [(i, True) for i in kept]
        channel.emit("live")
        member.hears_nothing_before("live")


@pytest.mark.options(history_events="0")
def test_without_history_every_event_is_a_gap(channel):
    first = channel.emit("first")["eventID"]
    with channel.join(since=first) as member:
        assert member.next("ERROR").payload["code"] == "HISTORY_GAP"
        channel.emit("live")
        member.hears_nothing_before("live")


def test_an_event_of_another_channel_is_a_gap(channel, http):
    elsewhere = Channel(http, channel.name + "-else").emit("x")["eventID"]
    with channel.join(since=elsewhere) as member:
        assert member.next("ERROR").payload["code"] == "HISTORY_GAP"


def test_events_for_some_are_not_replayed(channel):
    first = channel.emit("first")["eventID"]
    with channel.join() as member:
        channel.emit("for one", clients=member.id)
        channel.emit("for a number", clients=1)
    channel.emit("for all")
    with channel.join(since=first) as member:
        assert member.next("DATA").payload == "for all"


def test_much_is_replayed_in_order(channel):
    """More than a queue holds, of all that is kept."""
    first = channel.emit(-1)["eventID"]
    for start in range(0, 900, 100):
        response = channel.try_emit_batch(
            [{"i": i, "x": "y" * 1000} for i in range(start, start + 100)])
        assert response.status == 200
    with channel.join(since=first) as member:
        assert [d["i"] for d in member.data(900)] == list(range(900))
        channel.emit("live")
        member.hears_nothing_before("live")


def test_replay_survives_a_restart(new_stack):
    stack = new_stack()
    channel = Channel(Http(stack.port), "room")
    ids = [channel.emit(i)["eventID"] for i in range(3)]
    stack.stop_bridge()
    stack.start_bridge()
    with channel.join(since=ids[0]) as member:
        assert ids_and_flags([member.next("DATA") for _ in range(2)]) == [
            (ids[1], True), (ids[2], True)]


@pytest.mark.options(history_events="100000", max_creates_per_second="0")
@pytest.mark.parametrize("others", [0, 3], ids=["alone", "among-others"])
def test_no_gap_and_no_double_while_events_come(channel, others):
    """Members leave and come back with since= while others emit."""
    stop, sent = threading.Event(), {}
    known = channel.emit("start")["eventID"]
    stay = [channel.join() for _ in range(others)]

    def emit_all(name):
        i = 0
        while not stop.is_set():
            sent[channel.emit([name, i])["eventID"]] = [name, i]
            i += 1

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        emitting = [pool.submit(emit_all, name) for name in range(4)]
        try:
            got = []
            for i in range(ROUNDS):
                kind = KINDS[i % len(KINDS)] if i % 4 == 3 else "ws"
                with channel.join(kind, since=known) as member:
                    for frame in member.events(10 + i % 7):
                        got.append((frame.event_id, frame.payload))
                    known = got[-1][0]
        finally:
            stop.set()
        for future in emitting:
            future.result()
    with channel.join(since=known) as member:
        channel.emit("end")
        while (frame := member.find("DATA")).payload != "end":
            got.append((frame.event_id, frame.payload))
    for member in stay:
        member.close()
    assert len({event for event, _ in got}) == len(got), "a double"
    assert {event for event, _ in got} == set(sent), "a gap"
    for name in range(4):
        mine = [i for _, (n, i) in got if n == name]
        assert mine == list(range(len(mine))), "out of order"


def test_two_bridges_of_one_database_replay_what_both_kept(new_stack):
    stack = new_stack(options={"drain_timeout": "10m"})
    channel = Channel(Http(stack.port), "room")
    first = channel.emit(0)["eventID"]
    channel.emit(1)
    stack.replace_bridge()
    channel.emit(2)
    with channel.join(since=first) as member:
        assert member.data(2) == [1, 2]
