"""The database by itself, as the sqlite3 program makes and keeps it."""

import base64
import re
import subprocess

import pytest

from database import SCHEMA, Database, insert
from schema import (
    AUTHORIZATION, CALL, COLUMNS, DIRECTIONS, FLAGS, LIMITS, NO_TOKEN,
    SAME_SECRET, SESSION, UNIQUE_NAME, authorization, call, callback, change,
    channel, everything, hash_of, new_token, origin, refused, sha3, target)

UPGRADE = sorted((SCHEMA.parent / "upgrade").glob("*.sql"))
TOKEN_TABLES = ("tokens", "token_origins", "token_targets", "token_channels",
                "token_callbacks")
VIEWS = {
    "live_sessions": [
        "id", "kind", "token", "subject", "origin", "remote_addr", "agent",
        "opened_at", "age_s", *DIRECTIONS, "node"],
    "token_overview": [
        "id", "name", "enabled", "admin", "expires_at",
        "sockets", "max_sockets",
        "creates_last_minute", "max_creates_per_minute",
        "messages_today", "max_messages_per_day",
        "bytes_today", "max_bytes_per_day",
        "max_message_bytes", "max_queue_bytes",
        "origins", "targets", "channels", "callbacks",
        "authorizations", "note"],
    "usage_by_day": ["day", "token", "creates", "refused", *DIRECTIONS],
    "channel_overview": ["channel", "events", "bytes", "oldest", "newest"],
    "authorization_overview": [
        "application", "client", "socket_id", "callback", "events",
        "sessions", "created_at", "renewed_at", "expires_at"],
    "outbox_overview": [
        "application", "client", "ready", "dead", "bytes", "oldest",
        "attempts", "last_error"],
}


# The file.

def test_schema_marks_the_file(database):
    assert database.value("PRAGMA application_id") == 0x506f6c79
    assert database.value("PRAGMA user_version") == 4
    assert database.value("PRAGMA journal_mode") == "wal"
    assert database.value("PRAGMA integrity_check") == "ok"


def test_tables_and_views_are_those_of_the_specification(database):
    for name, columns in {**COLUMNS, **VIEWS}.items():
        found = database.sql(f"PRAGMA table_info({name})")
        assert [column["name"] for column in found] == columns, name


def test_a_fresh_database_has_no_token_and_one_revision(database):
    for table in COLUMNS.keys() - {"policy"}:
        assert database.sql(f"SELECT * FROM {table}") == []
    assert len(database.sql("SELECT * FROM policy")) == 1


def test_a_newer_database_has_a_higher_revision(database, tmp_path):
    # Or programs would not notice that it took the place of another.
    newer = Database.create(tmp_path / "newer.db")
    assert newer.value("SELECT revision FROM policy") > database.value(
        "SELECT revision FROM policy")


def test_defaults_of_a_token(tokens):
    row = tokens.row("SELECT * FROM tokens WHERE name = 'a'")
    assert {name: row[name] for name in FLAGS} == {
        "enabled": 1, "admin": 0, "allow_no_origin": 1, "publish_auth": 0,
        "sockjs_websocket": 1, "sockjs_cookie": 0}
    assert {row[name] for name in LIMITS} == {None}
    assert (row["expires_at"], row["note"]) == (None, "")
    assert tokens.value("SELECT strftime('%s', 'now') - strftime('%s',"
                        " created_at) FROM tokens WHERE name = 'a'") < 60


def test_defaults_of_rights_and_records(tokens):
    tokens.sql("INSERT INTO token_channels (token_id, pattern) VALUES"
               " (1, 'news')",
               "INSERT INTO token_usage (token_id, day) VALUES"
               " (1, date('now'))",
               insert("sessions", SESSION))
    row = tokens.row("SELECT * FROM token_channels")
    assert (row["may_emit"], row["may_listen"]) == (0, 1)
    row = tokens.row("SELECT * FROM token_usage")
    assert {row[name] for name in ("creates", "refused", *DIRECTIONS)} == {0}
    row = tokens.row("SELECT * FROM sessions")
    assert {row[name] for name in ("close_requested", *DIRECTIONS)} == {0}
    assert {row[name] for name in ("closed_at", "close_code",
                                   "close_reason")} == {None}


