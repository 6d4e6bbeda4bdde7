#!/usr/bin/python3
"""A small chat behind polysocket: `CHAT_CONFIG=chat.ini chat.py [PORT]`.

GET / is the page, POST / signs in, POST /callback is what polysocket tells us:
who comes and goes, and what people say. Standard library only.
"""

import configparser
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import secrets
import sqlite3
import sys
import time
import urllib.parse

FOLDER = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(FOLDER))

from verify import verify_callback      # noqa: E402

AWAY_S = 30             # how long a name is kept for who has lost connection
BODY_BYTES = 1 << 20    # the largest request that is read
TEXT_BYTES = 4000       # that somebody may say at once
LINES_KEPT = 1000
LINES_TOLD = 20         # to whom connects
FILES = {"/": ("page.html", "text/html; charset=utf-8"),
         "/sockjs.min.js": ("sockjs.min.js", "text/javascript")}


class Refusal(Exception):
    """Is answered with a status and a sentence."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"   # polysocket keeps its connections
    timeout = 60

    def do_GET(self):
        name, kind = FILES.get(self.path.partition("?")[0], (None, None))
        if name is None:
            self.answer({"error": "there is nothing here"}, 404)
        else:
            self.send(200, kind, (FOLDER / "chat" / name).read_bytes())

    def do_POST(self):
        try:
            size = int(self.headers.get("Content-Length", ""))
            if not 0 <= size <= BODY_BYTES:
                raise ValueError
        except ValueError:
            self.close_connection = True
            return self.answer({"error": "how long is that?"}, 413)
        body = self.rfile.read(size)
        try:
            with contextlib.closing(Chat(self.server.settings)) as chat:
                if self.path == "/callback":
                    self.answer(chat.take_callback(self.headers, body))
                else:
                    self.answer(chat.sign_in(body))
        except Refusal as refusal:
            self.answer({"error": str(refusal)}, refusal.status)
        except Exception as error:  # and polysocket posts it again
            self.log_error("%r", error)
            self.answer({"error": "that went wrong, try again"}, 500)

    def answer(self, reply, status=200):
        self.send(status, "application/json", json.dumps(reply).encode())

    def send(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", len(body))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


class Chat:
    """For one request: its connection to the database is its thread's own."""

    def __init__(self, settings):
        self.settings = settings
        # Each statement is a transaction; seconds to wait for a lock.
        self.database = sqlite3.connect(settings["database"], timeout=10,
                                        isolation_level=None)
        self.database.row_factory = sqlite3.Row
        self.database.executescript(
            (FOLDER / "chat/chat.sql").read_text("utf-8"))

    def close(self):
        self.database.close()

    # Signing in.

    def sign_in(self, body):
        try:
            name = json.loads(body)["name"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Refusal(400, "that is no JSON object with a name") from None
        if not (isinstance(name, str)
                and re.fullmatch(r"[^\W_][\w .-]{0,19}", name)):
            raise Refusal(400, "a name has up to 20 letters and digits")
        self.forget_people()
        if self.one("SELECT 1 FROM people WHERE name = ?", name):
            raise Refusal(409, "somebody of that name is here")
        # A name for polysocket that says nothing and never comes again.
        client = secrets.token_hex(16)
        authorized = self.polysocket("POST", self.authorize_path(client), {
            "callback": self.settings["callback"], "events": True})
        self.query("INSERT INTO people (client, name, socket_id, since) "
                   "VALUES (?, ?, ?, ?)", client, name,
                   authorized["socket_id"], int(time.time()))
        return {"url": self.settings["polysocket"] + "/"
                + authorized["socket_id"]}

    def forget_people(self):
        """Who has left, or never came, makes room for the name."""
        for client in self.column(
                "SELECT client FROM people WHERE since < ? AND NOT EXISTS "
                "(SELECT 1 FROM sessions WHERE sessions.client = "
                "people.client)", int(time.time()) - AWAY_S):
            self.polysocket("DELETE", self.authorize_path(client))
            self.query("DELETE FROM people WHERE client = ?", client)

    # Callbacks. An answer of 200 is the end of one. Anything else, and that
    # is any exception too, has polysocket post it again; so all of this may
    # happen twice.

    def take_callback(self, headers, body):
        webhook_id = headers.get("webhook-id", "")
        if not verify_callback(self.settings["callback_key"], webhook_id,
                               headers.get("webhook-timestamp", ""),
                               headers.get("webhook-signature", ""), body):
            raise Refusal(401, "the signature is wrong or old")
        callback = json.loads(body)
        client, session = callback["client"], callback["session"]
        name = self.one("SELECT name FROM people WHERE client = ?", client)
        if name is None:
            # And polysocket forgets it too.
            raise Refusal(410, "nobody we know")
        if callback.get("event") == "connected":
            return self.connected(webhook_id, client, name, session)
        if callback.get("event") == "disconnected":
            return self.disconnected(webhook_id, client, name, session)
        return self.said(webhook_id, name, callback["message"])

    def connected(self, webhook_id, client, name, session):
        """The reply goes to this session alone: what it has missed, and who
        is here."""
        self.query("INSERT OR IGNORE INTO sessions (session, client) "
                   "VALUES (?, ?)", session, client)
        if self.sessions_of(client) == 1:
            self.tell_all(self.keep(webhook_id, "joined", name))
        return {"messages": [*self.last_lines(),
                             {"here": self.who_is_here()}]}

    def disconnected(self, webhook_id, client, name, session):
        self.query("DELETE FROM sessions WHERE session = ?", session)
        self.query("UPDATE people SET since = ? WHERE client = ?",
                   int(time.time()), client)
        if self.sessions_of(client) == 0:
            self.tell_all(self.keep(webhook_id, "left", name))
        return {}

    def said(self, webhook_id, name, text):
        # A browser can send half of a surrogate pair; SQLite takes none.
        text = text.strip().encode("utf-8", "replace").decode("utf-8")
        if text == "/who":
            return {"message": {
                "private": "here: " + ", ".join(self.who_is_here())}}
        if len(text.encode("utf-8")) > TEXT_BYTES:
            return {"message": {"private": "that was too long"}}
        if text:
            self.tell_all(self.keep(webhook_id, "said", name, text))
        return {}

    # The database. Values never become part of the SQL.

    def query(self, sql, *values):
        return self.database.execute(sql, values)

    def one(self, sql, *values):
        """The first column of the first row, or None."""
        row = self.query(sql, *values).fetchone()
        return None if row is None else row[0]

    def column(self, sql, *values):
        return [row[0] for row in self.query(sql, *values).fetchall()]

    def keep(self, webhook_id, kind, name, text=""):
        """A line of the chat. The same callback makes the same line, however
        often it comes: that is what its id is for."""
        self.query("INSERT OR IGNORE INTO lines (webhook_id, kind, name, "
                   "text) VALUES (?, ?, ?, ?)", webhook_id, kind, name, text)
        self.query("DELETE FROM lines WHERE number <= "
                   "(SELECT max(number) FROM lines) - ?", LINES_KEPT)
        return dict(self.query("SELECT number, kind, name, text FROM lines "
                               "WHERE webhook_id = ?", webhook_id).fetchone())

    def last_lines(self):
        return [dict(row) for row in reversed(self.query(
            "SELECT number, kind, name, text FROM lines "
            "ORDER BY number DESC LIMIT ?", LINES_TOLD).fetchall())]

    def sessions_of(self, client):
        return self.one("SELECT count(*) FROM sessions WHERE client = ?",
                        client)

    def present(self, column):
        return self.column(f"SELECT {column} FROM people WHERE EXISTS "
                           "(SELECT 1 FROM sessions WHERE sessions.client = "
                           f"people.client) ORDER BY {column}")

    def who_is_here(self):
        return self.present("name")

    # polysocket.

    def authorize_path(self, client):
        secret = urllib.parse.quote(self.settings["application"], safe="")
        return f"/authorize/{secret}/{client}"

    def tell_all(self, line):
        """Who has no session hears the line when there is one again, so it
        need not be stored for them (404: not even the right to one)."""
        for socket_id in self.present("socket_id"):
            self.polysocket("POST", f"/publish/{socket_id}",
                            {"message": line, "store": False})

    def polysocket(self, method, path, body=None):
        url = urllib.parse.urlsplit(self.settings["polysocket"])
        connect = (http.client.HTTPSConnection if url.scheme == "https"
                   else http.client.HTTPConnection)
        with contextlib.closing(connect(url.netloc, timeout=10)) as connection:
            connection.request(
                method, url.path + path, json.dumps(body or {}), {
                    "Content-Type": "application/json",
                    "Authorization": "Bearer " + self.settings["application"]})
            response = connection.getresponse()
            reply = response.read()
        if response.status not in (200, 404):
            raise RuntimeError(f"{method} {path[:12]}…: {response.status} "
                               f"{reply[:200]}")
        return json.loads(reply)


def main():
    config = configparser.ConfigParser(interpolation=None)
    path = os.environ.get("CHAT_CONFIG", "/etc/chat.ini")
    with open(path, encoding="utf-8") as lines:
        config.read_file(lines)
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.settings = config["chat"]
    print(f"serving at port {server.server_port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
