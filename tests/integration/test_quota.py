"""The limits of a token: each one just below and just above, none overshot,
and remembered by the database when a process is killed."""

import concurrent.futures
import os
import signal
import time

import pytest

import prometheus
from client import Close, Http, Polysocket
from database import insert, quote
from target import Target

# The limits of an address are not what is tested here.
pytestmark = [
    pytest.mark.anonymous(None),
    pytest.mark.options(hold_min="100ms", max_sessions_per_address="2000",
                        max_creates_per_second="2000", processes="4")]

SOON = 3
NOWHERE = "ws://127.0.0.1:1/"       # refuses the connection at once
DAY_S = 86400


@pytest.fixture
def one(stack, new_token):
    """A token with limits: its secret, and ways to change and look at it."""
    return lambda **limits: Limited(stack, new_token(name="limited", **limits))


class Limited:
    def __init__(self, stack, secret):
        self.stack = stack
        self.secret = secret

    def set(self, **limits):
        self.stack.sql("UPDATE tokens SET " + ", ".join(
            f"{name} = {quote(value)}" for name, value in limits.items())
            + " WHERE name = 'limited'")
        self.stack.wait_policy()

    def sockets(self):
        return self.stack.database.value(
            "SELECT sockets FROM token_overview WHERE name = 'limited'")

    def wait_sockets(self, n):
        self.stack.wait_until(lambda: self.sockets() == n, f"{n} sockets")


@pytest.fixture
def plain(http):
    """Where the dialects do not differ."""
    return Polysocket(http)


def only(server):
    return pytest.mark.parametrize("server", [server], indirect=True)


lighttpd = only("lighttpd")


def wait_until_allowed(stack, relay, url, token, timeout=SOON):
    """Opens a session as soon as there is a place for it."""
    stack.wait_until(lambda: relay.try_create(url, token=token).json["ok"],
                     "a free place", timeout=timeout)


# Each limit, and how its refusal looks.

@pytest.mark.parametrize("limit, code", [
    ("max_sockets", "connection_limit"),
    ("max_creates_per_minute", "rate_limit"),
    ("max_messages_per_day", "daily_limit"),
    ("max_bytes_per_day", "daily_limit"),
])
def test_refusal_names_its_limit(relay, target, one, limit, code):
    token = one(**{limit: 0})
    begun = time.time()
    response = relay.try_create(target.url("quiet"), token=token.secret)
    answer = relay.check_refusal(response, 429, code)
    assert answer["limit"] == limit
    retry_after = int(response.header("Retry-After"))
    if limit.endswith("_day"):
        midnight = DAY_S - begun % DAY_S
        assert retry_after == pytest.approx(midnight, abs=60) or midnight < 60
    else:
        assert 1 <= retry_after <= 61
    assert target.accepted == 0
    token.set(**{limit: None})
    assert relay.try_create(NOWHERE, token=token.secret).code == (
        "connect_refused")


def test_open_sockets_are_limited(relay, target, one):
    token = one(max_sockets=3)
    sessions = [relay.create(target.url("quiet"), token=token.secret)
                for _ in range(3)]
    for _ in range(3):
        response = relay.try_create(target.url("quiet"), token=token.secret)
        answer = relay.check_refusal(response, 429, "connection_limit")
        assert answer["limit"] == "max_sockets"
        assert int(response.header("Retry-After")) >= 1
    assert target.accepted == 3
    sessions.pop().close(code=1000)
    relay.create(target.url("quiet"), token=token.secret)


def test_creates_of_a_minute_are_limited(relay, target, one):
    token = one(max_creates_per_minute=3)
    # What fails to connect was begun as well; what is refused was not.
    relay.create(target.url("quiet"), token=token.secret).finish()
    relay.create(target.url("quiet"), token=token.secret)
    assert relay.try_create(NOWHERE, token=token.secret).code == (
        "connect_refused")
    for _ in range(3):
        response = relay.try_create(target.url("quiet"), token=token.secret)
        answer = relay.check_refusal(response, 429, "rate_limit")
        assert answer["limit"] == "max_creates_per_minute"
        assert 30 < int(response.header("Retry-After")) <= 61
    assert target.accepted == 2
    token.set(max_creates_per_minute=4)
    relay.create(target.url("quiet"), token=token.secret)
    relay.check_refusal(relay.try_create(NOWHERE, token=token.secret), 429,
                        "rate_limit")


