"""The database by itself, as the sqlite3 program makes and keeps it."""

import base64
import hashlib
import random
import re
import secrets
import shutil
import subprocess

import pytest

from database import SCHEMA, Database, SqlError, insert, quote

UPGRADE = sorted((SCHEMA.parent / "upgrade").glob("*.sql"))
TOKEN_TABLES = ("tokens", "token_origins", "token_targets", "token_channels",
                "token_callbacks")
DIRECTIONS = ("messages_up", "messages_down", "bytes_up", "bytes_down")
LIMITS = ("max_sockets", "max_creates_per_minute", "max_messages_per_day",
          "max_bytes_per_day", "max_message_bytes", "max_queue_bytes")
FLAGS = ("enabled", "admin", "allow_no_origin", "publish_auth",
         "sockjs_websocket", "sockjs_cookie")

COLUMNS = {
    "tokens": [
        "id", "name", "secret", "secret_hash", "enabled", "admin",
        "allow_no_origin", "expires_at", "note", "created_at", *LIMITS,
        "callback_key", "publish_auth", "sockjs_websocket", "sockjs_cookie"],
    "token_origins": ["token_id", "pattern"],
    "token_targets": ["token_id", "pattern"],
    "token_channels": ["token_id", "pattern", "may_emit", "may_listen"],
    "token_callbacks": ["token_id", "pattern"],
    "policy": ["revision"],
    "bridges": ["tag", "node", "pid", "socket", "version", "started_at",
                "commits"],
    "token_usage": ["token_id", "day", "creates", "refused", *DIRECTIONS],
    "sessions": [
        "id", "kind", "token_id", "node", "subject", "origin", "remote_addr",
        "agent", "opened_at", "closed_at", "close_code", "close_reason",
        *DIRECTIONS, "close_requested"],
    "channel_events": ["id", "channel", "number", "event_id", "payload",
                       "sent_at"],
    "authorizations": ["socket_id", "token_id", "client", "callback",
                       "events", "created_at", "renewed_at", "expires_at"],
    "outbox": ["id", "session", "number", "token_id", "client", "callback",
               "body", "state", "attempts", "last_error", "accepted_at",
               "retry_since"],
    "application_changes": ["id", "kind", "name", "changed_at"],
}
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


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return Database.create(tmp_path_factory.mktemp("schema") / "t.db").path


@pytest.fixture
def database(template, tmp_path):
    """A new one."""
    return Database(shutil.copy(template, tmp_path / "x.db"))


@pytest.fixture
def tokens(database):
    """With the tokens 1 (a), 2 (b) and 3 (anonymous)."""
    database.sql("INSERT INTO tokens (name, secret) VALUES ('a', 'secret-a'),"
                 " ('b', 'secret-b')",
                 "INSERT INTO tokens (name) VALUES ('anonymous')")
    return database


def refused(database, statement):
    """The sentence with which the database refuses it."""
    before = everything(database)
    with pytest.raises(SqlError) as error:
        database.sql(statement)
    assert everything(database) == before, "half of it was done"
    said = re.fullmatch(
        r"Error: (?:stepping, |in prepare, )?(.*?)(?: \(19\))?\n",
        str(error.value), re.DOTALL)
    return said[1].removeprefix("CHECK constraint failed: ")


def everything(database):
    return [database.sql(f"SELECT * FROM {table}") for table in COLUMNS]


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


SESSION = {"id": "a-1", "kind": "relay", "token_id": 1, "node": "a",
           "subject": "ws://x/", "origin": "", "remote_addr": "127.0.0.1",
           "agent": "", "opened_at": "2030-01-01 00:00:00"}


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


# What makes no sense is refused, and the sentence says why.

NAME = "a name has 1 to 64 characters, none of them a control character"
SECRET = ("a secret has 1 to 128 characters, all of them printable ASCII"
          " without space")
NEEDS_SECRET = "a token needs a secret; only anonymous has none"
NO_SECRET = "the token anonymous has no secret"
SAME_SECRET = "another token has this secret"
SAME_NAME = "there is a token of that name"
UNIQUE_NAME = "UNIQUE constraint failed: tokens.name"
EXPIRES = "expires_at is no time in UTC such as 2030-12-31 23:59:59"
CREATED = "created_at is a time in UTC such as 2030-12-31 23:59:59"
KEY = "callback_key is whsec_ followed by base64 of 24 to 64 bytes"
NO_TOKEN = "there is no token with this token_id"
TARGET = "the pattern of a target begins with ws://, wss:// or *://"
CALLBACK = "the pattern of a callback begins with http://, https:// or *://"
ORIGIN = ("the pattern of an origin is *, null, or begins with a scheme such"
          " as https:// or with *://")
