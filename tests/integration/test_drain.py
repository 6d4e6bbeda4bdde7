"""Restarts of wsbridge that nobody notices: SIGTERM makes it go on serving its
sessions beside a successor, which takes the new ones."""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import threading

import pytest

from client import Close, Http, Polysocket, DIALECTS
from stack import can_connect, children

SERVED_ON = {"drain_timeout": "10m"}


@pytest.fixture
def stack(new_stack):
    return new_stack(options=SERVED_ON)


@pytest.fixture
def relay(stack, dialect):
    return DIALECTS[dialect](Http(stack.port))


def tag(session):
    return session.id.partition(".")[0]


def echoes(session, text):
    session.send(text)
    assert session.receive() == [text]


def alive(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


def begin_drain(stack):
    """SIGTERM without a successor, and its effect."""
    before = len(stack.log("wsbridge"))
    stack.bridge.send_signal(signal.SIGTERM)
    stack.wait_until(lambda: " info: drain: " in stack.log("wsbridge")[before:],
                     "the drain", stack.bridge)


def successor_of(stack):
    stack.draining.append(stack.bridge)
    stack.start_bridge()


# One conversation.

def test_sessions_stay_where_they_are_and_new_ones_go_to_the_successor(
        stack, relay, target):
    older = relay.create(target.url("echo"))
    for i in range(3):
        stack.replace_bridge()
        newer = relay.create(target.url("echo"))
        assert tag(newer) == stack.bridge_tag() != tag(older)
        echoes(older, f"older {i}")
        echoes(newer, f"newer {i}")
        newer.finish()
    assert target.connection(0).close is None
    older.close(code=3001, reason="bye")
    assert older.receive() == [Close(3001, "bye", True)]
    assert older.is_gone()
    assert stack.draining.pop(0).wait(60) == 0


@pytest.mark.parametrize("kind", ["poll", "jsonp"])
def test_a_held_request_is_answered_by_the_bridge_that_holds_it(
        stack, relay, target, kind):
    session = relay.create(target.url("quiet"))
    callback = {"callback": "f", "cb": "f"} if kind == "jsonp" else {}
    with stack.until_held(lambda: session.begin(kind, **callback)) as held:
        stack.replace_bridge()
        target.connection().send("after")
        response = held.response()
        assert response.status == 200
        assert "after" in response.text


@pytest.mark.parametrize("kind", ["stream", "events"])
def test_a_stream_goes_on_across_restarts(stack, relay, target, kind):
    session = relay.create(target.url("echo"))
    with session.stream(kind) as stream:
        for i in range(3):
            stack.replace_bridge()
            session.send(f"{i}")
            assert stream.receive() == [f"{i}"]


def test_a_session_may_begin_while_the_bridge_restarts(stack, relay, target):
    echoes(relay.create(target.url("echo")), "before")
    begin_drain(stack)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        creating = [pool.submit(relay.create, target.url("echo"))
                    for _ in range(4)]
        successor_of(stack)
        for future in creating:
            session = future.result()
            assert tag(session) == stack.bridge_tag()
            echoes(session, "meanwhile")


def test_a_create_waits_for_the_successor_in_the_only_thread(
        new_stack, target):
    stack = new_stack(options={**SERVED_ON, "processes": "1", "threads": "1"})
    relay = Polysocket(Http(stack.port))
    older = relay.create(target.url("echo"))
    begin_drain(stack)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        creating = pool.submit(relay.create, target.url("echo"))
        successor_of(stack)
        echoes(creating.result(), "newer")
    echoes(older, "older")


def start_beside_one_that_is_busy(stack):
    """A predecessor that has not come to hear its SIGTERM yet."""
    stack.bridge.send_signal(signal.SIGSTOP)
    stack.bridge.send_signal(signal.SIGTERM)
    stack.draining.append(stack.bridge)
    stack.start_bridge(wait=False)
    stack.wait_until(lambda: "waiting for its bridge to drain" in
                     stack.log("wsbridge"), "one that waits", stack.bridge)


def test_a_successor_waits_for_one_that_is_busy(stack, relay, target):
    older = relay.create(target.url("echo"))
    try:
        start_beside_one_that_is_busy(stack)
    finally:
        stack.draining[0].send_signal(signal.SIGCONT)
    stack.wait_until(lambda: stack.bridge_tag() != tag(older),
                     "the successor", stack.bridge)
    echoes(older, "older")
    echoes(relay.create(target.url("echo")), "newer")


def test_a_reload_waits_for_the_end_of_the_start(stack):
    try:
        start_beside_one_that_is_busy(stack)
        stack.write_config(stall_timeout="7s")
        stack.bridge.send_signal(signal.SIGHUP)
    finally:
        stack.draining[0].send_signal(signal.SIGCONT)
    stack.wait_until(lambda: "config: reloaded" in stack.log("wsbridge"),
                     "the reload", stack.bridge)


def test_a_session_may_begin_after_a_crash_when_it_is_restarted_at_once(
        stack, relay, target):
    relay.create(target.url("echo"))
    stack.stop_bridge(signal.SIGKILL)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        creating = pool.submit(relay.create, target.url("echo"))
        stack.start_bridge()
        echoes(creating.result(), "after")


def test_without_a_successor_new_sessions_are_refused_and_old_served_on(
        stack, relay, target):
    session = relay.create(target.url("echo"))
    begin_drain(stack)
    relay.check_refusal(relay.try_create(target.url("echo")), 503,
                        "draining")
    response = relay.http.get("/polysocket/health/ready")
    assert (response.status, response.code) == (503, "draining")
    echoes(session, "still here")
    successor_of(stack)
    assert relay.http.get("/polysocket/health/ready").status == 200
    echoes(session, "and here")


def test_what_is_connecting_when_the_drain_begins_opens(stack, relay, target):
    url = target.url("echo", delay_ms="500")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        creating = pool.submit(relay.create, url)
        stack.wait_until(lambda: "connecting to" in stack.log("wsbridge"),
                         "the create", stack.bridge)
        before = stack.bridge_tag()
        stack.replace_bridge()
        session = creating.result()
        assert tag(session) == before
        echoes(session, "open")


# All of them.

N_SESSIONS = 500
N_THREADS = 20


def converse(relay, url, count, begun, stop):
    """Sessions whose every message comes back once and in order, through one
    restart after the other; returns how many messages that were."""
    sessions = [relay.create(url) for _ in range(count)]
    begun.release()
    i = 0
    while not stop.is_set():
        for session in sessions:
            session.send(f"{i}", n=i + 1)
        for session in sessions:
            response = session.try_poll(ack=i)
            assert response.status == 200, response
            assert response.json["seq"] == i + 1, response
            assert relay.decode(response.json) == [f"{i}"]
        i += 1
    for session in sessions:
        session.close(code=1000)
    return i * count


def test_500_conversations_survive_three_restarts(new_stack, target):
    # On a busy machine so many clients are slow to come back for the next.
    stack = new_stack(options={**SERVED_ON, "receiver_grace": "60s"})
    relay = Polysocket(Http(stack.port))
    begun, stop = threading.Semaphore(0), threading.Event()
    with concurrent.futures.ThreadPoolExecutor(N_THREADS) as pool:
        talks = [pool.submit(converse, relay, target.url("echo"),
                             N_SESSIONS // N_THREADS, begun, stop)
                 for _ in range(N_THREADS)]
        try:
            for _ in talks:
                assert begun.acquire(timeout=60)
            first = stack.bridge
            for _ in range(3):
                stack.replace_bridge()
                echoes(relay.create(target.url("echo")), "a new one")
        finally:
            stop.set()
        assert all(talk.result() > 0 for talk in talks)
    assert "closed (no receiver" not in stack.log("wsbridge")
    assert first.poll() in (None, 0)


# The end of a drain.

def test_sessions_that_are_left_are_closed_with_1001(new_stack, target):
    stack = new_stack(options={"drain_timeout": "4s"})
    relay = Polysocket(Http(stack.port))
    session = relay.create(target.url("echo"))
    stack.replace_bridge()
    echoes(session, "for a while")
    assert session.receive() == [
        Close(1001, "server shutting down", True)]
    assert stack.draining[0].wait(60) == 0
    assert session.is_gone()


def test_another_sigterm_closes_them_at_once(stack, target):
    session = Polysocket(Http(stack.port)).create(target.url("quiet"))
    with stack.until_held(session.begin) as held:
        begin_drain(stack)
        stack.bridge.send_signal(signal.SIGTERM)
        assert "server shutting down" in held.response().text
    assert stack.bridge.wait(60) == 0
    stack.bridge = None


def test_a_third_one_waits_for_nobody(new_stack, target):
    stack = new_stack(options={**SERVED_ON, "close_timeout": "1h"})
    Polysocket(Http(stack.port)).create(
        target.url("quiet", answer_close="no"))
    begin_drain(stack)
    stack.bridge.send_signal(signal.SIGTERM)
    stack.wait_until(lambda: "sessions are closed" in stack.log("wsbridge"),
                     "the second step", stack.bridge)
    stack.bridge.send_signal(signal.SIGTERM)
    assert stack.bridge.wait(60) == 0
    stack.bridge = None


def test_sigint_closes_them_at_once(stack, target):
    session = Polysocket(Http(stack.port)).create(target.url("quiet"))
    with stack.until_held(session.begin) as held:
        stack.bridge.send_signal(signal.SIGINT)
        assert "server shutting down" in held.response().text
    stack.stop_bridge(signal.SIGINT)


# One of two dies.

def test_a_killed_successor_takes_nobody_along(stack, relay, target):
    older = relay.create(target.url("echo"))
    stack.replace_bridge()
    newer = relay.create(target.url("echo"))
    stack.stop_bridge(signal.SIGKILL)
    echoes(older, "while there is none")
    assert newer.is_gone()
    stack.start_bridge()
    echoes(older, "with the next")
    assert newer.is_gone()
    echoes(relay.create(target.url("echo")), "new")


def test_sessions_of_a_killed_predecessor_are_403_and_their_rows_closed(
        stack, relay, target):
    older = relay.create(target.url("echo"))
    stack.replace_bridge()
    newer = relay.create(target.url("echo"))
    stack.wait_until(lambda: stack.database.value(
        "SELECT count(*) FROM live_sessions") == 2, "both rows")
    (first,) = stack.draining
    first.kill()
    first.wait()
    assert older.is_gone()
    echoes(newer, "unharmed")
    stack.wait_until(lambda: stack.database.value(
        "SELECT close_reason FROM sessions WHERE id LIKE "
        f"'{tag(older)}-%'") == "bridge restarted", "the end of the row")
    assert stack.database.value("SELECT count(*) FROM bridges") == 1
    assert stack.database.value("SELECT count(*) FROM live_sessions") == 1


# What belongs to both.

def test_the_administrator_reaches_sessions_of_both(stack, relay, target):
    older = relay.create(target.url("quiet"))
    stack.replace_bridge()
    newer = relay.create(target.url("quiet"))
    stack.wait_until(lambda: stack.database.value(
        "SELECT count(*) FROM live_sessions") == 2, "both rows")
    assert stack.database.values("SELECT tag FROM bridges ORDER BY tag") == (
        sorted([tag(older), tag(newer)]))
    stack.sql("UPDATE sessions SET close_requested = 1")
    for session in (older, newer):
        assert session.receive()[-1].reason == "closed by administrator"


def test_rights_that_are_taken_away_hold_in_both(stack, relay, target):
    secret = "taken-away"
    number = stack.add_token(secret)
    stack.wait_policy()
    older = relay.create(target.url("quiet"), token=secret)
    stack.replace_bridge()
    stack.sql(f"UPDATE tokens SET enabled = 0 WHERE id = {number}")
    assert older.receive()[-1].reason == "token disabled"


def test_limits_count_what_both_have_in_use(stack, relay, target):
    secret = "few-sockets"
    stack.add_token(secret, max_sockets=3)
    stack.wait_policy()
    older = [relay.create(target.url("quiet"), token=secret)
             for _ in range(2)]
    stack.wait_until(lambda: stack.database.value(
        "SELECT count(*) FROM live_sessions") == 2, "both rows")
    stack.replace_bridge()
    relay.create(target.url("quiet"), token=secret)
    relay.check_refusal(relay.try_create(target.url("quiet"), token=secret),
                        429, "connection_limit")
    older[0].finish()
    stack.wait_until(lambda: relay.try_create(
        target.url("quiet"), token=secret).json["ok"], "room for another")


def test_the_day_is_used_up_in_both(stack, relay, target):
    secret, much = "few-bytes", 100_000
    stack.add_token(secret, max_bytes_per_day=much)
    stack.wait_policy()
    older = relay.create(target.url("quiet"), token=secret)
    stack.replace_bridge()
    newer = relay.create(target.url("quiet"), token=secret)
    newer.send("x" * much)
    # What it sends itself uses up far less.
    stack.wait_until(lambda: older.try_send("x").code == "daily_limit",
                     "the end of the day's bytes")


def test_more_bridges_than_a_worker_is_connected_to(new_stack, target):
    stack = new_stack(options={**SERVED_ON, "processes": "1", "threads": "2"})
    relay = Polysocket(Http(stack.port))
    sessions = [relay.create(target.url("echo"))]
    for _ in range(6):
        stack.replace_bridge()
        sessions.append(relay.create(target.url("echo")))
    assert len({tag(session) for session in sessions}) == 7
    for i in range(3):
        for session in sessions:
            echoes(session, f"{i}")
    # What made room for another was closed: four connections a thread, and
    # where the worker listens.
    (pid,) = stack.worker_pids
    sockets = [name for name in os.listdir(f"/proc/{pid}/fd")
               if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")]
    assert len(sockets) <= 2 * 4 + 1


def test_records_of_both_are_complete(stack, relay, target):
    sessions = [relay.create(target.url("echo")) for _ in range(5)]
    stack.replace_bridge()
    sessions += [relay.create(target.url("echo")) for _ in range(5)]
    for session in sessions:
        echoes(session, "four")
        session.finish()
    assert stack.draining[0].wait(60) == 0
    stack.stop_bridge()
    assert stack.sql("SELECT messages_up, messages_down, bytes_up, bytes_down"
                     " FROM sessions WHERE close_code = 1000") == 10 * [{
                         "messages_up": 1, "messages_down": 1,
                         "bytes_up": 4, "bytes_down": 4}]
    assert stack.database.values("SELECT creates FROM token_usage") == [10]


# What is on the disk.

def places(stack):
    return {path.name for path in stack.directory.glob("*.sock*")
            if path.name != "fcgi.sock"}


def test_each_bridge_leaves_its_sockets_when_it_ends(stack, relay, target):
    first = stack.bridge_tag()
    session = relay.create(target.url("quiet"))
    stack.replace_bridge()
    second = stack.bridge_tag()
    links = {"bridge.sock", "ws.sock"}
    assert places(stack) == links | {"bridge.sock.lock"} | {
        f"{name}.{tag}" for name in links for tag in (first, second)}
    for name in links:
        assert os.readlink(stack.directory / name) == f"{name}.{second}"
    session.finish()
    stack.draining[0].wait(10)
    assert places(stack) == links | {"bridge.sock.lock"} | {
        f"{name}.{second}" for name in links}
    stack.stop_bridge()
    assert places(stack) == {"bridge.sock.lock"}


def test_sockets_of_a_killed_bridge_are_removed_by_the_next(stack):
    killed = stack.bridge_tag()
    stack.stop_bridge(signal.SIGKILL)
    assert f"bridge.sock.{killed}" in places(stack)
    stack.start_bridge()
    assert not [name for name in places(stack) if name.endswith(killed)]


def test_one_that_does_not_drain_has_no_successor(stack):
    done = subprocess.run([stack.wsbridge, "--config", stack.conf_path,
                           "--foreground"], capture_output=True, text=True,
                          timeout=20)
    assert done.returncode == 1
    assert "cannot listen on" in done.stderr
    assert "Address already in use" in done.stderr
    assert can_connect(stack.bridge_socket)


# With a parent, as under systemd.

@pytest.fixture
def supervised(new_stack):
    stack = new_stack(options=SERVED_ON)
    stack.stop_bridge()
    stack.start_bridge(mode="--supervise")
    yield stack
    for pid in bridges(stack):
        os.kill(pid, signal.SIGINT)
    stack.wait_until(lambda: not bridges(stack), "the end of all bridges")


def bridges(stack):
    """The processes of the bridges that have told the database of them."""
    return [pid for pid in map(int, stack.database.values(
        "SELECT pid FROM bridges")) if alive(pid)]


def test_the_parent_ends_at_once_and_the_bridge_goes_on(supervised, target):
    stack = supervised
    relay = Polysocket(Http(stack.port))
    older = relay.create(target.url("echo"))
    (pid,) = children(stack.bridge.pid)
    parent = stack.bridge
    for i in range(2):
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(5) == 0
        echoes(older, f"alone {i}")
        stack.start_bridge(mode="--supervise")
        parent = stack.bridge
        echoes(older, f"beside {i}")
        newer = relay.create(target.url("echo"))
        assert tag(newer) == stack.bridge_tag() != tag(older)
    older.finish()
    stack.wait_until(lambda: not alive(pid), "the end of the first")


def test_a_killed_parent_makes_the_bridge_drain(supervised, target):
    stack = supervised
    relay = Polysocket(Http(stack.port))
    older = relay.create(target.url("echo"))
    os.kill(stack.bridge.pid, signal.SIGKILL)
    stack.bridge.wait()
    stack.start_bridge(mode="--supervise")
    echoes(older, "beside it")
    echoes(relay.create(target.url("echo")), "new")


def test_the_parent_ends_as_the_bridge_does(supervised):
    (pid,) = children(supervised.bridge.pid)
    os.kill(pid, signal.SIGKILL)
    assert supervised.bridge.wait(5) == 128 + signal.SIGKILL
    supervised.start_bridge(mode="--supervise")
    (pid,) = children(supervised.bridge.pid)
    os.kill(pid, signal.SIGTERM)
    assert supervised.bridge.wait(5) == 0
    supervised.bridge = None


def test_the_parent_passes_a_reload_on(supervised):
    supervised.write_config(stall_timeout="7s")
    supervised.bridge.send_signal(signal.SIGHUP)
    supervised.wait_until(lambda: "config: reloaded" in
                          supervised.log("wsbridge"), "the reload",
                          supervised.bridge)


def test_a_start_that_fails_fails_with_a_parent(new_stack):
    stack = new_stack(start=False, options={"user": "nobody-of-that-name"})
    stack.make_database()
    stack.write_config(database=stack.directory / "nowhere" / "x.db",
                       user=None)
    done = subprocess.run([stack.wsbridge, "--config", stack.conf_path,
                           "--supervise"], capture_output=True, text=True,
                          timeout=20)
    assert done.returncode == 1
    assert "cannot be made" in done.stderr
