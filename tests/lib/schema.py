"""The tables, and statements of an administrator, for tests of the schema."""

import hashlib
import re

import pytest

from database import SqlError, insert, quote

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
SESSION = {"id": "a-1", "kind": "relay", "token_id": 1, "node": "a",
           "subject": "ws://x/", "origin": "", "remote_addr": "127.0.0.1",
           "agent": "", "opened_at": "2030-01-01 00:00:00"}
AUTHORIZATION = {"socket_id": "abcdefghijklmnopqrstuvwxyz234567",
                 "token_id": 1, "client": "me", "callback": "https://x/y"}
CALL = {"session": "a-1", "number": 1, "token_id": 1, "client": "me",
        "callback": "https://x/y", "body": "{}",
        "accepted_at": "2030-01-01 00:00:00.123"}

# What it says of nonsense.
SAME_SECRET = "another token has this secret"
UNIQUE_NAME = "UNIQUE constraint failed: tokens.name"
EXPIRES = "expires_at is no time in UTC such as 2030-12-31 23:59:59"
NO_TOKEN = "there is no token with this token_id"


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


def authorization(**columns):
    return insert("authorizations", {**AUTHORIZATION, **columns})


def call(**columns):
    return insert("outbox", {**CALL, **columns})


def sha3(secret):
    return hashlib.sha3_256(secret.encode("ascii")).hexdigest().upper()


def hash_of(database, name):
    return database.value("SELECT hex(secret_hash) AS hash FROM tokens"
                          f" WHERE name = {quote(name)}")