SPACES = "a pattern has no spaces and no control characters"
HOST = ("the host of a pattern is a name, an address, an IPv6 address in"
        " brackets, *.name or *")
STAR = "a * in the host stands alone or for the first labels, as in" \
       " *.example.com"
LABELS = ("a * in the host stands for labels of a name, not for parts of an"
          " address")
V6 = "what is in brackets is no IPv6 address"
PORT = "the port of a pattern is 1 to 65535 or *"
CHANNEL = ("a channel pattern has 1 to 128 bytes, no control character, and"
           " a * at its end only")
ONE_ROW = "policy has one row"
SOCKET_ID = "a socket id has 32 characters from a to z and 2 to 7"
CLIENT = "a client has 1 to 128 bytes"
URL = ("a callback is a URL of http or https without spaces and fragment, of"
       " at most 2048 bytes")
FIXED = "of an authorization its callback, events and expires_at may be" \
        " changed"
ONLY_STATE = "of a row of the outbox only its state may be changed"
DEAD = ("a row of the outbox becomes dead when it was tried for too long;"
        " delete what is not to be sent")


def new_token(**columns):
    return insert("tokens", {"name": "n", "secret": "s", **columns})


def change(**columns):
    return "UPDATE tokens SET " + ", ".join(
        f"{name} = {quote(value)}" for name, value in columns.items()
    ) + " WHERE name = 'a'"


def target(pattern):
    return insert("token_targets", {"token_id": 1, "pattern": pattern})


def origin(pattern):
    return insert("token_origins", {"token_id": 1, "pattern": pattern})


def callback(pattern):
    return insert("token_callbacks", {"token_id": 1, "pattern": pattern})


def channel(pattern, **columns):
    return insert("token_channels", {"token_id": 1, "pattern": pattern,
                                     **columns})


AUTHORIZATION = {"socket_id": "abcdefghijklmnopqrstuvwxyz234567",
                 "token_id": 1, "client": "me", "callback": "https://x/y"}
CALL = {"session": "a-1", "number": 1, "token_id": 1, "client": "me",
        "callback": "https://x/y", "body": "{}",
        "accepted_at": "2030-01-01 00:00:00.123"}


def authorization(**columns):
    return insert("authorizations", {**AUTHORIZATION, **columns})


def renewed(**columns):
    """One that is there, changed."""
    return authorization() + "; UPDATE authorizations SET " + ", ".join(
        f"{name} = {quote(value)}" for name, value in columns.items())


def call(**columns):
    return insert("outbox", {**CALL, **columns})


def tried(**columns):
    """One that has failed once, changed."""
    return (call() + "; UPDATE outbox SET attempts = 1, last_error = 'no'"
            "; UPDATE outbox SET " + ", ".join(
                f"{name} = {quote(value)}" for name, value in columns.items()))


