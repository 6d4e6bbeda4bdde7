"""What users have said reaches the application: after kill -9, while it fails
and when it does not answer; in order, and with the same id each time."""

import itertools
import json
import signal
import threading

import pytest

from application import Answer, Application, Responder
from client import Http
from sockjs import Service

AGAIN = {"callback_backoff": "10ms"}

USERS, EACH, AT_ONCE, KILLS = 50, 200, 4, 5


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


def test_nothing_that_was_accepted_is_lost(new_stack, responder):
    stack = new_stack(options={
        **AGAIN, "receiver_grace": "60s"})
    application = Application(stack, responder, fails_a_third)
    http = Http(stack.port)
    crowd = Crowd()
    users = [User(crowd, http, application.authorize(f"user{i}"), i)
             for i in range(USERS)]
    for user in users:
        user.start()
    for kill in range(1, KILLS + 1):
        crowd.wait(USERS * EACH * kill // (KILLS + 1))
        stack.stop_bridge(signal.SIGKILL)
        stack.start_bridge()
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
