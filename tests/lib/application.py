"""A web application: what answers the callbacks of polysocket.

    with Responder() as responder:
        app = Application(stack, responder, "echo")
        ann = app.authorize("ann")          # a socket id
        ...
        app.wait_for(lambda: app.messages() == ["hello"], "her message")

A `Responder` is an HTTP server on loopback that keeps every request, with its
headers, its bytes and the connection that it came on, and does with it what
the application at that path wants. An `Application` is one as an administrator
makes it, with rows in the database; it talks to polysocket over HTTP.

What an application does with a callback is a function of the callback that
returns an Answer (None: 204), or the name of one below. Answers that were
given to `will_answer()` come first, one a callback.
"""

import base64
import hashlib
import hmac
import http.server
import itertools
import json
import secrets
import socket
import threading
import time
import urllib.parse

from client import TIMEOUT_S, Http
from database import insert

BACKLOG = 1024
CLOCK_SKEW_S = 60       # between a signature and the look at it
GO_AWAY = {"code": 3000, "reason": "Go away!"}


class Answer:
    """`body`: bytes, text, or what is sent as JSON. `delay`: seconds before
    it. `hang`: no answer, until the client leaves or the responder ends.
    `close`: the end of the connection in place of an answer. `raw`: these
    bytes in place of a well-formed answer, and the end."""

    def __init__(self, status=None, body=None, headers=None, delay=0,
                 hang=False, close=False, raw=None):
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        self.body = body.encode("utf-8") if isinstance(body, str) else body
        self.status = status or (204 if body is None else 200)
        self.headers = headers or {}
        self.delay = delay
        self.hang = hang
        self.close = close
        self.raw = raw


class Callback:
    """One request to a responder."""

    def __init__(self, method, path, headers, body, connection):
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.connection = connection    # numbered from 1
        self.at = time.monotonic()
        self.status = None      # of the answer, once there is one

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def id(self):
        return self.headers["webhook-id"]

    def get(self, name):
        """A field of the body; None where it has none."""
        return self.json.get(name)

    def check_signature(self, key):
        """As https://www.standardwebhooks.com has it: `key` is the token's
        callback_key."""
        assert key.startswith("whsec_"), key
        secret = base64.b64decode(key[len("whsec_"):], validate=True)
        timestamp = self.headers["webhook-timestamp"]
        assert abs(time.time() - int(timestamp)) < CLOCK_SKEW_S, timestamp
        signed = f"{self.id}.{timestamp}.".encode("utf-8") + self.body
        digest = hmac.new(secret, signed, hashlib.sha256).digest()
        version, _, given = self.headers["webhook-signature"].partition(",")
        assert version == "v1", version
        assert hmac.compare_digest(base64.b64decode(given, validate=True),
                                   digest), given

    def __repr__(self):
        return f"<{self.method} {self.path} {self.body[:200]!r}>"


class Responder:
    """See the module. `tls`: the SSLContext of an HTTPS server, whose
    certificate has `name`."""

    def __init__(self, tls=None, name="127.0.0.1"):
        self.scheme = "https" if tls else "http"
        self.name = name
        self.callbacks = []             # all, in the order they came
        self.changed = threading.Condition()
        self.over = threading.Event()
        self.sites = {}                 # path: function of a callback
        self.numbers = itertools.count(1)
        responder = self

        class Handler(CallbackHandler):
            pass

        Handler.responder = responder
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.server.daemon_threads = True
        self.server.request_queue_size = BACKLOG
        self.server.server_bind()
        self.server.server_activate()
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket,
                                                 server_side=True)
        self.port = self.server.server_port
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def url(self, path):
        return f"{self.scheme}://{self.name}:{self.port}{path}"

    def take(self, callback):
        """Keeps it and returns its answer."""
        with self.changed:
            self.callbacks.append(callback)
            self.changed.notify_all()
        site = self.sites.get(urllib.parse.urlsplit(callback.path).path)
        if site is None:
            return Answer(404)
        return site(callback) or Answer()

    def answered(self, callback, status):
        with self.changed:
            callback.status = status
            self.changed.notify_all()

    def wait_for(self, condition, what, timeout=TIMEOUT_S):
        with self.changed:
            assert self.changed.wait_for(condition, timeout), (
                f"{what} never came; there is {self.callbacks[-20:]}")

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class CallbackHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1       # head and body in one write
    responder = None

    def setup(self):
        super().setup()
        self.number = next(self.responder.numbers)

    def do_POST(self):
        size = int(self.headers.get("Content-Length", 0))
        callback = Callback(self.command, self.path, self.headers,
                            self.rfile.read(size), self.number)
        answer = self.responder.take(callback)
        if answer.delay:
            self.responder.over.wait(answer.delay)
        if answer.hang:
            self.hang()
        if answer.raw is not None:
            self.wfile.write(answer.raw)
        if answer.hang or answer.close or answer.raw is not None:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.body is not None:
            self.send_header("Content-Type", "application/json")
        if answer.status != 204:
            self.send_header("Content-Length", len(answer.body or b""))
        self.end_headers()
        self.wfile.write(answer.body or b"")
        self.wfile.flush()
        self.responder.answered(callback, answer.status)

    # Whatever else comes is kept as well, and a test sees that it did.
    do_GET = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_POST

    def hang(self):
        """Until the client leaves."""
        self.connection.settimeout(0.05)
        while not self.responder.over.is_set():
            try:
                self.connection.recv(1, socket.MSG_PEEK)
                return      # its end: it says nothing before its answer
            except TimeoutError:
                pass
            except OSError:
                return

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass        # who asks may leave at any moment

    def finish(self):
        try:
            super().finish()
        except ConnectionError:
            pass

    def log_message(self, *args):
        pass