NONSENSE = [
    # Names.
    (new_token(name=""), NAME),
    (new_token(name="x" * 65), NAME),
    (new_token(name="a\nb"), NAME),
    (new_token(name="a\x7f"), NAME),
    ("INSERT INTO tokens (name, secret) VALUES ('a' || char(0), 's')", NAME),
    (new_token(name="a"), UNIQUE_NAME),
    (new_token(name=None), "NOT NULL constraint failed: tokens.name"),
    (new_token(name=b"n"),
     "cannot store BLOB value in TEXT column tokens.name"),
    (change(name=""), NAME),
    (change(name="b"), SAME_NAME),
    ("UPDATE tokens SET name = 'same'", SAME_NAME),
    ("UPDATE OR REPLACE" + change(name="b")[6:], SAME_NAME),
    # Ids.
    (new_token(id=1), "there is a token with this id"),
    ("REPLACE" + new_token(id=1)[6:], "there is a token with this id"),
    (new_token(id=0), "id is positive"),
    (new_token(id=-1), "id is positive"),
    (change(id=7), "the id of a token does not change"),
    # Secrets.
    (new_token(secret=""), SECRET),
    (new_token(secret="x" * 129), SECRET),
    (new_token(secret="two words"), SECRET),
    (new_token(secret="line\n"), SECRET),
    (new_token(secret="\x7f"), SECRET),
    (new_token(secret="\N{LATIN SMALL LETTER E WITH ACUTE}"), SECRET),
    ("INSERT INTO tokens (name, secret) VALUES ('n', 's' || char(0))", SECRET),
    (new_token(secret=b"s"),
     "cannot store BLOB value in TEXT column tokens.secret"),
    (new_token(secret="secret-a"), SAME_SECRET),
    (new_token(secret=None), NEEDS_SECRET),
    (new_token(name="Anonymous", secret=None), NEEDS_SECRET),
    (new_token(name="anonymous"), NO_SECRET),
    (change(secret=""), SECRET),
    (change(secret="secret-b"), SAME_SECRET),
    (change(secret_hash=None), NEEDS_SECRET),
    (change(secret_hash=b"short"), "secret_hash is a blob of 32 bytes"),
    (change(secret_hash="x" * 32),
     "cannot store TEXT value in BLOB column tokens.secret_hash"),
    (change(name="anonymous"), NO_SECRET),
    ("UPDATE tokens SET secret = 'x' WHERE name = 'anonymous'", NO_SECRET),
    ("UPDATE tokens SET secret_hash = sha3('x', 256)"
     " WHERE name = 'anonymous'", NO_SECRET),
    ("UPDATE tokens SET name = 'x' WHERE name = 'anonymous'", NEEDS_SECRET),
    ("INSERT INTO tokens (name, secret_hash) SELECT 'c', secret_hash"
     " FROM tokens WHERE name = 'a'", SAME_SECRET),
    ("REPLACE INTO tokens (name, secret_hash) SELECT 'c', secret_hash"
     " FROM tokens WHERE name = 'a'", SAME_SECRET),
    ("UPDATE OR REPLACE tokens SET secret_hash = sha3('secret-b', 256)"
     " WHERE name = 'a'", SAME_SECRET),
    ("PRAGMA secure_delete = OFF; " + new_token(),
     "the secret would stay readable in the file: say PRAGMA secure_delete ="
     " ON first"),
    ("PRAGMA secure_delete = OFF; " + change(secret="x"),
     "the secret would stay readable in the file: say PRAGMA secure_delete ="
     " ON first"),
    # Times.
    *((new_token(expires_at=value), EXPIRES) for value in (
        "", "tomorrow", "+1 day", "12:00", "2030", "2030-13-01",
        "2030-01-01 25:00:00", "2030-02-31", "2030-02-30 12:00",
        1893456000, "1999-01-01")),
    (change(expires_at="never"), EXPIRES),
    *((change(created_at=value), CREATED) for value in (
        "", "yesterday", "2030-01-01", "2030-01-01T00:00:00")),
    (change(created_at=None), "NOT NULL constraint failed: tokens.created_at"),
    # Flags and limits.
    *((change(**{flag: value}), f"{flag} is 0 or 1")
      for flag in FLAGS for value in (2, -1)),
    *((change(**{flag: None}), f"NOT NULL constraint failed: tokens.{flag}")
      for flag in FLAGS),
    *((change(**{limit: -1}), f"{limit} is not negative")
      for limit in LIMITS),
    *((change(**{limit: "ten"}),
       f"cannot store TEXT value in INTEGER column tokens.{limit}")
      for limit in LIMITS),
    (change(max_sockets=1.5),
     "cannot store REAL value in INTEGER column tokens.max_sockets"),
    (change(note=None), "NOT NULL constraint failed: tokens.note"),
    ("UPDATE tokens SET max_socket = 1", "no such column: max_socket"),
    # Keys of callbacks.
    *((change(callback_key=value), KEY) for value in (
        "", "whsec_", "x" * 38, "whsec_" + "x" * 28, "whsec_" + "x" * 92,
        "whsec_" + "x" * 33, "whsec_" + "x" * 31 + "-", "WHSEC_" + "x" * 32,
        "whsec_" + "x" * 30 + "=x", "whsec_" + "x" * 29 + "===")),
    # Rights of nobody, twice, or without a pattern.
    *((insert(table, {"token_id": token, "pattern": pattern}), NO_TOKEN)
      for table, pattern in (("token_origins", "*"),
                             ("token_origins", "https://x"),
                             ("token_targets", "ws://x"),
                             ("token_callbacks", "https://x"),
                             ("token_channels", "x"))
      for token in (99, None)),
    *((f"{statement}; UPDATE {table} SET token_id = 99", NO_TOKEN)
      for table, statement in (("token_origins", origin("*")),
                               ("token_targets", target("ws://x")),
                               ("token_callbacks", callback("https://x")),
                               ("token_channels", channel("x")))),
    (target("ws://x") + "; " + target("ws://x"), "UNIQUE constraint failed:"
     " token_targets.token_id, token_targets.pattern"),
    (channel(None), "NOT NULL constraint failed: token_channels.pattern"),
    # Patterns of every kind.
    *((kind(scheme + rest), says)
      for kind, scheme in ((target, "ws"), (target, "*"), (origin, "https"),
                           (callback, "https"))
      for rest, says in (
          ("://", "a pattern needs a host"),
          (":///x", "a pattern needs a host"),
          ("://:80", "a pattern needs a host"),
          ("://[]", "a pattern needs a host"),
          ("://me@x", "a pattern has no user information"),
          ("://me:secret@x", "a pattern has no user information"),
          ("://x#", "a pattern has no fragment"),
          ("://x/#y", "a pattern has no fragment"),
          ("://a b", SPACES), ("://a\t", SPACES), ("://a\x7f", SPACES),
          ("://" + "x" * 1024, "a pattern has at most 1024 bytes"),
          ("://a?b", HOST), ("://a%41", HOST), ("://a\\b", HOST),
          ("://a{b}", HOST), ("://a[b]", HOST), ("://[::1", HOST),
          ("://1]", HOST), ("://a~b", HOST),
          ("://[a.b]", V6), ("://[x:y]", V6), ("://[::1::]", V6),
          ("://[1:2:3]", V6), ("://[::12345]", V6), ("://[::1.2.3]", V6),
          ("://[::1.2.3.256]", V6), ("://[fe80::1%eth0]", V6),
          ("://*.0.0.1", LABELS), ("://*.[::1]", LABELS),
          ("://" + "x" * 254, "the host of a pattern has at most 253"
           " characters"),
          ("://a*", STAR), ("://*a", STAR), ("://**", STAR), ("://*.*", STAR),
          ("://a.*.b", STAR), ("://*.", STAR), ("://*.a*", STAR),
          ("://.", "the host of a pattern has an empty label"),
          ("://.a", "the host of a pattern has an empty label"),
          ("://a..b", "the host of a pattern has an empty label"),
          ("://*..b", "the host of a pattern has an empty label"),
          ("://x:", PORT), ("://x:0", PORT), ("://x:65536", PORT),
          ("://x:-1", PORT), ("://x:+1", PORT), ("://x:http", PORT),
          ("://x:8x", PORT), ("://x:**", PORT), ("://x:*8", PORT),
          ("://x:18446744073709551696", PORT), ("://[::1]x", PORT))),
    ("INSERT INTO token_targets VALUES (1, 'ws://a' || char(0))", SPACES),
    *((target(value), TARGET) for value in (
        "", "*", "null", "x", "x:80", "ws:", "ws:/x", "//x", "://x",
        "http://x", "WS://x", "**://x")),
    *((callback(value), CALLBACK) for value in (
        "", "*", "x", "ws://x", "HTTP://x", "https:/x")),
    *((origin(value), ORIGIN) for value in (
        "", "**", "NULL", "x", "example.com", "x:80", "https:", "://x",
        "HTTPS://x", "ht_tps://x")),
    (origin("https://x/"), "an origin has no path"),
    (origin("https://x/*"), "an origin has no path"),
    (target("ws://x/a*b"), "a * in the path stands at its end"),
    (target("ws://x/**"), "a * in the path stands at its end"),
    (callback("https://x/*/y"), "a * in the path stands at its end"),
    *((statement + f"; UPDATE {table} SET pattern = 'x y'", says)
      for table, statement, says in (
          ("token_origins", origin("*"), SPACES),
          ("token_targets", target("ws://x"), SPACES),
          ("token_callbacks", callback("https://x"), SPACES))),
    # Channels.
    *((channel(value), CHANNEL) for value in (
        "", "x" * 129, "\N{EURO SIGN}" * 43, "a\nb", "a\x7f", "**", "*a",
        "a*b")),
    ("INSERT INTO token_channels (token_id, pattern) VALUES"
     " (1, 'a' || char(0))", CHANNEL),
    (channel("a", may_emit=2), "may_emit is 0 or 1"),
    (channel("a", may_listen=-1), "may_listen is 0 or 1"),
    (channel("a") + "; UPDATE token_channels SET pattern = '*a'", CHANNEL),
    # The revision of all this.
    ("INSERT INTO policy VALUES (1)", ONE_ROW),
    ("DELETE FROM policy", ONE_ROW),
    ("UPDATE policy SET revision = 1",
     "the revision of the policy only rises"),
    # Records.
    (insert("sessions", {**SESSION, "kind": "tea"}),
     "kind is relay, application or channel"),
    (insert("sessions", SESSION) + "; UPDATE sessions SET close_requested = 2",
     "close_requested is 0 or 1"),
    # Authorizations.
    *((authorization(socket_id=value), SOCKET_ID) for value in (
        "", "a" * 31, "a" * 33, "A" * 32, "a" * 31 + "1", "a" * 31 + "8",
        "a" * 31 + "\N{LATIN SMALL LETTER U WITH DIAERESIS}")),
    (authorization(socket_id=None),
     "NOT NULL constraint failed: authorizations.socket_id"),
    (authorization(token_id=9), NO_TOKEN),
    (authorization(client=""), CLIENT),
    (authorization(client="x" * 129), CLIENT),
    (authorization(client="\N{EURO SIGN}" * 43), CLIENT),
    *((authorization(callback=value), URL) for value in (
        "", "x", "http://", "ws://x/", "https:/x", "http://x/ y",
        "http://x/\n", "http://x/\x7f", "http://x/#y",
        "http://x/" + "y" * (2048 - 8))),
    (authorization(events=2), "events is 0 or 1"),
    *((authorization(**{name: "2030-12-31"}),
       f"{name} is a time in UTC such as 2030-12-31 23:59:59")
      for name in ("created_at", "renewed_at", "expires_at")),
    (authorization() + "; " + authorization(socket_id="b" * 32),
     "the client has another socket id"),
    (renewed(socket_id="b" * 32), FIXED),
    (renewed(token_id=2), FIXED),
    (renewed(client="you"), FIXED),
    (renewed(created_at="2030-12-31 23:59:59"), FIXED),
    (renewed(callback="x"), URL),
    (renewed(events=-1), "events is 0 or 1"),
    (renewed(expires_at="never"),
     "expires_at is a time in UTC such as 2030-12-31 23:59:59"),
    # The outbox.
    (call(number=0), "number is positive"),
    (call(state="tea"), "state is ready or dead"),
    (call(attempts=-1), "attempts is not negative"),
    (call() + "; " + call(),
     "UNIQUE constraint failed: outbox.session, outbox.number"),
    *((call() + f"; UPDATE outbox SET {name} = {name}", ONLY_STATE)
      for name in ("id", "session", "number", "token_id", "client",
                   "callback", "body", "accepted_at")),
    *((tried(**columns), ONLY_STATE) for columns in (
        {"attempts": 0}, {"attempts": 3}, {"last_error": ""},
        {"last_error": "tea"}, {"retry_since": "2030-01-01 00:00:00.000"},
        {"attempts": 2, "retry_since": "2030-01-01 00:00:00.000"})),
    (call() + "; UPDATE outbox SET state = 'dead'", DEAD),
    (tried(state="dead"), DEAD),
    (tried(state="tea"), "state is ready or dead"),
    ("INSERT INTO application_changes (kind, name) VALUES ('tea', 'x')",
     "kind is authorization or lane"),
]


