"""What the schema refuses, with which sentence, and what it takes."""

import re

import pytest

from database import SCHEMA, insert, quote
from schema import (
    EXPIRES, FLAGS, LIMITS, NO_TOKEN, SAME_SECRET, SESSION, UNIQUE_NAME,
    authorization, call, callback, change, channel, new_token, origin,
    refused, target)

NAME = "a name has 1 to 64 characters, none of them a control character"
SECRET = ("a secret has 1 to 128 characters, all of them printable ASCII"
          " without space")
NEEDS_SECRET = "a token needs a secret; only anonymous has none"
NO_SECRET = "the token anonymous has no secret"
SAME_NAME = "there is a token of that name"
CREATED = "created_at is a time in UTC such as 2030-12-31 23:59:59"
KEY = "callback_key is whsec_ followed by base64 of 24 to 64 bytes"
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


def renewed(**columns):
    """One that is there, changed."""
    return authorization() + "; UPDATE authorizations SET " + ", ".join(
        f"{name} = {quote(value)}" for name, value in columns.items())


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
