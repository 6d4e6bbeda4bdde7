"""What the database is told: a row for each session, what was used of each
token, and what people see of it in the views."""

import re
import secrets
import signal

import pytest

from client import Http, Polysocket
from database import insert, quote

pytestmark = [
    pytest.mark.anonymous(None),
    pytest.mark.options(hold_min="100ms", connect_timeout="1s")]

SOON = 3        # s; usage is flushed every second, on an idle machine
SERVICE = "https://page.example"
TRAFFIC = ("messages_up", "messages_down", "bytes_up", "bytes_down")


def lighttpd(test):
    """Where the web server makes no difference."""
    return pytest.mark.parametrize("server", ["lighttpd"], indirect=True)(test)


class Token:
    """A token of the test and what the database says of it."""

    def __init__(self, stack, secret, name):
        self.stack = stack
        self.secret = secret
        self.name = name
        self.id = stack.database.value("SELECT id FROM tokens WHERE name ="
                                       f" {quote(name)}")

    def sessions(self):
        """Its rows; those of one second in any order."""
        return self.stack.sql("SELECT * FROM sessions WHERE token_id ="
                              f" {self.id} ORDER BY opened_at")

    def wait_session(self, **expected):
        """The one row, once it has these values."""
        self.stack.wait_until(
            lambda: [{name: row[name] for name in expected}
                     for row in self.sessions()] == [expected],
            f"{expected}, but {self.sessions}")
        return self.sessions()[0]

    def usage(self):
        return self.stack.sql(
            "SELECT creates, refused, messages_up, messages_down, bytes_up,"
            f" bytes_down FROM token_usage WHERE token_id = {self.id}")

    def wait_usage(self, *expected, timeout=SOON):
        self.stack.wait_until(
            lambda: [tuple(row.values()) for row in self.usage()]
            == [expected], f"{expected} in token_usage", timeout=timeout)


@pytest.fixture
def token(stack, new_token):
    name = "t-" + secrets.token_hex(6)
    return Token(stack, new_token(name=name), name)


@pytest.fixture
def plain(http):
    return Polysocket(http)


# The row of a session.

def test_row_tells_who_is_connected_where(stack, relay, target, token):
    url = target.url("echo") + "/room%201"
    before = stack.database.value("SELECT datetime('now') AS now")
    session = relay.create(url + "?key=a-secret-of-the-target",
                           {"Origin": SERVICE}, token=token.secret,
                           **{"from": "tests-v1"})
    row = token.wait_session(closed_at=None)
    assert before <= row.pop("opened_at") <= stack.database.value(
        "SELECT datetime('now') AS now")
    name = re.fullmatch(r"[a-z0-9]+-\d+", row.pop("id"))[0]
    assert row == {
        "kind": "relay", "token_id": token.id, "node": "a", "subject": url,
        "origin": SERVICE, "remote_addr": "127.0.0.1", "agent": "tests-v1",
        "closed_at": None, "close_code": None, "close_reason": None,
        **dict.fromkeys(TRAFFIC, 0), "close_requested": 0}
    # It is the name that the log knows it by.
    assert re.search(rf"session {name}: connecting to ws://127\.0\.0\.1:"
                     rf"{target.port} ", stack.log("wsbridge"))
    # While it lives its traffic is some seconds old.
    session.send("hello", b"\x00\x01")
    assert session.receive(2) == ["hello", b"\x00\x01"]
    token.wait_session(messages_up=2, messages_down=2, bytes_up=7,
                       bytes_down=7, closed_at=None)
    session.send("and the last one")
    session.receive()
    session.finish()
    row = token.wait_session(close_code=1000)
    assert [row[name] for name in TRAFFIC] == [3, 3, 23, 23]
    assert row["id"] == name
    assert row["opened_at"] <= row["closed_at"]


def test_no_secret_is_in_the_database(stack, relay, target, token):
    sessions = [relay.create(target.url("echo") + "?key=Secret-of-target",
                             token=token.secret) for _ in range(3)]
    for session in sessions[:2]:
        session.send("Secret-message")
        session.receive()
    sessions[0].close(code=1000, reason="left")
    stack.wait_until(lambda: [row["messages_up"] for row in
                              token.sessions()].count(1) == 2, "the rows")
    files = stack.database.files()
    assert token.name.encode("ascii") in files
    for secret in (token.secret, "Secret-", *(s.id for s in sessions),
                   *(s.id.partition(".")[2] for s in sessions)):
        assert secret.encode("ascii") not in files