def is_daily_end(session):
    event, = session.receive()
    assert event == Close(1008, "daily_limit", True)
    return session.is_gone()


def test_messages_of_a_day_are_limited_on_their_way_up(relay, target, one):
    token = one(max_messages_per_day=3)
    session = relay.create(target.url("quiet"), token=token.secret)
    for text in ("1", "2", "3"):
        session.send(text)
    response = session.try_send("4")
    assert (response.status, response.code) == (429, "daily_limit")
    assert response.json["limit"] == "max_messages_per_day"
    assert int(response.header("Retry-After")) >= 1
    assert target.connection().wait_closed() == (1008, "daily_limit")
    assert target.connection().messages == ["1", "2", "3"]
    assert is_daily_end(session)
    answer = relay.check_refusal(relay.try_create(
        target.url("quiet"), token=token.secret), 429, "daily_limit")
    assert answer["limit"] == "max_messages_per_day"


def test_messages_of_a_day_are_limited_on_their_way_down(relay, target, one):
    token = one(max_messages_per_day=2)
    session = relay.create(target.url("quiet"), token=token.secret)
    for text in ("1", "2", "3"):
        target.connection().send(text)
    assert target.connection().wait_closed() == (1008, "daily_limit")
    assert session.receive(3) == ["1", "2", Close(1008, "daily_limit", True)]


def test_both_directions_and_all_sessions_count_together(plain, target, one):
    token = one(max_messages_per_day=5)
    echo = plain.create(target.url("echo"), token=token.secret)
    other = plain.create(target.url("quiet"), token=token.secret)
    echo.send("1")
    assert echo.receive() == ["1"]
    other.send("3")
    echo.send("4")
    assert echo.receive() == ["4"]
    assert other.try_send("6").code == "daily_limit"
    # Its neighbour ends with its own next message.
    assert echo.try_send("7").code == "daily_limit"


def test_a_request_over_the_day_is_passed_not_at_all(plain, target, one):
    token = one(max_messages_per_day=3)
    session = plain.create(target.url("quiet"), token=token.secret)
    session.send("1", "2")
    assert session.try_send("3", "4").code == "daily_limit"
    target.connection().wait_closed()
    assert target.connection().messages == ["1", "2"]


@pytest.mark.parametrize("message, size", [
    ("x" * 100, 100), (b"\x00" * 100, 100), ("\N{EURO SIGN}" * 30, 90)])
def test_bytes_of_a_day_are_limited(plain, target, one, message, size):
    # Payload: neither base64 nor frames are counted.
    token = one(max_bytes_per_day=4 * size)
    session = plain.create(target.url("echo"), token=token.secret)
    for _ in range(2):
        session.send(message)
        assert session.receive() == [message]
    response = session.try_send("x")
    assert (response.code, response.json["limit"]) == (
        "daily_limit", "max_bytes_per_day")
    assert is_daily_end(session)


@lighttpd
def test_bytes_of_a_day_are_limited_to_the_last(plain, target, one):
    token = one(max_bytes_per_day=10)
    session = plain.create(target.url("quiet"), token=token.secret)
    session.send("123456")
    session.send("1234")
    session.send("")            # has none
    target.connection().wait_for_messages("123456", "1234", "")
    token.set(max_bytes_per_day=12)
    target.connection().send("123")
    assert is_daily_end(session)