def test_every_column_and_table_is_commented():
    text = SCHEMA.read_text(encoding="utf-8")
    n_columns = 0
    for match in re.finditer(
            r"([^\n]*)\nCREATE TABLE (\w+) \(\n(.*?)\n\) STRICT", text,
            re.DOTALL):
        before, table, body = match.groups()
        assert before.startswith("-- "), table
        lines = body.split("\n")
        for i, line in enumerate(lines):
            if column := re.match(r"\t([a-z]\w*) ", line):
                n_columns += 1
                assert lines[i - 1].startswith("\t-- "), (table, column[1])
    assert n_columns == sum(map(len, COLUMNS.values()))
    for view in VIEWS:
        assert re.search(rf"^-- .*\nCREATE VIEW {view} ", text, re.MULTILINE)


def test_schema_runs_once_only(tokens):
    # Without -bail, as people type it, sqlite3 goes on after an error.
    before = everything(tokens), tokens.sql("SELECT * FROM sqlite_schema")
    with open(SCHEMA, encoding="utf-8") as script:
        done = subprocess.run(["sqlite3", tokens.path], stdin=script,
                              capture_output=True, check=False)
    assert b"already exists" in done.stderr
    assert before == (everything(tokens),
                      tokens.sql("SELECT * FROM sqlite_schema"))


def test_upgrade_brings_the_first_version_to_this_one(database, tmp_path):
    old = Database(tmp_path / "old.db")
    old.sql("PRAGMA journal_mode = WAL", "BEGIN IMMEDIATE",
            "PRAGMA application_id = 0x506f6c79", "PRAGMA user_version = 1",
            "COMMIT")
    for step in UPGRADE:
        old.load(step)
    for question in ("PRAGMA application_id", "PRAGMA user_version",
                     "PRAGMA journal_mode", "SELECT type, name, tbl_name, sql"
                     " FROM sqlite_schema ORDER BY name"):
        assert old.sql(question) == database.sql(question)
    old.sql("INSERT INTO tokens (name, secret) VALUES ('a', 'b')")


def test_upgrades_are_numbered_by_the_version_they_lead_to(database):
    numbers = [int(path.name.split("-")[0]) for path in UPGRADE]
    assert numbers == list(range(2, database.value("PRAGMA user_version") + 1))


# Statements that insert where there is something.

def test_upsert_changes_the_token_that_is_there(tokens):
    tokens.sql(RIGHTS[1])
    upsert = ("INSERT INTO tokens (name, secret, max_sockets) VALUES"
              " ('{}', '{}', 5) ON CONFLICT (name) DO UPDATE SET"
              " secret = excluded.secret, max_sockets = excluded.max_sockets")
    tokens.sql(upsert.format("a", "PlainOther"),
               upsert.format("c", "PlainThird"))
    assert hash_of(tokens, "a") == sha3("PlainOther")
    assert hash_of(tokens, "c") == sha3("PlainThird")
    assert tokens.row("SELECT id, secret, max_sockets FROM tokens"
                      " WHERE name = 'a'") == {
        "id": 1, "secret": None, "max_sockets": 5}
    assert tokens.values("SELECT token_id FROM token_targets") == [1]
    assert b"Plain" not in tokens.files()
    # With its own secret again, but not with another's.
    tokens.sql(upsert.format("a", "PlainOther"))
    assert refused(tokens, upsert.format("a", "secret-b")) == SAME_SECRET


def test_insert_or_ignore_leaves_the_token_that_is_there(tokens):
    before = everything(tokens)
    tokens.sql("INSERT OR IGNORE INTO tokens (name, secret) VALUES"
               " ('a', 'PlainOther')",
               "INSERT OR IGNORE INTO tokens (name) VALUES ('anonymous')")
    assert everything(tokens) == before
    assert b"Plain" not in tokens.files()