@lighttpd
@pytest.mark.parametrize("url, subject", [
    ("ws://127.0.0.1:1", "ws://127.0.0.1:1/"),
    ("ws://127.0.0.1:1/a?b", "ws://127.0.0.1:1/a"),
    ("ws://127.0.0.1:1?b", "ws://127.0.0.1:1/"),
    ("WS://LOCALHOST:1/A", "ws://localhost:1/A"),
    ("ws://[::1]:1/a", "ws://[::1]:1/a"),
    ("wss://127.0.0.1:1/", "wss://127.0.0.1:1/"),
    ("ws://127.0.0.1:1/';DROP%20TABLE", "ws://127.0.0.1:1/';DROP%20TABLE"),
])
def test_subject_is_the_target_without_its_query(plain, token, url, subject):
    assert plain.try_create(url, token=token.secret).json["ok"] is False
    token.wait_session(subject=subject, close_code=0)


@lighttpd
@pytest.mark.parametrize("headers, params, origin", [
    ({}, {}, ""),
    ({"Origin": SERVICE}, {}, SERVICE),
    ({"Origin": "null"}, {}, "null"),
    ({"Referer": SERVICE + "/path?query"}, {}, SERVICE),
    ({}, {"origin": SERVICE}, SERVICE),
    ({"Origin": SERVICE}, {"origin": "https://other.example"}, SERVICE),
])
def test_origin_is_that_of_the_page(plain, token, headers, params, origin):
    plain.try_create("ws://127.0.0.1:1/", headers, token=token.secret,
                     **params)
    token.wait_session(origin=origin)


@lighttpd
def test_address_is_that_of_the_client(stack, token):
    relay = Polysocket(Http(stack.port, source="127.0.0.77"))
    relay.try_create("ws://127.0.0.1:1/", token=token.secret)
    token.wait_session(remote_addr="127.0.0.77")


@lighttpd
@pytest.mark.parametrize("agent", ["", "x" * 128, "\N{EURO SIGN} 'quoted'",
                                   "\"; DROP TABLE sessions"])
def test_agent_is_what_the_client_says(plain, token, agent):
    plain.try_create("ws://127.0.0.1:1/", token=token.secret,
                     **{"from": agent})
    token.wait_session(agent=agent)


@lighttpd
def test_session_is_recorded_while_it_connects(plain, target, token):
    with plain.http.begin("POST", "/polysocket/create", body={
            "target": target.url("stall"), "token": token.secret}) as pending:
        row = token.wait_session(closed_at=None)
        assert pending.response().code == "connect_timeout"
        assert token.wait_session(close_reason="connect_timeout")["id"] == (
            row["id"])


# How it ended.

def client_closes(session, _target, _stack):
    session.close(code=3001, reason="bye")


def client_closes_without_a_reason(session, _target, _stack):
    session.close(code=3001)


def target_closes(_session, target, _stack):
    target.connection().send_close(4000, "done")


def target_closes_without_a_reason(_session, target, _stack):
    target.connection().send_close(1001)


def target_closes_without_a_code(_session, target, _stack):
    target.connection().do("close-with")


def target_drops(_session, target, _stack):
    target.connection().do("drop")


def target_resets(_session, target, _stack):
    target.connection().do("reset")


def target_sends_bad_utf8(_session, target, _stack):
    target.connection().do("say-invalid-utf8")


def target_sends_too_much(_session, target, _stack):
    target.connection().send("x" * 1001)


def nobody_receives(_session, _target, _stack):
    pass


def administrator_closes(_session, target, stack):
    stack.sql("UPDATE sessions SET close_requested = 1"
              f" WHERE subject LIKE '%:{target.port}/%'")


def token_is_disabled(_session, _target, stack):
    stack.sql("UPDATE tokens SET enabled = 0 WHERE name <> 'anonymous'")


def token_expires(_session, _target, stack):
    stack.sql("UPDATE tokens SET expires_at = 'now'"
              " WHERE name <> 'anonymous'")


def day_is_used_up(session, _target, stack):
    stack.sql("UPDATE tokens SET max_messages_per_day = 0")
    stack.wait_policy()
    stack.wait_until(lambda: session.try_send("x").status != 201, "the end")


def client_is_slow(_session, target, _stack):
    target.connection().start("flood", "100", "1000")


@pytest.mark.options(first_receiver_grace="3s",
                     close_linger="1s", stall_timeout="200ms",
                     max_message="1000B", queue_bytes="10KiB")