@lighttpd
def test_a_day_that_is_used_up_goes_on_with_a_higher_limit(plain, target,
                                                           one):
    token = one(max_messages_per_day=1)
    plain.create(target.url("quiet"), token=token.secret).send("1")
    assert plain.try_create(NOWHERE, token=token.secret).code == "daily_limit"
    token.set(max_messages_per_day=2)
    session = plain.create(target.url("quiet"), token=token.secret)
    session.send("2")
    token.set(max_messages_per_day=None)
    session.send("3", "4")


def test_size_of_messages_is_limited_on_their_way_up(relay, target, one):
    token = one(max_message_bytes=100)
    session = relay.create(target.url("quiet"), token=token.secret)
    for message in ("x" * 101, b"x" * 101, "\N{EURO SIGN}" * 34):
        response = session.try_send(message)
        assert (response.status, response.code) == (413, "message_too_large")
        assert response.json["limit"] == "max_message_bytes"
    sent = ["x" * 100, b"x" * 100, "\N{EURO SIGN}" * 33]
    session.send(*sent)         # and lives on
    target.connection().wait_for_messages(*sent)


@lighttpd
def test_size_of_joined_messages_is_limited(plain, target, one):
    token = one(max_message_bytes=100)
    session = plain.create(target.url("quiet"), token=token.secret)
    session.send("x" * 60, more=1)
    response = session.try_send("x" * 41)
    assert (response.status, response.json["limit"]) == (413,
                                                         "max_message_bytes")
    session.send("x" * 40)
    target.connection().wait_for_messages("x" * 100)


def test_size_of_messages_is_limited_on_their_way_down(relay, target, one):
    token = one(max_message_bytes=100)
    session = relay.create(target.url("quiet"), token=token.secret)
    target.connection().send("x" * 100)
    assert session.receive() == ["x" * 100]
    target.connection().send("x" * 101)
    assert target.connection().wait_closed()[0] == 1009
    event, = session.receive()
    assert event.code == 1009


@lighttpd
@pytest.mark.options(max_message="100B")
def test_the_smaller_limit_on_messages_is_in_force(plain, target, one):
    session = plain.create(target.url("quiet"),
                           token=one(max_message_bytes=1000).secret)
    response = session.try_send("x" * 101)
    assert (response.status, response.json["limit"]) == (413, "max_message")


@lighttpd
def test_no_bytes_at_all_leave_empty_messages(plain, target, one):
    session = plain.create(target.url("quiet"),
                           token=one(max_message_bytes=0).secret)
    assert session.try_send("x").status == 413
    session.send("")
    target.connection().wait_for_messages("")


@lighttpd
def test_limits_of_an_open_session_may_change(plain, target, one):
    token = one(max_message_bytes=10)
    session = plain.create(target.url("quiet"), token=token.secret)
    assert session.try_send("x" * 11).status == 413
    token.set(max_message_bytes=None)
    token.stack.wait_until(lambda: session.try_send("x" * 11).status == 201,
                           "no limit", timeout=SOON)
    token.set(max_message_bytes=5)
    token.stack.wait_until(lambda: session.try_send("x" * 6).status == 413,
                           "the new limit", timeout=SOON)


def queued(stack, admin, direction):
    """Bytes that wait in all sessions, as the bridge counts them."""
    figures = prometheus.parse(Http(stack.port).get(
        "/polysocket/metrics", token=admin).text)
    return figures.value("polysocket_queued_bytes", direction=direction)


def fill(session, size=10000):
    """Sends until the target's queue is full; returns the last answer."""
    for _ in range(1000):
        response = session.try_send("x" * size)
        if response.status != 201:
            return response
    raise AssertionError("it never gets full")


@lighttpd
@pytest.mark.parametrize("limit, queue", [
    (0, 10000), (9999, 10000), (50000, 50000), (59999, 50000),
    (400000, 400000)])
