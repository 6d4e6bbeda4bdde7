"""Channels across drains, restarts, crashes, and an administrator."""

import concurrent.futures
import fcntl
import signal

import pytest

from channel import HTTP_KINDS, Channel
from client import Http, Polysocket

SERVED_ON = {"drain_timeout": "10m"}


@pytest.fixture
def stack(new_stack):
    return new_stack(options=SERVED_ON)


@pytest.fixture(params=["ws", "events", "poll"])
def kind(request):
    return request.param


@pytest.fixture
def channel(stack):
    return Channel(Http(stack.port), "room")


def begin_drain(stack):
    before = len(stack.log("wsbridge"))
    stack.bridge.send_signal(signal.SIGTERM)
    stack.wait_until(lambda: " info: drain: " in stack.log("wsbridge")[before:],
                     "the drain", stack.bridge)
    stack.draining.append(stack.bridge)


def restart_and(stack, ask, times=1):
    """A restart whose successor stands ready, since workers wait for it for
    2 s only; what is answered to those who ask at that moment."""
    stack.draining.append(stack.bridge)
    stack.start_bridge(wait=False)
    stack.wait_until(lambda: "waiting for its bridge to drain" in
                     stack.log("wsbridge"), "the successor", stack.bridge)
    with concurrent.futures.ThreadPoolExecutor(times) as pool:
        stack.draining[-1].send_signal(signal.SIGTERM)
        asked = [pool.submit(ask) for _ in range(times)]
        return [future.result() for future in asked]


def test_members_of_a_bridge_that_drains_are_closed_at_once(stack, channel,
                                                            kind):
    with channel.join(kind) as member:
        stack.replace_bridge()
        assert member.closed()[:2] == (1001, "server shutting down")


def test_they_come_back_to_the_successor_with_since(stack, channel):
    with channel.join() as before:
        known = channel.emit("before")["eventID"]
        assert before.data() == ["before"]
        restart_and(stack, lambda: before.closed() and channel.emit("missed"))
        with channel.join(since=known) as after:
            assert after.connected.payload["members"] == []
            assert after.next("DATA").payload == "missed"
            channel.emit("live")
            after.hears_nothing_before("live")