@pytest.mark.parametrize("statement, says", [
    pytest.param(*row, id=re.sub(r"[^!-~]", "~", row[0])[:90])
    for row in NONSENSE])
def test_nonsense_is_refused_with_a_sentence(tokens, statement, says):
    assert refused(tokens, atomic(statement)) == says


def atomic(statements):
    """As one transaction, so that what comes first is undone as well."""
    if statements.startswith("PRAGMA") or ";" not in statements:
        return statements
    return f"BEGIN; {statements}; COMMIT"


def test_every_sentence_of_the_schema_is_provoked_here():
    text = SCHEMA.read_text(encoding="utf-8")
    sentences = (re.findall(r"RAISE\(ABORT, '(.*?)'\)", text)
                 + re.findall(r'CONSTRAINT "(.*?)"', text))
    assert set(sentences) <= {says for _, says in NONSENSE}


def test_a_statement_that_is_refused_changes_nothing(tokens):
    # Four rows, of which the last is wrong.
    assert refused(tokens, "INSERT INTO token_targets VALUES (1, 'ws://a'),"
                   " (1, 'ws://b'), (2, 'ws://a'), (2, 'nothing')") == TARGET
    assert tokens.sql("SELECT * FROM token_targets") == []


SENSE = [
    new_token(name="x" * 64), new_token(name="\N{EURO SIGN}" * 64),
    new_token(name="two words, 'quoted'; --"),
    new_token(secret="x" * 128), new_token(secret="!~'\"\\%_"),
    new_token(id=77),
    new_token(**dict.fromkeys(LIMITS, 0)),
    new_token(**dict.fromkeys(LIMITS, 2**63 - 1)),
    new_token(**dict.fromkeys(LIMITS, "10")),
    new_token(**dict.fromkeys(FLAGS, 0)), new_token(**dict.fromkeys(FLAGS, 1)),
    new_token(callback_key="whsec_" + "A+/9" * 8),
    new_token(callback_key="whsec_" + "A" * 86 + "=="),
    new_token(note="x" * 100000),
    change(name="c"), change(name="a"), change(secret="other"),
    change(id=1), change(secret=None), change(secret="secret-a"),
    change(expires_at=None),
    *(target(f"{scheme}://{rest}") for scheme in ("ws", "wss", "*")
      for rest in (
          "x", "X.Example", "x.", "127.0.0.1", "[::1]", "[::ffff:1.2.3.4]:*",
          "*", "*.example.com", "x:1", "x:65535", "x:*", "x/", "x/*",
          "x/a?b*", "*:*/a/b*", "m\N{LATIN SMALL LETTER U WITH DIAERESIS}x")),
    target("ws://" + "x" * 253), target("ws://*." + "x" * 253),
    target("ws://x/" + "x" * (1024 - 7)),
    *map(origin, ("*", "null", "https://x", "https://*.x:*", "*://x:8080",
                  "moz-extension://0a1b", "*://*:*", "http://[::1]:80")),
    *map(callback, ("https://x/y*", "http://x:*", "*://*.x/", "*://*:*/*")),
    *map(channel, ("x", "*", "chat-*", "x" * 128, "a b",
                   "\N{EURO SIGN}" * 42)),
    channel("x", may_emit=1, may_listen=0),
    "UPDATE policy SET revision = revision + 1",
    authorization(client="x" * 128), authorization(client="\t"),
    authorization(callback="HTTP://x/" + "y" * (2048 - 9)),
    authorization(expires_at="2030-12-31 23:59:59", events=1),
    renewed(callback="http://x", events=1,
            expires_at="2030-12-31 23:59:59"),
    renewed(expires_at=None),
    # What the bridge does, and then the administrator.
    call() + "; UPDATE outbox SET attempts = attempts + 1, last_error = 'no'",
    tried(attempts=2, last_error="no", state="dead"),
    tried(last_error="410 Gone", state="dead")
    + "; UPDATE outbox SET state = 'ready'",
    tried(state="ready"), call() + "; DELETE FROM outbox",
]