def test_bytes_queued_to_the_target_are_limited(stack, plain, one, new_token,
                                                limit, queue):
    # One message has room in an empty queue, however large it is.
    token, admin = one(max_queue_bytes=limit), new_token(admin=1)
    with Target(buffer_bytes=16384) as target:
        session = plain.create(target.url("deaf"), token=token.secret)

        def is_full():
            response = fill(session)
            assert (response.status, response.code) == (429, "slow_target")
            assert response.json["limit"] == "max_queue_bytes"
            assert int(response.header("Retry-After")) >= 1
            return queued(stack, admin, "up") == queue

        # The kernel takes its share first, and not all of it at once.
        stack.wait_until(lambda: all(is_full() for _ in range(20)),
                         f"{queue} bytes in the queue")


@lighttpd
@pytest.mark.options(queue_bytes="50KiB", max_message="50KiB")
def test_the_smaller_limit_on_queues_is_in_force(plain, one):
    token = one(max_queue_bytes=10**9)
    with Target(buffer_bytes=16384) as target:
        session = plain.create(target.url("deaf"), token=token.secret)
        assert fill(session).json["limit"] == "queue_bytes"


@lighttpd
@pytest.mark.parametrize("limit", [0, 20000])
def test_bytes_queued_to_the_client_are_limited(plain, one, limit):
    token = one(max_queue_bytes=limit)
    with Target(buffer_bytes=16384) as target:
        session = plain.create(target.url("quiet"), token=token.secret)
        flood = target.connection().start("flood", "200", "1000")
        # The target is held back, and nothing is lost.
        first = session.receive()
        assert sum(map(len, first)) <= limit + 1000
        texts = first + session.receive(200 - len(first))
        assert [text.split()[0] for text in texts] == list(map(str,
                                                               range(200)))
        flood.result(10)


# Limits that change while they are in use.

@lighttpd
def test_a_lowered_limit_closes_nothing(plain, target, one):
    token = one(max_sockets=3)
    sessions = [plain.create(target.url("echo"), token=token.secret)
                for _ in range(3)]
    token.set(max_sockets=1)
    for session in sessions:
        session.send("still here")
        assert session.receive() == ["still here"]
    for session in sessions[:3]:
        assert plain.try_create(NOWHERE, token=token.secret).code == (
            "connection_limit")
        session.finish()
    assert plain.try_create(NOWHERE, token=token.secret).code == (
        "connect_refused")


@lighttpd
def test_a_raised_limit_gives_room_at_once(plain, target, one):
    token = one(max_sockets=1)
    plain.create(target.url("quiet"), token=token.secret)
    for limit in (2, 3, None):
        assert plain.try_create(NOWHERE, token=token.secret).code == (
            "connection_limit")
        token.set(max_sockets=limit)
        plain.create(target.url("quiet"), token=token.secret)


@lighttpd
def test_tokens_do_not_share_their_limits(plain, target, one, new_token):
    token, other = one(max_sockets=1), new_token(max_sockets=1)
    plain.create(target.url("quiet"), token=token.secret)
    plain.create(target.url("quiet"), token=other)
    for secret in (token.secret, other):
        assert plain.try_create(NOWHERE, token=secret).code == (
            "connection_limit")


# Places come back.

QUICK = pytest.mark.options(first_receiver_grace="700ms",
                            receiver_grace="700ms", connect_timeout="1s")


@QUICK
@pytest.mark.parametrize("how", [
    "client closes", "target closes", "target drops", "target resets",
    "administrator closes", "no receiver"])
def test_place_of_a_session_that_ends_is_free(stack, plain, target, one, how):
    token = one(max_sockets=1)
    session = plain.create(target.url("quiet"), token=token.secret)
    assert plain.try_create(NOWHERE, token=token.secret).code == (
        "connection_limit")
    connection = target.connection()
    if how == "client closes":
        session.close(code=1000)
    elif how == "target closes":
        connection.send_close(1000)
    elif how.startswith("target "):
        connection.do(how.removeprefix("target ").removesuffix("s"))
    elif how == "administrator closes":
        token.wait_sockets(1)
        stack.sql("UPDATE sessions SET close_requested = 1 WHERE token_id ="
                  " (SELECT id FROM tokens WHERE name = 'limited')")
    wait_until_allowed(stack, plain, target.url("quiet"), token.secret)