def place_is_taken(stack):
    with open(f"{stack.bridge_socket}.lock", "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_successor_begins_when_what_was_emitted_is_written(stack, channel):
    with stack.database.shell() as shell:
        shell.lock()
        known = channel.emit("in memory")["eventID"]
        begin_drain(stack)
        assert place_is_taken(stack)
        shell.run("COMMIT")
        stack.wait_until(lambda: not place_is_taken(stack), "the place")
    stack.start_bridge()
    with channel.join(since=known) as member:
        channel.emit("live")
        member.hears_nothing_before("live")


def test_a_channel_is_never_in_two_bridges(stack, channel):
    """Three restarts; those who come back meet in the successor."""
    for i in range(3):
        members = [channel.join(kind) for kind in ("ws", "ws", "lines")]
        assert channel.emit(i)["delivered"] == 3
        for member in members:
            assert member.data() == [i]
        stack.replace_bridge()
        for member in members:
            assert member.closed().code == 1001


@pytest.mark.parametrize("what", ["emit", "listen", "members", "history"])
def test_requests_wait_for_the_successor(stack, channel, what):
    def ask():
        if what == "emit":
            return channel.try_emit("x")
        params = {"transport": "xhr"} if what == "listen" else {}
        return channel.http.get(channel.path(what), None, **params)

    for response in restart_and(stack, ask, 8):
        assert response.status == 200, response


@pytest.mark.parametrize("what", ["emit", "members"])
def test_without_a_successor_requests_are_refused(stack, channel, what):
    begin_drain(stack)
    response = (channel.try_emit("x") if what == "emit" else
                channel.http.get(channel.path(what)))
    # It has nobody left and ends.
    assert response.status == 503
    assert response.code in ("draining", "bridge_unavailable")
    assert response.json["success"] is False
    assert response.header("Retry-After") == "1"
    stack.start_bridge()


def test_a_bridge_that_stops_tells_its_members(stack, channel, kind):
    with channel.join(kind) as member:
        stack.bridge.send_signal(signal.SIGINT)
        end = member.closed()
        assert end[:2] == (1001, "server shutting down")


def test_after_a_crash_members_come_back(stack, channel):
    with channel.join() as before, channel.join("events") as by_http:
        known = channel.emit("kept")["eventID"]
        assert before.data() == by_http.data() == ["kept"]
        stack.wait_until(lambda: channel.history(), "the history on disk")
        # Once more: what was read back was committed before.
        stack.stop_bridge(signal.SIGKILL)
        assert before.closed().code == 1006
        stack.start_bridge()
        with channel.join(since=known) as after:
            channel.emit("live")
            frame = after.find("DATA")
            assert frame.payload == "live" and "replayed" not in frame


def test_an_eventsource_comes_back_by_itself_after_a_restart(stack, channel):
    with channel.join("events") as before:
        channel.emit("before")
        assert before.data() == ["before"]
        last_id = before.last_id
        stack.replace_bridge()
        before.closed()
    channel.emit("missed")
    with channel.join("events", headers={"Last-Event-ID": last_id}) as after:
        assert after.connected["clientID"] != before.id
        assert after.next("DATA").payload == "missed"


@pytest.mark.parametrize("http_kind", HTTP_KINDS[1:])
def test_a_key_of_a_bridge_that_is_gone_is_unknown(stack, channel, http_kind):
    with channel.join(http_kind) as member:
        stack.stop_bridge(signal.SIGKILL)
        stack.start_bridge()
        response = channel.try_listen(transport="xhr", client=member.id,
                                      key=member.key, ack=1)
        assert (response.status, response.code) == (403, "key_unknown")
        response = member.try_say({"type": "PONG"})
        assert (response.status, response.code) == (403, "key_unknown")


def test_an_administrator_closes_one_member_or_all(stack, channel):
    with channel.join(headers={"Origin": "https://one.example"}) as one, \
            channel.join("lines", headers={
                "Origin": "https://two.example"}) as two, \
            channel.join() as three:
        one.find("PRESENCE:JOINED")
        stack.wait_until(lambda: stack.database.value(
            "SELECT count(*) FROM live_sessions WHERE kind = 'channel'") == 3,
            "their rows")
        stack.sql("UPDATE sessions SET close_requested = 1"
                  " WHERE origin = 'https://two.example'")
        assert two.closed()[:2] == (1008, "closed by administrator")
        assert three.find("PRESENCE:LEFT").payload == {"clientID": two.id}
        assert set(channel.ids()) == {one.id, three.id}
        stack.sql("UPDATE sessions SET close_requested = 1"
                  " WHERE kind = 'channel' AND subject = 'room'")
        for member in (one, three):
            assert member.closed()[:2] == (1008, "closed by administrator")
        assert channel.members() == []


def test_a_reload_changes_the_limits_of_channels(stack, channel):
    stack.write_config(ack_timeout="100ms")
    stack.bridge.send_signal(signal.SIGHUP)
    stack.wait_until(lambda: "config: reloaded" in stack.log("wsbridge"),
                     "the reload", stack.bridge)
    with channel.join():
        assert channel.try_emit("x", require_ack="1").status == 408


def test_sessions_of_the_relay_stay_while_members_go(stack, channel, target):
    session = Polysocket(Http(stack.port)).create(target.url("echo"))
    with channel.join() as member:
        stack.replace_bridge()
        assert member.closed().code == 1001
        session.send("still here")
        assert session.receive() == ["still here"]
        with channel.join():
            session.send("and here")
            assert session.receive() == ["and here"]
    session.finish()