@pytest.mark.parametrize("statement", [
    pytest.param(row, id=re.sub(r"[^!-~]", "~", row)[:90]) for row in SENSE])
@pytest.mark.parametrize("recursive", ["OFF", "ON"])
def test_what_makes_sense_is_taken(tokens, statement, recursive):
    tokens.sql(f"PRAGMA recursive_triggers = {recursive}", statement)
    assert tokens.value("PRAGMA integrity_check") == "ok"


# Secrets.

def sha3(secret):
    return hashlib.sha3_256(secret.encode("ascii")).hexdigest().upper()


def hash_of(database, name):
    return database.value("SELECT hex(secret_hash) AS hash FROM tokens"
                          f" WHERE name = {quote(name)}")


def test_a_secret_becomes_its_hash(tokens):
    assert tokens.values("SELECT DISTINCT secret FROM tokens") == [None]
    assert hash_of(tokens, "a") == sha3("secret-a")
    assert hash_of(tokens, "b") == sha3("secret-b")
    assert tokens.value("SELECT secret_hash FROM tokens"
                        " WHERE name = 'anonymous'") is None


def test_a_changed_secret_becomes_its_hash(tokens):
    tokens.sql("UPDATE tokens SET secret = 'other', note = 'changed'"
               " WHERE name = 'a'")
    assert tokens.row("SELECT secret, note FROM tokens WHERE name = 'a'") == {
        "secret": None, "note": "changed"}
    assert hash_of(tokens, "a") == sha3("other")