@QUICK
@pytest.mark.parametrize("behaviour, code", [
    ("refuse", "handshake_rejected"), ("hangup", "handshake_rejected"),
    ("wrong-accept", "handshake_rejected"), ("stall", "connect_timeout"),
    (None, "connect_refused")])
def test_place_of_a_create_that_fails_is_free(plain, target, one, behaviour,
                                              code):
    token = one(max_sockets=1)
    url = target.url(behaviour) if behaviour else NOWHERE
    for _ in range(3):
        assert plain.try_create(url, token=token.secret).code == code
    plain.create(target.url("quiet"), token=token.secret)


@QUICK
def test_place_of_a_client_that_leaves_is_free(stack, plain, target, one):
    # No web server tells at once, but connecting has an end.
    token = one(max_sockets=1)
    pending = plain.http.begin("POST", "/polysocket/create", body={
        "target": target.url("stall"), "token": token.secret})
    target.wait_for(lambda: target.connections, "the handshake")
    assert plain.try_create(NOWHERE, token=token.secret).code == (
        "connection_limit")
    pending.reset()
    wait_until_allowed(stack, plain, target.url("quiet"), token.secret,
                       timeout=1 + SOON)


# No race overshoots a limit.

def simultaneously(n, call):
    with concurrent.futures.ThreadPoolExecutor(n) as threads:
        return list(threads.map(call, range(n)))


def test_200_simultaneous_creates_open_exactly_10(stack, plain, target, one):
    stack.wait_workers(4)
    token = one(max_sockets=10)
    answers = simultaneously(200, lambda _: plain.try_create(
        target.url("quiet"), token=token.secret))
    codes = [answer.code for answer in answers]
    assert codes.count(None) == 10
    assert codes.count("connection_limit") == 190
    target.wait_for(lambda: sum(c.opened for c in target.connections) == 10)
    assert target.accepted == 10
    token.wait_sockets(10)


@lighttpd
def test_200_simultaneous_creates_begin_exactly_10(plain, one):
    token = one(max_creates_per_minute=10)
    codes = simultaneously(200, lambda _: plain.try_create(
        NOWHERE, token=token.secret).code)
    assert sorted(codes) == ["connect_refused"] * 10 + ["rate_limit"] * 190


@lighttpd
def test_50_simultaneous_sends_pass_exactly_20(plain, target, one):
    token = one(max_messages_per_day=20)
    sessions = [plain.create(target.url("quiet"), token=token.secret)
                for _ in range(50)]
    answers = simultaneously(50, lambda i: sessions[i].try_send("hello"))
    codes = [answer.code for answer in answers]
    assert codes.count(None) == 20
    assert codes.count("daily_limit") == 30
    target.wait_for(lambda: sum(len(c.messages)
                                for c in target.connections) == 20)


# What is remembered.

@pytest.fixture
def parts(new_stack):
    stack = new_stack(server="lighttpd", options={"hold_min": "100ms",
                                                  "processes": "4"})
    return stack, Polysocket(Http(stack.port))


def usage(stack, token):
    found = stack.sql("SELECT creates, refused, messages_up, messages_down"
                      " FROM token_usage WHERE token_id = (SELECT id FROM"
                      f" tokens WHERE name = {quote(token)})")
    return tuple(found[0].values()) if found else None