@pytest.mark.parametrize("foreign_keys", ["ON", "OFF"])
def test_replace_makes_a_token_without_the_rights_of_the_old(tokens,
                                                             foreign_keys):
    tokens.sql(*RIGHTS, authorization(),
               "INSERT INTO token_usage (token_id, day) VALUES"
               " (1, '2030-01-01')")
    tokens.sql(f"PRAGMA foreign_keys = {foreign_keys}",
               "REPLACE INTO tokens (name, secret) VALUES"
               " ('a', 'PlainOther')")
    assert tokens.value("SELECT id FROM tokens WHERE name = 'a'") == 4
    assert b"Plain" not in tokens.files()
    tokens.sql("INSERT INTO tokens (id, name, secret) VALUES (1, 'c', 'c')")
    for table in (*TOKEN_TABLES[1:], "token_usage", "authorizations"):
        assert tokens.values(f"SELECT token_id FROM {table}") == [], table


# The token of requests without one.

def test_anonymous_is_made_without_a_secret(database):
    database.sql("INSERT INTO tokens (name) VALUES ('anonymous')")
    assert database.row("SELECT secret, secret_hash FROM tokens") == {
        "secret": None, "secret_hash": None}
    assert refused(database, "INSERT INTO tokens (name) VALUES ('anonymous')"
                   ) == UNIQUE_NAME


def test_anonymous_becomes_another_token_with_a_secret(tokens):
    tokens.sql("UPDATE tokens SET name = 'c', secret = 'x'"
               " WHERE name = 'anonymous'")
    assert hash_of(tokens, "c") == sha3("x")


def test_a_token_becomes_anonymous_without_its_secret(database):
    database.sql(new_token(), "UPDATE tokens SET name = 'anonymous',"
                 " secret_hash = NULL")
    assert database.value("SELECT name FROM tokens") == "anonymous"


# Times and keys.

@pytest.mark.parametrize("given, kept", [
    ("2030-12-31 23:59:59", "2030-12-31 23:59:59"),
    ("2030-12-31", "2030-12-31 00:00:00"),
    ("2030-12-31 23:59", "2030-12-31 23:59:00"),
    ("2030-12-31T23:59:59Z", "2030-12-31 23:59:59"),
    ("2030-12-31T23:59:59.999", "2030-12-31 23:59:59"),
    ("2030-12-31 23:30:00+01:30", "2030-12-31 22:00:00"),
    (None, None),
])
def test_expires_at_is_kept_in_one_form(tokens, given, kept):
    tokens.sql(new_token(expires_at=given), change(expires_at=given))
    assert tokens.values("SELECT expires_at FROM tokens WHERE name IN"
                         " ('a', 'n')") == [kept, kept]


def test_expires_at_may_be_reckoned_from_now(tokens):
    tokens.sql("UPDATE tokens SET expires_at = 'now' WHERE name = 'a'",
               "UPDATE tokens SET expires_at = datetime('now', '+1 hour')"
               " WHERE name = 'b'")
    assert tokens.value("SELECT strftime('%s', b.expires_at) -"
                        " strftime('%s', a.expires_at) FROM tokens AS a,"
                        " tokens AS b WHERE a.name = 'a' AND b.name = 'b'"
                        ) in (3599, 3600, 3601)


def key_bytes(key):
    assert key.startswith("whsec_")
    return base64.b64decode(key[6:], validate=True)


def test_the_database_makes_the_key_of_callbacks(tokens):
    tokens.sql(*(new_token(name=f"n{i}", secret=f"s{i}") for i in range(50)))
    keys = tokens.values("SELECT callback_key FROM tokens")
    assert {len(key_bytes(key)) for key in keys} == {24}
    assert len(set(keys)) == 53
    # No two keys agree in more places than chance has it.
    alike = sum(a == b for a, b in zip(keys[0][6:], keys[1][6:]))
    assert alike < 12


