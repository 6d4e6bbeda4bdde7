"""What users have said reaches the application: after kill -9, while it fails
and when it does not answer; in order, and with the same id each time."""

import contextlib
import itertools
import json
import signal
import socket
import threading

import pytest

from application import Answer, Application, Responder
from client import Http
from sockjs import Service, connect
from stack import Stack
from test_database import can_mount, fill, small_disk

AGAIN = {"callback_backoff": "10ms"}
ONCE = {"callback_retry": "0s"}     # then it is dead
LASTING = {"receiver_grace": "60s"}     # sessions whose user only speaks

USERS, EACH, AT_ONCE, KILLS = 50, 200, 4, 5
MIB = 1 << 20


@pytest.fixture
def responder():
    with Responder() as responder:
        yield responder


def rows(stack, where="1"):
    return stack.sql("SELECT session, number, state, attempts, last_error "
                     f"FROM outbox WHERE {where} ORDER BY session, number")


def wait_empty(stack, where="1", timeout=60):
    stack.wait_until(lambda: rows(stack, where) == [],
                     f"an outbox without rows of {where}", stack.bridge,
                     timeout)


def wait_dead(stack, n):
    """Until so many rows are dead; returns them."""
    def dead():
        return rows(stack, "state = 'dead'")

    stack.wait_until(lambda: len(dead()) == n, f"{n} dead rows",
                     stack.bridge)
    return dead()


def wait_closed(stack):
    """Until no session is open for the database, nor one whose end its
    application is still to be told."""
    stack.wait_until(lambda: stack.sql("SELECT * FROM live_sessions") == [],
                     "the end of all sessions", stack.bridge)


def open_session(application, client="ann", **fields):
    """One by HTTP that has got its `o`, without a receiver."""
    socket_id = application.authorize(client, **fields)
    session = Service(application.http, socket_id).session()
    assert session.xhr().text == "o\n"
    return session


# Nothing accepted is lost.

class User(threading.Thread):
    """Says its numbers, a few at once, until all are acknowledged: in a new
    session and from where it was whenever one is lost."""

    def __init__(self, crowd, http_client, socket_id, number):
        super().__init__(daemon=True)
        self.crowd = crowd
        self.service = Service(http_client, socket_id)
        self.number = number
        self.acknowledged = 0
        self.error = None

    def run(self):
        try:
            while self.acknowledged < EACH:
                session = self.open()
                if session is not None:
                    self.talk(session)
        except Exception as error:      # the test is to see it
            self.error = error
            raise

    def open(self):
        session = self.service.session()
        response = session.xhr()
        if response.status != 200:
            return None
        assert response.text == "o\n", response
        return session

    def talk(self, session):
        while self.acknowledged < EACH:
            numbers = range(self.acknowledged,
                            min(self.acknowledged + AT_ONCE, EACH))
            response = session.try_send(json.dumps(
                [f"{self.number} {i}" for i in numbers]))
            if response.status != 204:
                assert response.status in (404, 500, 502, 503), response
                return
            self.acknowledged = numbers[-1] + 1
            self.crowd.said(len(numbers))


class Crowd:
    def __init__(self):
        self.n = 0
        self.changed = threading.Condition()

    def said(self, n):
        with self.changed:
            self.n += n
            self.changed.notify_all()

    def wait(self, n):
        with self.changed:
            assert self.changed.wait_for(lambda: self.n >= n, 120), self.n


def fails_a_third(_callback, counter=itertools.count()):
    return Answer(500 if next(counter) % 3 == 0 else 204)


def check_order(callbacks):
    """Of one session, in the order in which they came: each number comes when
    the one before it was taken, at the earliest."""
    taken = 0
    for callback in callbacks:
        number = int(callback.id.rpartition("_")[2])
        assert number <= taken + 1 and number >= 1, (callback, taken)
        if callback.status == 204:
            taken = max(taken, number)


def kill(stack):
    stack.stop_bridge(signal.SIGKILL)
    stack.start_bridge()


def kill_amid_a_drain(stack):
    """Its successor is there already, and waits for it."""
    before, tag, older = (len(stack.log("wsbridge")), stack.bridge_tag(),
                          stack.bridge)
    older.send_signal(signal.SIGTERM)
    stack.start_bridge(wait=False)
    stack.wait_until(lambda: " info: drain: " in stack.log("wsbridge")[before:],
                     "the drain", stack.bridge)
    stack.end("wsbridge", older, signal.SIGKILL)
    stack.wait_until(lambda: stack.bridge_tag() != tag, "the successor",
                     stack.bridge)