class Application:
    """One in the database of a stack, with its rights and its secret id;
    `columns` are those of its token."""

    def __init__(self, stack, responder, behaviour="quiet", origins=("*",),
                 callbacks=None, http_client=None, wait=True, events=None,
                 **columns):
        self.stack = stack
        self.responder = responder
        self.http = http_client or Http(stack.port, stack.prefix)
        self.path = "/" + secrets.token_hex(4)
        self.behaviour = (getattr(self, behaviour)
                          if isinstance(behaviour, str) else behaviour)
        # It is told of connects where it does something with them.
        self.events = behaviour == "close" if events is None else events
        self.answers = []
        self.socket_ids = {}        # by client
        responder.sites[self.path] = self.answer
        self.id = columns.pop("secret", None) or secrets.token_hex(16)
        name = columns.pop("name", "app" + self.path)
        self.token_id = stack.add_token(
            self.id, origins, (), (), name=name, **columns)
        stack.sql(*(insert("token_callbacks", {
            "token_id": self.token_id, "pattern": pattern})
            for pattern in callbacks or [responder.url("/*")]))
        if wait:
            stack.wait_policy()

    @property
    def url(self):
        return self.responder.url(self.path)

    @property
    def key(self):
        return self.stack.database.value(
            "SELECT callback_key FROM tokens WHERE id = "
            f"{self.token_id}")

    # What it does with a callback.

    def answer(self, callback):
        with self.responder.changed:
            if self.answers:
                return self.answers.pop(0)
        return self.behaviour(callback)

    def will_answer(self, *answers):
        """These to the next callbacks; a number is a status."""
        with self.responder.changed:
            self.answers += [Answer(answer) if isinstance(answer, int)
                             else answer for answer in answers]

    def quiet(self, _callback):
        """Hears and says nothing."""

    def echo(self, callback):
        """The message back, in the reply."""
        if "message" not in callback.json:
            return None
        return Answer(body={"message": callback.get("message")})

    def close(self, callback):
        """Sends everybody away who comes."""
        if callback.get("event") == "connected":
            self.publish(self.socket_ids[callback.get("client")],
                         session=callback.get("session"), close=GO_AWAY)

    # What it says.

    def client_path(self, client):
        return (f"/authorize/{urllib.parse.quote(self.id, safe='')}/"
                f"{urllib.parse.quote(client, safe='')}")

    def try_authorize(self, client, body=None, headers=None, **fields):
        """`body` in place of all: the callback and whatever is given."""
        if body is None:
            body = {"callback": self.url, "events": self.events, **fields}
        return self.http.post(self.client_path(client), body, headers)

    def authorize(self, client="ann", **fields):
        """Returns the socket id."""
        response = self.try_authorize(client, **fields)
        assert response.status == 200, response
        assert response.json["ok"] is True, response
        self.socket_ids[client] = response.json["socket_id"]
        return self.socket_ids[client]

    def try_withdraw(self, client, headers=None):
        return self.http.request("DELETE", self.client_path(client), None,
                                 headers)

    def withdraw(self, client="ann"):
        response = self.try_withdraw(client)
        assert (response.status, response.json) == (200, {"ok": True})

    def publish_path(self, socket_id, session):
        return f"/publish/{socket_id}" + (f"/{session}" if session else "")

    def try_publish(self, socket_id, session=None, headers=None, **fields):
        return self.http.post(self.publish_path(socket_id, session), fields,
                              headers)

    def publish(self, socket_id, message=None, session=None, **fields):
        """The answer's object."""
        if "close" not in fields:
            fields["message"] = message
        response = self.try_publish(socket_id, session, **fields)
        assert response.status == 200, response
        assert response.json["ok"] is True, response
        return response.json

    def sessions(self, socket_id, headers=None):
        response = self.http.get(self.publish_path(socket_id, None), headers)
        assert response.status == 200, response
        assert response.json["ok"] is True, response
        return response.json["sessions"]

    # What it was told.

    @property
    def callbacks(self):
        return [callback for callback in list(self.responder.callbacks)
                if callback.path == self.path]

    def told(self, field, **where):
        """That field of all callbacks that have it, with these values in
        other fields."""
        return [callback.json[field] for callback in self.callbacks
                if field in callback.json
                and where.items() <= callback.json.items()]

    def messages(self, **where):
        return self.told("message", **where)

    def wait_for(self, condition, what, timeout=TIMEOUT_S):
        self.responder.wait_for(condition, what, timeout)

    def wait_messages(self, *expected, **where):
        """Waits for as many as given and compares them."""
        self.wait_for(lambda: len(self.messages(**where)) >= len(expected),
                      f"{len(expected)} messages")
        assert self.messages(**where) == list(expected)

    def wait_event(self, event, **where):
        """Waits for it; returns the last one's fields."""
        def those():
            return [callback.json for callback in self.callbacks
                    if callback.get("event") == event
                    and where.items() <= callback.json.items()]

        self.wait_for(those, event)
        return those()[-1]