@pytest.mark.parametrize("end, code, reason", [
    (client_closes, 3001, "bye"),
    (client_closes_without_a_reason, 3001, "closed by client"),
    (target_closes, 4000, "done"),
    (target_closes_without_a_reason, 1001, "closed by target"),
    (target_closes_without_a_code, 1005, "closed by target"),
    (target_drops, 1006, "closed by target"),
    (target_resets, 1006, "closed by target"),
    (target_sends_bad_utf8, 1007, "invalid UTF-8"),
    (target_sends_too_much, 1009, "message too large"),
    (nobody_receives, 1001, "no receiver"),
    (administrator_closes, 1008, "closed by administrator"),
    (token_is_disabled, 1008, "token disabled"),
    (token_expires, 1008, "token expired"),
    (day_is_used_up, 1008, "daily_limit"),
    (client_is_slow, 1008, "slow client"),
])
@lighttpd
def test_row_tells_how_a_session_ended(stack, plain, target, token, end, code,
                                       reason):
    session = plain.create(target.url("quiet"), token=token.secret)
    token.wait_session(closed_at=None)
    end(session, target, stack)
    stack.wait_until(lambda: token.sessions()[0]["closed_at"], "its end")
    row = token.sessions()[0]
    assert (row["close_code"], row["close_reason"]) == (code, reason)
    assert row["opened_at"] <= row["closed_at"]
    # What the client hears later does not change it.
    ended = row["closed_at"]
    if session.try_poll().status == 200:
        stack.wait_until(session.is_gone, "the end of its memory")
    row = token.sessions()[0]
    assert (row["close_code"], row["close_reason"], row["closed_at"]) == (
        code, reason, ended)
    assert re.search(rf"session {row['id']}: closed \([^)]*, code {code},",
                     stack.log("wsbridge"))


@lighttpd
@pytest.mark.parametrize("url, code", [
    ("ws://127.0.0.1:1/", "connect_refused"),
    ("{}/stall", "connect_timeout"),
    ("{}/refuse", "handshake_rejected"),
    ("{}/wrong-accept", "handshake_rejected"),
    ("wss://127.0.0.1:{port}/", "tls_error"),
    ("ws://nowhere.invalid/", "dns_failure"),
    ("ws://10.255.255.255/", "address_refused"),
])
def test_row_of_a_create_that_failed_has_its_code(stack, plain, target,
                                                  new_token, url, code):
    name = "t-" + secrets.token_hex(6)
    token = Token(stack, new_token(name=name, targets=["*://*:*"]), name)
    url = url.format(f"ws://127.0.0.1:{target.port}", port=target.port)
    assert plain.try_create(url, token=token.secret).code == code
    row = token.wait_session(close_code=0, close_reason=code)
    assert row["opened_at"] <= row["closed_at"]
    token.wait_usage(1, 0, 0, 0, 0, 0)


@lighttpd
@pytest.mark.parametrize("statement, reason", [
    ("UPDATE tokens SET enabled = 0 WHERE id = :id", "token disabled"),
    ("DELETE FROM tokens WHERE id = :id", "token deleted"),
    ("UPDATE sessions SET close_requested = 1 WHERE token_id = :id",
     "closed by administrator")])
def test_row_of_a_create_that_was_ended_has_the_reason(
        stack, plain, target, token, statement, reason):
    with plain.http.begin("POST", "/polysocket/create", body={
            "target": target.url("stall"), "token": token.secret}):
        token.wait_session(closed_at=None)
        stack.sql(statement.replace(":id", str(token.id)))
        token.wait_session(close_code=0, close_reason=reason)


def test_what_is_refused_has_no_row(stack, plain, target, new_token):
    name = "t-" + secrets.token_hex(6)
    token = Token(stack, new_token(name=name, max_sockets=0, origins=[]),
                  name)
    for params in ({}, {"target": "http://x"}, {"target": target.url()}):
        plain.http.post("/polysocket/create", {**params, "token":
                                               token.secret})
    token.wait_usage(0, 1, 0, 0, 0, 0)
    assert token.sessions() == []


def test_names_are_not_used_twice(new_stack, target):
    stack = new_stack(server="lighttpd")
    relay = Polysocket(Http(stack.port))
    for n in (3, 6, 9):
        for _ in range(3):
            relay.create(target.url("quiet"))
        stack.wait_until(lambda: stack.database.value(
            "SELECT count(*) FROM sessions") == n, f"{n} rows")
        stack.stop_bridge()
        stack.start_bridge()


# Rows of a bridge that is no more.

@pytest.mark.parametrize("sig, code, reason", [
    (signal.SIGTERM, 1001, "server shutting down"),
    (signal.SIGKILL, 1006, "bridge restarted")])