RESTARTS = {"killed": kill, "replaced": Stack.replace_bridge,
            "killed-draining": kill_amid_a_drain}


@pytest.mark.parametrize("restart", RESTARTS)
def test_nothing_that_was_accepted_is_lost(new_stack, responder, restart):
    stack = new_stack(options={**AGAIN, **LASTING})
    application = Application(stack, responder, fails_a_third)
    http = Http(stack.port)
    crowd = Crowd()
    users = [User(crowd, http, application.authorize(f"user{i}"), i)
             for i in range(USERS)]
    for user in users:
        user.start()
    for i in range(1, KILLS + 1):
        crowd.wait(USERS * EACH * i // (KILLS + 1))
        RESTARTS[restart](stack)
    for user in users:
        user.join(240)
        assert not user.is_alive() and user.error is None, user.error
    wait_empty(stack, timeout=120)
    callbacks = application.callbacks
    taken = {callback.get("message") for callback in callbacks
             if callback.status == 204}
    assert taken == {f"{i} {n}" for i in range(USERS) for n in range(EACH)}
    sessions, ids, bodies = {}, {}, {}
    for callback in callbacks:
        sessions.setdefault(callback.get("session"), []).append(callback)
        # The same again has the same id, and no id has two of them.
        assert ids.setdefault(callback.body, callback.id) == callback.id
        assert bodies.setdefault(callback.id, callback.body) == callback.body
    assert len(sessions) >= USERS
    for those in sessions.values():
        check_order(those)
        numbers = [int(callback.get("message").partition(" ")[2])
                   for callback in those if callback.status == 204]
        firsts = list(dict.fromkeys(numbers))
        assert firsts == sorted(firsts), firsts


def test_what_was_accepted_is_there_after_a_restart(new_stack, responder):
    """What is under way when a bridge makes room is the successor's."""
    stack = new_stack(options=LASTING)
    application = Application(stack, responder)
    session = open_session(application)
    application.will_answer(Answer(hang=True))
    session.send("first", "second")
    application.wait_messages("first")
    stack.replace_bridge()
    application.wait_messages("first", "first", "second")
    ids = [callback.id for callback in application.callbacks]
    assert ids[0] == ids[1] != ids[2]
    wait_empty(stack)
    assert session.try_send('["third"]').status == 404


def test_what_was_not_committed_is_not_accepted(new_stack, responder):
    """While somebody has the database locked, nothing is answered; what is
    accepted afterwards is all there."""
    stack = new_stack(options=LASTING)
    application = Application(stack, responder)
    session = open_session(application)
    with stack.database.shell() as shell:
        shell.lock()
        shell.run("UPDATE tokens SET note = 'x'")
        with application.http.begin(
                "POST", f"{session.service.base}{session.path}/xhr_send",
                body='["hello"]') as exchange:
            assert exchange.stalled(0.5)
            assert application.callbacks == []
            shell.run("COMMIT")
            assert exchange.response().status == 204
    application.wait_messages("hello")


@pytest.mark.parametrize("draining", [False, True])
def test_killed_before_the_commit(new_stack, responder, draining):
    """What was not acknowledged is not there, what was before it is."""
    stack = new_stack(options=LASTING)
    application = Application(stack, responder)
    session = open_session(application)
    application.will_answer(Answer(hang=True))
    session.send("first", "second")
    application.wait_messages("first")
    with stack.database.shell() as shell:
        shell.run("BEGIN IMMEDIATE; UPDATE tokens SET note = 'x'")
        with application.http.begin(
                "POST", f"{session.service.base}{session.path}/xhr_send",
                body='["third"]') as exchange:
            assert exchange.stalled(0.3)
            if draining:
                stack.bridge.send_signal(signal.SIGTERM)
                assert exchange.stalled(0.3)
            stack.stop_bridge(signal.SIGKILL)
            assert exchange.response().status >= 500
        shell.run("COMMIT")
    stack.start_bridge()
    application.wait_messages("first", "first", "second")
    wait_empty(stack)
    assert application.messages() == ["first", "first", "second"]


def test_killed_before_the_delete(new_stack, responder):
    """What was delivered and is still there comes again, by the same ids and
    in the same order, before what comes after it."""
    stack = new_stack(options=LASTING)
    application = Application(stack, responder)
    session = open_session(application)
    shells = contextlib.ExitStack()

    def lock(_callback):
        # It was committed, and its deletion will not be.
        shell = shells.enter_context(stack.database.shell())
        shell.run("PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE")

    application.behaviour = lock
    with shells:
        session.send("first")
        application.wait_messages("first")
        application.wait_for(lambda: application.callbacks[0].status,
                             "the answer")
        application.behaviour = application.quiet
        stack.stop_bridge(signal.SIGKILL)
    stack.start_bridge()
    application.wait_messages("first", "first")
    wait_empty(stack)
    first, again = application.callbacks
    assert (first.id, first.body) == (again.id, again.body)


@can_mount
def test_full_disk_refuses_and_loses_nothing(new_stack, responder):
    stack = new_stack(start=False, options={**AGAIN, **LASTING})
    with small_disk(stack, 1000) as filler:
        stack.make_database()
        stack.start()
        application = Application(stack, responder)
        session = open_session(application)
        accepted, n = [], 0
        fill(filler)
        response = None
        for n in itertools.count():
            text = f"{n} " + "x" * 4096
            response = session.try_send(json.dumps([text]))
            if response.status != 204:
                break
            accepted.append(text)
        assert response.status == 503, response
        # What could not be kept ends the session.
        assert session.xhr().text == 'c[1011,"not written"]\n'
        filler.unlink()
        stack.wait_until(
            lambda: application.http.get(
                "/polysocket/health/ready").status == 200,
            "the database", stack.bridge)
        again = open_session(application, "ben")
        again.send("after")
        application.wait_for(lambda: "after" in application.messages(),
                             "what was said afterwards")
        application.wait_for(
            lambda: set(accepted) <= set(application.messages()),
            "what was accepted")
        assert text not in application.messages()


# Applications that fail.

@contextlib.contextmanager
def nobody():
    """A port that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"


def resident_bytes(stack):
    with open(f"/proc/{stack.bridge_pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4096


@pytest.mark.parametrize("way", ["refuses", "hangs"])
def test_dead_application_is_nothing_to_others(new_stack, responder, way):
    stack = new_stack(options={**LASTING, "outbox_messages": 10000})
    with nobody() as dead_url:
        well = Application(stack, responder, "echo")
        dead = Application(stack, responder, lambda _: Answer(hang=True),
                           callbacks=["http://127.0.0.1:*"])
        url = dead_url if way == "refuses" else None
        if way == "hangs":
            other = Responder()
            other.sites["/"] = lambda _: Answer(hang=True)
            url = other.url("/")
        with connect(well.http, well.authorize("eve"),
                     "xhr_streaming") as eve:
            sessions = [open_session(dead, f"user{i}", callback=url)
                        for i in range(30)]
            before = resident_bytes(stack)
            for i in range(20):
                for session in sessions:
                    session.send(*(f"{i} {k} " + "x" * 10000
                                   for k in range(8)))
                eve.send(f"still {i}")
                assert eve.next() == f"still {i}"
        grown = resident_bytes(stack) - before
        # 48 MB wait in the database.
        assert len(rows(stack)) == 30 * 20 * 8
        if b"__asan_init" not in stack.wsbridge.read_bytes():
            assert grown < 16 * MIB, grown
        if way == "hangs":
            other.close()


def test_dead_rows_are_revived(new_stack, responder):
    stack = new_stack(options={**LASTING, **ONCE})
    application = Application(stack, responder)
    session = open_session(application)
    application.will_answer(500, 404, 204, 503)
    session.send("1", "2", "3", "4")
    dead = wait_dead(stack, 3)
    name = dead[0]["session"]
    assert [tuple(row.values()) for row in dead] == [
        (name, 1, "dead", 1, "HTTP 500"), (name, 2, "dead", 1, "HTTP 404"),
        (name, 4, "dead", 1, "HTTP 503")]
    session.send("5")
    application.wait_messages("1", "2", "3", "4", "5")
    stack.sql("UPDATE outbox SET state = 'ready'")
    wait_empty(stack)
    # In their order, and each by the id that it has.
    again = application.callbacks[5:]
    assert [(callback.get("message"), callback.id) for callback in again] == [
        (text, f"msg_{name}_{text}") for text in ("1", "2", "4")]


def test_what_is_deleted_by_hand_is_not_sent(new_stack, responder):
    stack = new_stack(options={**LASTING, **ONCE})
    application = Application(stack, responder)
    application.will_answer(500)
    open_session(application).send("1")
    wait_dead(stack, 1)
    stack.sql("DELETE FROM outbox")
    open_session(application, "ben").send("2")
    application.wait_messages("1", "2")


def test_410_withdraws(new_stack, responder):
    stack = new_stack(options=LASTING)
    application = Application(stack, responder, events=True)
    session = open_session(application)
    application.wait_event("connected")
    application.will_answer(410)
    session.send("1", "2", "3")
    assert [(row["number"], row["last_error"])
            for row in wait_dead(stack, 3)] == [
        (2, "410 Gone"), (3, "410 Gone"), (4, "410 Gone")]
    assert session.xhr().text == 'c[3000,"Go away!"]\n'
    assert stack.sql("SELECT * FROM authorizations") == []
    response = application.http.get(session.service.base)
    assert response.status == 404
    assert application.told("event") == ["connected"]
    wait_closed(stack)


def test_who_wants_events_no_more_is_told_of_no_end(new_stack, responder):
    stack = new_stack(options=LASTING)
    application = Application(stack, responder, events=True)
    session = open_session(application)
    application.wait_event("connected")
    application.authorize(events=False)
    session.send("last words")
    application.withdraw()
    application.wait_messages("last words")
    wait_closed(stack)
    # Nor does the next bridge believe that it was never told.
    stack.stop_bridge(signal.SIGKILL)
    stack.start_bridge()
    application.authorize("ben")
    assert rows(stack) == []
    assert application.told("event") == ["connected"]


def test_answers_come_to_the_session(new_stack, responder):
    stack = new_stack()
    application = Application(stack, responder, "echo")
    with connect(application.http, application.authorize(), "websocket") as \
            user, connect(application.http, application.authorize("ben"),
                          "xhr") as other:
        for text in ("hello", "\u2028\U0001f600\ud800", "x" * 100000):
            user.send(text)
            assert user.next() == text
        application.will_answer(
            Answer(body='{"messages": ["a", 1.50, {"b" :  null} ]}'),
            Answer(body='{ "message" : [1, 2] }'),
            Answer(body=["no", "message"]),
            Answer(body="no JSON"), Answer(500, {"message": "of an error"}))
        user.send("1", "2", "3", "4", "5", "6")
        assert user.receive(4) == ["a", "1.50", '{"b" :  null}', "[1, 2]"]
        # The error was tried again, and echoed.
        assert user.receive(2) == ["5", "6"]
        other.send("its own")
        assert other.next() == "its own"


@pytest.mark.parametrize("text", ["x" * MIB, "\u00fc" * (MIB // 2)],
                         ids=["ascii", "escaped"])
def test_largest_message_may_come_back(stack, new_application, text):
    """The echo, as the encoders of Python and PHP write it, has six bytes for
    the two of each character."""
    session = open_session(new_application("echo", stack))
    body = json.dumps([text], ensure_ascii=False)
    assert session.try_send(body.encode("utf-8")).status == 204
    assert session.xhr().text == f"a{body}\n"


def test_events(new_stack, responder):
    stack = new_stack()
    application = Application(stack, responder, events=True)
    with connect(application.http, application.authorize(),
                 "websocket") as user:
        user.send("hello")
    ended = application.wait_event("disconnected")
    assert ended["code"] == 1000
    assert [(callback.get("event"), callback.get("message"))
            for callback in application.callbacks] == [
        ("connected", None), (None, "hello"), ("disconnected", None)]
    assert {(callback.get("session"), callback.get("client"))
            for callback in application.callbacks} == {
        (ended["session"], "ann")}
    for number, callback in enumerate(application.callbacks, 1):
        assert callback.id == f"msg_{ended['session']}_{number}"


def test_disconnected_is_told_after_a_kill(new_stack, responder):
    stack = new_stack(options=LASTING)
    application = Application(stack, responder, events=True)
    session = open_session(application)
    session.send("hello")
    began = application.wait_event("connected")
    application.wait_messages("hello")
    stack.wait_until(
        lambda: stack.sql("SELECT * FROM live_sessions"),
        "the session in the database", stack.bridge)
    stack.stop_bridge(signal.SIGKILL)
    stack.start_bridge()
    ended = application.wait_event("disconnected")
    assert ended["session"] == began["session"]
    assert (ended["code"], ended["client"]) == (1006, "ann")
    ids = [callback.id for callback in application.callbacks]
    assert len(set(ids)) == len(ids) == 3
    wait_empty(stack)


def test_disconnected_is_told_once(new_stack, responder):
    """Whoever has been told of an end is not told again, however soon after
    it the bridge is killed."""
    stack = new_stack()
    application = Application(stack, responder, events=True)
    for client in ("ann", "ben", "eve"):
        open_session(application, client)
        began = application.wait_event("connected", client=client)
        application.publish(application.socket_ids[client],
                            session=began["session"],
                            close={"code": 3001, "reason": "over"})
        application.wait_event("disconnected", client=client)
        wait_empty(stack)
        stack.stop_bridge(signal.SIGKILL)
        stack.start_bridge()
        wait_empty(stack)
        assert application.told("code", client=client) == [3001]


def test_disconnected_is_told_after_a_stop(new_stack, responder):
    """Though the database was locked until the bridge had no time left: it
    writes that its sessions have ended, but not what tells it."""
    stack = new_stack(options={
        **LASTING, "drain_timeout": "0s", "close_timeout": "1s"})
    application = Application(stack, responder, events=True)
    sessions = [open_session(application, client) for client in ("ann", "ben")]
    for client in ("ann", "ben"):
        application.wait_event("connected", client=client)
    wait_empty(stack)
    with stack.database.shell() as shell, contextlib.ExitStack() as left:
        shell.lock()
        shell.run("UPDATE tokens SET note = 'x'")
        left.enter_context(application.http.begin(
            "POST", f"{sessions[0].service.base}{sessions[0].path}/xhr_send",
            body='["hello"]'))
        stop = threading.Thread(target=stack.stop_bridge)
        stop.start()
        stack.wait_until(
            lambda: "cut off" in (stack.directory / "wsbridge.log").read_text(
                encoding="utf-8"), "the end of close_timeout", stack.bridge)
        shell.run("COMMIT")
        stop.join()
    stack.start_bridge()
    for client in ("ann", "ben"):
        application.wait_event("disconnected", client=client)
    wait_empty(stack)
    assert len(application.told("code")) == 2


# Bounds.

def test_outbox_messages(new_stack, responder):
    stack = new_stack(options={**LASTING, "outbox_messages": 3,
                               "callback_backoff": "60s"})
    full, other = (Application(stack, responder) for _ in range(2))
    session = open_session(full)
    full.will_answer(500)
    session.send("1", "2")
    full.wait_messages("1")
    assert session.try_send('["3","4"]').status == 503
    session.send("3")
    response = session.try_send('["4"]')
    assert response.status == 503
    assert response.text.startswith(
        "the application has more callbacks waiting than may"), response
    with connect(full.http, full.authorize("ben"), "websocket") as ben:
        ben.send("5")
        assert ben.closed().code == 1013
    open_session(other).send("1")
    other.wait_messages("1")
    # It knows as much when it begins.
    stack.stop_bridge(signal.SIGKILL)
    full.will_answer(500)
    stack.start_bridge()
    full.wait_messages("1", "1")
    assert open_session(full).try_send('["4"]').status == 503


def test_without_outbox(new_stack, responder):
    stack = new_stack(options={**LASTING, **AGAIN, "outbox": "no",
                               "callback_retry": "100ms"})
    application = Application(stack, responder, "echo", events=True)
    application.will_answer(204, 500)
    with connect(application.http, application.authorize(),
                 "websocket") as user:
        user.send("1", "2")
        assert user.receive(2) == ["1", "2"]
    application.wait_event("disconnected")
    assert application.messages() == ["1", "1", "2"]
    assert rows(stack) == []
    wait_closed(stack)
    # What fails for too long is lost, and that is said.
    application.behaviour = lambda _: Answer(500)
    open_session(application, "ben").send("3")
    stack.wait_until(lambda: "is lost (HTTP 500)" in stack.log("wsbridge"),
                     "a callback that is lost", stack.bridge)