@lighttpd
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_use_is_remembered_by_a_new_bridge(parts, target, sig):
    stack, relay = parts
    stack.add_token("limited", max_creates_per_minute=3, max_sockets=2,
                    max_messages_per_day=7)
    stack.wait_policy()
    sessions = [relay.create(target.url("echo"), token="limited")
                for _ in range(2)]
    for session in sessions:
        session.send("hello")
        assert session.receive() == ["hello"]
    assert relay.try_create(NOWHERE, token="limited").code == (
        "connection_limit")
    stack.wait_until(lambda: usage(stack, "limited") == (2, 1, 2, 2),
                     "what was used", timeout=SOON)
    stack.stop_bridge(sig)
    stack.start_bridge()
    rows = stack.sql("SELECT close_code, close_reason FROM sessions")
    if sig == signal.SIGKILL:
        assert [tuple(row.values()) for row in rows] == [
            (1006, "bridge restarted")] * 2
    # No socket is open any more, but a third was begun in this minute,
    session = relay.create(target.url("quiet"), token="limited")
    assert relay.try_create(NOWHERE, token="limited").code == "rate_limit"
    # and three messages are left of the day.
    session.send("5", "6", "7")
    assert session.try_send("8").code == "daily_limit"
    stack.wait_until(lambda: usage(stack, "limited") == (3, 2, 5, 2),
                     "what was used", timeout=SOON)


@lighttpd
def test_use_of_a_killed_worker_is_not_forgotten(parts, target):
    stack, relay = parts
    stack.add_token("limited", max_creates_per_minute=3, max_sockets=2,
                    max_messages_per_day=4)
    stack.wait_policy()
    session, other = (relay.create(target.url("quiet"), token="limited")
                      for _ in range(2))
    session.send("1", "2")
    for pid in stack.worker_pids:
        old = stack.worker_pids
        os.kill(pid, signal.SIGKILL)
        stack.wait_workers(4, without=[pid])
        assert len(set(old) & set(stack.worker_pids)) == 3
    stack.wait_policy()
    assert relay.try_create(NOWHERE, token="limited").code == (
        "connection_limit")
    session.send("3", "4")
    other.close(code=1000)
    relay.try_create(NOWHERE, token="limited")
    assert relay.try_create(NOWHERE, token="limited").code in (
        "rate_limit", "daily_limit")
    assert session.try_send("5").code == "daily_limit"


@lighttpd
def test_minute_slides_and_is_read_at_the_start(new_stack):
    stack = new_stack(start=False, server="lighttpd")
    stack.make_database()
    token = stack.add_token("limited", max_creates_per_minute=3)
    now = int(time.time())
    for i, age in enumerate((54, 54, 30, 90)):
        stack.sql(insert("sessions", {
            "id": f"old-{i}", "kind": "relay", "token_id": token, "node": "a",
            "subject": NOWHERE, "origin": "", "remote_addr": "", "agent": "",
            "closed_at": "2020-01-01 00:00:00", "close_code": 1000,
            "close_reason": "", "opened_at": time.strftime(
                "%Y-%m-%d %H:%M:%S", time.gmtime(now - age))}))
    stack.start()
    relay = Polysocket(Http(stack.port))
    response = relay.try_create(NOWHERE, token="limited")
    assert response.code == "rate_limit"
    wait_s = int(response.header("Retry-After"))
    assert wait_s <= 61 - 54
    stack.wait_until(lambda: relay.try_create(NOWHERE, token="limited").code
                     == "connect_refused", "the end of the minute")
    assert time.time() == pytest.approx(now - 54 + 61, abs=2.5)
    # Two places became free at the same time, and no more.
    assert relay.try_create(NOWHERE, token="limited").code == (
        "connect_refused")
    assert relay.try_create(NOWHERE, token="limited").code == "rate_limit"


@lighttpd
def test_day_is_read_at_the_start(new_stack, target):
    stack = new_stack(start=False, server="lighttpd")
    stack.make_database()
    token = stack.add_token("limited", max_messages_per_day=10)
    stack.sql(*(insert("token_usage", {
        "token_id": token, "messages_up": up, "messages_down": down,
        "day": stack.database.value(f"SELECT date('now', '{day}')")})
        for day, up, down in (("-1 day", 1000, 0), ("+0 days", 5, 3))))
    stack.start()
    relay = Polysocket(Http(stack.port))
    session = relay.create(target.url("quiet"), token="limited")
    session.send("9", "10")
    assert session.try_send("11").code == "daily_limit"