@lighttpd
def test_rows_of_a_bridge_that_ends(new_stack, target, server, sig, code,
                                    reason):
    stack = new_stack()
    relay = Polysocket(Http(stack.port))
    session, ended = (relay.create(target.url("echo")) for _ in range(2))
    session.send("hello")
    ended.finish()
    stack.wait_until(lambda: stack.database.value(
        "SELECT count(*) FROM sessions WHERE closed_at IS NOT NULL") == 1
        and stack.database.value("SELECT count(*) FROM sessions") == 2,
        "the rows")
    # Another node's are its own.
    stack.sql(insert("sessions", {
        "id": "b-1", "kind": "relay", "token_id": 1, "node": "b",
        "subject": "", "origin": "", "remote_addr": "", "agent": "",
        "opened_at": "2020-01-01 00:00:00"}))
    stack.stop_bridge(sig)
    before = stack.sql("SELECT * FROM sessions WHERE closed_at IS NULL")
    assert len(before) == (2 if sig == signal.SIGKILL else 1)
    stack.start_bridge()
    rows = {(row["close_code"], row["close_reason"])
            for row in stack.sql("SELECT * FROM sessions")}
    assert rows == {(None, None), (1000, "closed by client"), (code, reason)}
    assert stack.database.values("SELECT id FROM live_sessions") == ["b-1"]


# Usage.

def test_usage_counts_both_directions(plain, target, token):
    sessions = [plain.create(target.url("echo"), token=token.secret)
                for _ in range(2)]
    target.connection(0).send("\N{EURO SIGN}")
    assert sessions[0].receive() == ["\N{EURO SIGN}"]
    for session in sessions:
        session.send("hello", b"\x00\x01\x02")
        assert session.receive(2) == ["hello", b"\x00\x01\x02"]
    token.wait_usage(2, 0, 4, 5, 16, 19)
    # What was used is added to what was used.
    sessions[0].send("again")
    sessions[0].receive()
    token.wait_usage(2, 0, 5, 6, 21, 24)


def test_usage_counts_what_is_refused(stack, relay, target, new_token):
    name = "t-" + secrets.token_hex(6)
    secret = new_token(name=name, origins=[SERVICE], max_sockets=1,
                       targets=["ws://127.0.0.1:*"])
    token = Token(stack, secret, name)
    for url, headers, code in (
            ("http://x/", {}, "target_invalid"),
            (target.url("quiet"), {"Origin": "https://x"}, "origin_refused"),
            ("ws://10.0.0.1/", {}, "target_refused"),
            (target.url("quiet"), {}, None),
            (target.url("quiet"), {}, "connection_limit"),
            (target.url("quiet"), {}, "connection_limit")):
        assert relay.try_create(url, headers, token=secret).code == code
    # A malformed request is refused to nobody, nor is that of no token.
    token.wait_usage(1, 4, 0, 0, 0, 0)
    for enabled, code in ((0, "token_unknown"), (1, "connection_limit")):
        stack.sql(f"UPDATE tokens SET enabled = {enabled}, max_sockets = 0"
                  f" WHERE id = {token.id}")
        stack.wait_policy()
        assert relay.try_create(target.url(), token=secret).code == code
    token.wait_usage(1, 5, 0, 0, 0, 0)


@lighttpd
def test_usage_counts_what_is_refused_to_an_address(stack, target,
                                                    new_stack, server):
    stack = new_stack(options={"max_sessions_per_address": "1"})
    relay = Polysocket(Http(stack.port))
    relay.create(target.url("quiet"))
    assert relay.try_create(target.url("quiet")).code == "connection_limit"
    Token(stack, None, "anonymous").wait_usage(1, 1, 0, 0, 0, 0)


@lighttpd
def test_usage_is_written_when_the_bridge_stops(new_stack, target, server):
    stack = new_stack()
    relay = Polysocket(Http(stack.port))
    session = relay.create(target.url("quiet"))
    for _ in range(20):
        session.send("hello")
    relay.try_create("ws://10.0.0.1/")
    stack.stop_bridge()
    token = Token(stack, None, "anonymous")
    assert [tuple(row.values()) for row in token.usage()] == [
        (1, 1, 20, 0, 100, 0)]
    row, = token.sessions()
    assert (row["messages_up"], row["bytes_up"]) == (20, 100)


@lighttpd
def test_usage_is_that_of_the_day_in_utc(stack, plain, target, token):
    before = stack.database.value("SELECT date('now') AS day")
    plain.create(target.url("quiet"), token=token.secret)
    token.wait_usage(1, 0, 0, 0, 0, 0)
    day = stack.database.value("SELECT day FROM token_usage WHERE token_id ="
                               f" {token.id}")
    assert before <= day <= stack.database.value("SELECT date('now') AS day")