def test_a_number_as_a_secret_is_its_digits(database):
    database.sql("INSERT INTO tokens (name, secret) VALUES ('n', 1234)")
    assert hash_of(database, "n") == sha3("1234")


def test_returning_shows_a_secret_once(tokens):
    made = "INSERT INTO tokens (name, secret) VALUES ('c'," \
           " lower(hex(randomblob(16)))) RETURNING secret"
    secret = tokens.value(made)
    assert re.fullmatch("[0-9a-f]{32}", secret)
    assert hash_of(tokens, "c") == sha3(secret)
    changed = tokens.value("UPDATE tokens SET secret = 'seen-once'"
                           " WHERE name = 'c' RETURNING secret")
    assert changed == "seen-once"
    assert hash_of(tokens, "c") == sha3("seen-once")
    assert tokens.value("SELECT secret FROM tokens WHERE name = 'c'") is None


def test_a_hash_may_be_copied_from_another_database(database):
    database.sql("INSERT INTO tokens (name, secret_hash) VALUES"
                 f" ('c', x'{sha3('copied')}')")
    assert hash_of(database, "c") == sha3("copied")


def test_a_secret_that_is_gone_may_be_given_again(tokens):
    tokens.sql("DELETE FROM tokens WHERE name = 'a'",
               "INSERT INTO tokens (name, secret) VALUES ('c', 'secret-a')",
               "UPDATE tokens SET secret = 'x' WHERE name = 'c'",
               "INSERT INTO tokens (name, secret) VALUES ('a', 'secret-a')")
    assert hash_of(tokens, "a") == sha3("secret-a")