def test_a_key_that_is_set_null_is_made_anew(tokens):
    before = tokens.values("SELECT callback_key FROM tokens")
    tokens.sql("UPDATE tokens SET callback_key = NULL")
    after = tokens.values("SELECT callback_key FROM tokens")
    assert {len(key_bytes(key)) for key in after} == {24}
    assert len(set(before + after)) == 6


def test_a_key_that_is_given_is_kept(tokens):
    tokens.sql(change(callback_key="whsec_" + "A" * 32),
               new_token(callback_key="whsec_" + "B" * 32))
    keys = tokens.values("SELECT callback_key FROM tokens")
    assert {"whsec_" + "A" * 32, "whsec_" + "B" * 32} < set(keys)


# What goes with what.

RIGHTS = [origin("*"), target("ws://x"), channel("x"), callback("https://x")]


@pytest.mark.parametrize("foreign_keys", ["ON", "OFF"])
def test_rights_and_usage_go_with_their_token(tokens, foreign_keys):
    tokens.sql(*RIGHTS, *(s.replace("(1,", "(2,") for s in RIGHTS),
               "INSERT INTO token_usage (token_id, day) VALUES"
               " (1, '2030-01-01'), (2, '2030-01-01')",
               insert("sessions", SESSION))
    tokens.sql(f"PRAGMA foreign_keys = {foreign_keys}",
               "DELETE FROM tokens WHERE name = 'a'")
    for table in (*TOKEN_TABLES[1:], "token_usage"):
        assert tokens.values(f"SELECT token_id FROM {table}") == [2], table
    # Who was connected is still known.
    assert tokens.value("SELECT token_id FROM sessions") == 1
    assert tokens.sql("PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("foreign_keys", ["ON", "OFF"])
@pytest.mark.parametrize("table, pattern", [
    ("token_origins", "*"), ("token_targets", "ws://x"),
    ("token_channels", "x"), ("token_callbacks", "https://x")])
def test_rights_need_their_token(tokens, foreign_keys, table, pattern):
    row = insert(table, {"token_id": 99, "pattern": pattern})
    assert refused(tokens, f"PRAGMA foreign_keys = {foreign_keys}; {row}"
                   ) == NO_TOKEN


def test_the_id_of_a_token_is_not_used_again(tokens):
    tokens.sql("DELETE FROM tokens WHERE name = 'anonymous'",
               "INSERT INTO tokens (name) VALUES ('anonymous')")
    assert tokens.value("SELECT id FROM tokens WHERE name = 'anonymous'") == 4


@pytest.mark.parametrize("change_it", [
    new_token(), change(note="x"), change(secret="x"),
    "DELETE FROM tokens WHERE id = 2", "DELETE FROM tokens",
    *RIGHTS,
    "UPDATE token_origins SET pattern = 'null'",
    "UPDATE token_targets SET pattern = 'ws://other'",
    "UPDATE token_channels SET may_emit = 1",
    "UPDATE token_callbacks SET pattern = 'https://other'",
    "DELETE FROM token_origins", "DELETE FROM token_targets",
    "DELETE FROM token_channels", "DELETE FROM token_callbacks",
])
def test_the_revision_rises_with_every_change(tokens, change_it):
    if change_it not in RIGHTS:
        tokens.sql(*RIGHTS)
    before = tokens.value("SELECT revision FROM policy")
    tokens.sql(change_it)
    assert tokens.value("SELECT revision FROM policy") > before


@pytest.mark.parametrize("change_it", [
    insert("sessions", SESSION), "UPDATE sessions SET close_requested = 1",
    "INSERT INTO token_usage (token_id, day) VALUES (1, '2030-01-01')",
    "UPDATE tokens SET note = 'x' WHERE name = 'nobody'",
])
def test_the_revision_stays_without_a_change(tokens, change_it):
    before = tokens.value("SELECT revision FROM policy")
    tokens.sql(change_it)
    assert tokens.value("SELECT revision FROM policy") == before


# Views.

def session(name, **columns):
    return insert("sessions", {**SESSION, "id": name, **columns})


def test_live_sessions_shows_who_is_connected(tokens):
    tokens.sql(
        session("x-2", opened_at="2020-01-01 00:00:02", agent="tests",
                origin="https://page", messages_up=1, messages_down=2,
                bytes_up=3, bytes_down=4),
        session("x-1", opened_at="2020-01-01 00:00:01", token_id=99),
        session("x-0", closed_at="2020-01-01 00:00:05"))
    first, second = tokens.sql("SELECT * FROM live_sessions")
    # A token that was deleted a moment ago hides nobody.
    assert (first["id"], first["token"]) == ("x-1", None)
    age = second.pop("age_s")
    assert second == {
        "id": "x-2", "kind": "relay", "token": "a", "subject": "ws://x/",
        "origin": "https://page", "remote_addr": "127.0.0.1",
        "agent": "tests", "opened_at": "2020-01-01 00:00:02",
        "messages_up": 1, "messages_down": 2, "bytes_up": 3, "bytes_down": 4,
        "node": "a"}
    assert abs(age - tokens.value("SELECT strftime('%s', 'now') -"
                                  " strftime('%s', '2020-01-01 00:00:02')")
               ) <= 1


def test_token_overview_shows_each_limit_beside_its_use(tokens):
    now = tokens.value("SELECT datetime('now')")
    usage = dict(zip(("creates", "refused", *DIRECTIONS), range(1, 7)))
    tokens.sql(
        change(**dict(zip(LIMITS, range(10, 16))), note="mine",
               expires_at="2030-01-01"),
        origin("https://x"), origin("null"), target("ws://x"),
        channel("news"), callback("https://x/*"),
        authorization(), authorization(socket_id="b" * 32, client="you"),
        insert("token_usage", {"token_id": 1, "day": now[:10], **usage}),
        insert("token_usage", {"token_id": 1, "day": "2020-01-01",
                               **dict.fromkeys(usage, 1000)}),
        session("x-1", opened_at=now),
        session("x-2", opened_at=now, closed_at=now),
        session("x-3"), session("x-4", opened_at=now, token_id=2))
    a, anonymous, b = tokens.sql("SELECT * FROM token_overview")
    assert a == {
        "id": 1, "name": "a", "enabled": 1, "admin": 0,
        "expires_at": "2030-01-01 00:00:00",
        "sockets": 2, "max_sockets": 10,
        "creates_last_minute": 3 if SESSION["opened_at"] > now else 2,
        "max_creates_per_minute": 11,
        "messages_today": 7, "max_messages_per_day": 12,
        "bytes_today": 11, "max_bytes_per_day": 13,
        "max_message_bytes": 14, "max_queue_bytes": 15,
        "origins": "https://x null", "targets": "ws://x", "channels": "news",
        "callbacks": "https://x/*", "authorizations": 2, "note": "mine"}
    assert (b["sockets"], b["creates_last_minute"]) == (1, 1)
    assert anonymous == {
        **dict.fromkeys(VIEWS["token_overview"]), "id": 3,
        "name": "anonymous", "enabled": 1, "admin": 0, "sockets": 0,
        "creates_last_minute": 0, "messages_today": 0, "bytes_today": 0,
        "authorizations": 0, "note": ""}


def test_usage_by_day_shows_the_last_day_first(tokens):
    for day, token in (("2030-01-01", 2), ("2030-01-02", 2),
                       ("2030-01-02", 1)):
        tokens.sql(insert("token_usage", {
            "token_id": token, "day": day, "creates": 1, "refused": 2,
            "messages_up": 3, "messages_down": 4, "bytes_up": 5,
            "bytes_down": 6}))
    rows = tokens.sql("SELECT * FROM usage_by_day")
    assert [(row["day"], row["token"]) for row in rows] == [
        ("2030-01-02", "a"), ("2030-01-02", "b"), ("2030-01-01", "b")]
    assert {tuple(row[name] for name in ("creates", "refused", *DIRECTIONS))
            for row in rows} == {(1, 2, 3, 4, 5, 6)}


def test_authorization_overview_counts_live_sessions(tokens):
    mine = {"kind": "application", "subject": "me"}
    tokens.sql(authorization(client="you"),
               authorization(token_id=2, socket_id="b" * 32, events=1),
               authorization(socket_id="c" * 32),
               session("a-1", **mine), session("a-2", **mine),
               session("a-3", closed_at="2030-01-01 00:00:01", **mine),
               session("a-4", subject="me"), session("a-5", token_id=2))
    rows = tokens.sql("SELECT * FROM authorization_overview")
    assert [(row["application"], row["client"], row["socket_id"][:1],
             row["events"], row["sessions"]) for row in rows] == [
        ("a", "me", "c", 0, 2), ("a", "you", "a", 0, 0),
        ("b", "me", "b", 1, 0)]
    assert {row["expires_at"] for row in rows} == {None}


def test_outbox_overview_shows_what_waits_and_what_is_dead(tokens):
    tokens.sql(
        call(body='"1"'), call(number=2), call(number=3),
        call(session="a-2", number=4, client="you", token_id=9,
             accepted_at="2030-01-01 00:00:00.122"),
        "UPDATE outbox SET attempts = attempts + 1, last_error = 'first'"
        " WHERE number = 1",
        "UPDATE outbox SET attempts = attempts + 1, last_error = 'second',"
        " state = 'dead' WHERE number = 2")
    assert tokens.sql("SELECT * FROM outbox_overview") == [
        {"application": None, "client": "you", "ready": 1, "dead": 0,
         "bytes": 2, "oldest": "2030-01-01 00:00:00.122", "attempts": 0,
         "last_error": None},
        {"application": "a", "client": "me", "ready": 2, "dead": 1,
         "bytes": 7, "oldest": CALL["accepted_at"], "attempts": 1,
         "last_error": "second"}]


def test_a_row_that_is_made_ready_is_tried_from_now_on(tokens):
    tokens.sql(call(), call(number=2), call(session="a-2"),
               "UPDATE outbox SET attempts = attempts + 1, state = 'dead',"
               " last_error = 'no' WHERE session = 'a-1'",
               "UPDATE outbox SET state = 'ready' WHERE state = 'dead'")
    rows = tokens.sql("SELECT state, attempts, last_error, retry_since"
                      " FROM outbox")
    now = tokens.value("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
    for row in rows[:2]:
        since = row.pop("retry_since")
        assert re.fullmatch(r"[\d-]{10} [\d:]{8}\.\d{3}", since)
        assert "2026" < since <= now
        assert row == {"state": "ready", "attempts": 0, "last_error": ""}
    assert rows[2]["retry_since"] is None
    assert tokens.sql("SELECT kind, name FROM application_changes") == [
        {"kind": "lane", "name": "a-1"}]


def test_changes_of_authorizations_are_noted_once_each(tokens):
    tokens.sql(authorization(), authorization(socket_id="b" * 32, client="b"),
               "UPDATE authorizations SET events = 1 WHERE client = 'me'",
               "DELETE FROM authorizations WHERE client = 'b'")
    changes = tokens.sql("SELECT * FROM application_changes")
    assert [(row["id"], row["name"]) for row in changes] == [
        (3, AUTHORIZATION["socket_id"]), (4, "b" * 32)]


@pytest.mark.parametrize("foreign_keys", ["ON", "OFF"])
def test_authorizations_go_with_their_token_and_callbacks_stay(
        tokens, foreign_keys):
    tokens.sql(authorization(), call(),
               authorization(token_id=2, socket_id="b" * 32),
               "DELETE FROM application_changes")
    tokens.sql(f"PRAGMA foreign_keys = {foreign_keys}",
               "DELETE FROM tokens WHERE id = 1")
    assert tokens.values("SELECT socket_id FROM authorizations") == ["b" * 32]
    assert tokens.values("SELECT state FROM outbox") == ["ready"]
    assert tokens.values("SELECT name FROM application_changes") == [
        AUTHORIZATION["socket_id"]]


def test_views_are_for_reading(tokens):
    for view in VIEWS:
        assert refused(tokens, f"DELETE FROM {view}") == (
            f"cannot modify {view} because it is a view")