@lighttpd
def test_usage_of_a_token_that_is_gone_harms_nobody(stack, plain, target,
                                                    token, new_token):
    session = plain.create(target.url("echo"), token=token.secret)
    session.send("hello")
    stack.sql(f"DELETE FROM tokens WHERE id = {token.id}")
    stack.wait_until(session.is_gone, "the end of its session")
    name = "t-" + secrets.token_hex(6)
    other = Token(stack, new_token(name=name), name)
    plain.create(target.url("quiet"), token=other.secret)
    other.wait_usage(1, 0, 0, 0, 0, 0)
    assert token.usage() == []
    token.wait_session(close_reason="token deleted", close_code=1008)


# What people see.

def test_views_show_what_goes_on(stack, plain, target, token):
    stack.sql("UPDATE tokens SET max_sockets = 7, max_messages_per_day = 99"
              f" WHERE id = {token.id}")
    url = target.url("echo")
    session = plain.create(url, {"Origin": SERVICE}, token=token.secret,
                           **{"from": "tests-v1"})
    session.send("hello")
    assert session.receive() == ["hello"]
    plain.create(url, token=token.secret).finish()
    token.wait_usage(2, 0, 1, 1, 5, 5)
    stack.wait_until(lambda: stack.database.values(
        "SELECT messages_down FROM live_sessions WHERE token ="
        f" {quote(token.name)}") == [1], "the view")
    row = stack.database.row("SELECT * FROM live_sessions WHERE token ="
                             f" {quote(token.name)}")
    assert 0 <= row.pop("age_s") <= 10
    assert (row["subject"], row["origin"], row["agent"]) == (
        url, SERVICE, "tests-v1")
    row = stack.database.row("SELECT * FROM token_overview WHERE name ="
                             f" {quote(token.name)}")
    assert {name: row[name] for name in (
        "sockets", "max_sockets", "creates_last_minute", "messages_today",
        "max_messages_per_day", "bytes_today", "origins")} == {
            "sockets": 1, "max_sockets": 7, "creates_last_minute": 2,
            "messages_today": 2, "max_messages_per_day": 99,
            "bytes_today": 10, "origins": "*"}
    row = stack.database.row("SELECT * FROM usage_by_day WHERE token ="
                             f" {quote(token.name)}")
    del row["day"]
    assert row == {"token": token.name, "creates": 2, "refused": 0,
                   **dict(zip(TRAFFIC, (1, 1, 5, 5)))}
    session.finish()
    stack.wait_until(lambda: not stack.sql(
        f"SELECT * FROM live_sessions WHERE token = {quote(token.name)}"),
        "the end in the view")


# Pruning.

def old_rows(name, n, age_s):
    """The statement that makes n rows which were closed so long ago."""
    return f"""WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL
        SELECT i + 1 FROM n WHERE i < {n})
        INSERT INTO sessions SELECT '{name}-' || i, 'relay', 1, 'a',
        'ws://x/', '', '', '', datetime('now', '-{age_s} seconds'),
        datetime('now', '-{age_s} seconds'), 1000, '', 0, 0, 0, 0, 0
        FROM n"""


@lighttpd
def test_old_rows_are_pruned(new_stack, target, server):
    stack = new_stack(start=False, options={"keep_sessions": "1h"})
    stack.make_database()
    stack.sql(old_rows("old", 3000, 3700), old_rows("new", 10, 3400),
              insert("sessions", {
                  "id": "b-1", "kind": "relay", "token_id": 1, "node": "b",
                  "subject": "", "origin": "", "remote_addr": "",
                  "agent": "", "opened_at": "2020-01-01 00:00:00"}),
              insert("token_usage", {"token_id": 1, "day": "2020-01-01"}))
    stack.start()
    session = Polysocket(Http(stack.port)).create(target.url("quiet"))
    stack.wait_until(lambda: stack.database.value(
        "SELECT count(*) FROM sessions WHERE id LIKE 'old-%'") == 0,
        "the pruning")
    # What is younger, lives, or is summed up is kept.
    assert stack.database.value("SELECT count(*) FROM sessions"
                                " WHERE id LIKE 'new-%'") == 10
    assert stack.database.value("SELECT count(*) FROM live_sessions") == 2
    assert stack.database.value("SELECT count(*) FROM token_usage"
                                " WHERE day = '2020-01-01'") == 1
    session.finish()