@pytest.mark.parametrize("ending", ["close", "kill"])
@pytest.mark.parametrize("secure_delete", ["ON", "FAST"])
def test_no_secret_stays_in_the_file_or_its_log(database, ending,
                                                secure_delete):
    # Among rows of all sizes, so that pages are split and reused.
    choose = random.Random(1)
    given = []

    def secret():
        given.append("Plain" + secrets.token_hex(choose.randint(8, 60)))
        return given[-1]

    with database.shell() as shell:
        shell.run(f"PRAGMA secure_delete = {secure_delete}")
        for i in range(200):
            note = "n" * choose.choice([0, 10, 300, 5000])
            statements = [insert("tokens", {
                "name": f"t{i}", "secret": secret(), "note": note})]
            if i % 3 == 0:
                statements.append(
                    f"UPDATE tokens SET secret = '{secret()}', note = 'u'"
                    f" WHERE name = 't{choose.randint(0, i)}'")
            if i % 7 == 0:
                statements.append("DELETE FROM tokens WHERE name ="
                                  f" 't{choose.randint(0, i)}'")
            # Refused, but only after it was written for a moment.
            statements.append(insert("tokens", {
                "name": "x", "secret": secret(), "expires_at": "never"}))
            if i % 10 == 0:
                statements = ["BEGIN", *statements, "COMMIT"]
            said = shell.run(";\n".join(statements))
            assert re.fullmatch(rf"Runtime error .*: {EXPIRES} \(19\)\n", said)
        assert (database.path.parent / "x.db-wal").stat().st_size > 0
        assert b"Plain" not in database.files()
        getattr(shell, ending)()
    assert b"Plain" not in database.files()
    assert database.value("SELECT count(*) FROM tokens") > 100
    assert b"Plain" not in database.files()


def test_no_secret_stays_when_sqlite3_dies_within_a_transaction(database):
    with database.shell() as shell:
        shell.run("BEGIN; " + new_token(secret="PlainSecret"))
        assert b"PlainSecret" not in database.files()
        shell.kill()
    assert b"PlainSecret" not in database.files()
    assert database.sql("SELECT * FROM tokens") == []


def test_the_file_would_show_a_secret_that_is_kept(database):
    # That the tests above look in the right place.
    with database.shell() as shell:
        shell.run("DROP TRIGGER tokens_hash_inserted; "
                  + new_token(secret="PlainSecret"))
        assert b"PlainSecret" in database.files()


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
