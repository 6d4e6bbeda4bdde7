"""An HTTP client for the tests, and the relay's two dialects on top of it.

`Http` sends exactly what it is told, malformed or not, and shows an answer
while it arrives. `Polysocket` and `Polysocketd` speak the dialects, so that a
test says `session.send("hello")` and holds for both.

A message is a str (text), bytes (binary), HEARTBEAT or a Close.
"""

import base64
import collections
import contextlib
import http.client
import json
import select
import socket
import struct
import subprocess
import time
import urllib.parse

TIMEOUT_S = 60
HEARTBEAT = "<heartbeat>"       # not a text that any test sends

Close = collections.namedtuple("Close", "code reason was_clean")


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers      # http.client.HTTPMessage or the like
        self.body = body

    def header(self, name):
        return self.headers.get(name)

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.text)

    def jsonp(self, callback):
        """The object inside `/**/callback(...);`."""
        head, tail = f"/**/{callback}(", ");"
        text = self.text
        assert text.startswith(head) and text.endswith(tail), text
        return json.loads(text[len(head):-len(tail)])

    @property
    def code(self):
        """The stable word of an error, None where there is no JSON."""
        try:
            return self.json.get("code")
        except ValueError:
            return None

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Http:
    """Requests to one stack; `version` is "1.1", or "2" by means of curl;
    `source` is the address they come from."""

    def __init__(self, port, prefix="", version="1.1", source="127.0.0.1"):
        self.port = port
        self.prefix = prefix
        self.version = version
        self.source = source

    def get(self, path, headers=None, **params):
        return self.request("GET", path, params, headers)

    def post(self, path, body=None, headers=None, **params):
        """A dict or a list as the body is sent as JSON."""
        return self.request("POST", path, params, headers, body)

    def request(self, method, path, params=None, headers=None, body=None):
        if self.version == "2":
            with self.curl(method, path, params, headers, body) as exchange:
                return exchange.response()
        with self.begin(method, path, params, headers, body) as exchange:
            return exchange.response()

    def begin(self, method, path, params=None, headers=None, body=None):
        """Sends the request and returns before the answer."""
        if self.version == "2":
            return self.curl(method, path, params, headers, body)
        body, headers = encode_body(method, body, headers)
        head = {"Host": f"127.0.0.1:{self.port}", "Connection": "close"}
        if body is not None:
            head["Content-Length"] = str(len(body))
        head.update(headers)
        lines = [f"{method} {self.path(path, params)} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in head.items()
                  if value is not None]
        raw = "\r\n".join(lines + ["", ""]).encode("utf-8") + (body or b"")
        return Exchange(self.port, raw, method, self.source)

    def curl(self, method, path, params=None, headers=None, body=None):
        body, headers = encode_body(method, body, headers)
        return Curl(["curl", "--silent", "--show-error", "--no-buffer",
                     "--include", "--http2-prior-knowledge", "--max-time",
                     str(TIMEOUT_S), "--request", method, "--path-as-is",
                     *(["--head"] if method == "HEAD" else []),
                     *(part for name, value in headers.items()
                       for part in ("--header", f"{name}: {value}")),
                     *(["--data-binary", "@-"] if body is not None else []),
                     f"http://127.0.0.1:{self.port}"
                     f"{self.path(path, params)}"], body)

    def path(self, path, params):
        params = {name: value for name, value in (params or {}).items()
                  if value is not None}
        if not params:
            return self.prefix + path
        return f"{self.prefix}{path}?{urllib.parse.urlencode(params)}"


class Exchange:
    """A request on its way over a connection of its own (HTTP/1.1)."""

    def __init__(self, port, raw, method, source):
        self.sock = socket.create_connection(("127.0.0.1", port), TIMEOUT_S,
                                             (source, 0))
        self.answer = http.client.HTTPResponse(self.sock, method=method)
        self.begun = False
        try:
            self.sock.sendall(raw)
        except ConnectionError:
            pass            # refused before it was read: the answer says why

    def head(self):
        """Waits for the answer's head; returns its status."""
        if not self.begun:
            self.answer.begin()
            self.begun = True
        return self.answer.status

    def header(self, name):
        self.head()
        return self.answer.getheader(name)

    def response(self):
        self.head()
        return Response(self.answer.status, self.answer.headers,
                        self.answer.read())

    def line(self):
        """The next line of a stream, without its end; None at its end."""
        self.head()
        line = self.answer.readline()
        return line.rstrip(b"\n").decode("utf-8") if line else None

    def stalled(self, seconds):
        """Whether nothing arrives for so long."""
        return not select.select([self.sock], [], [], seconds)[0]

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Leaves with RST, as a browser does that navigates away."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        # The answer's file holds the descriptor as well.
        self.answer.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Curl:
    """The same over HTTP/2."""

    def __init__(self, command, body):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(body or b"")
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.status = self.headers = None

    def head(self):
        if self.headers is None:
            first = self.process.stdout.readline().decode("ascii")
            assert first.startswith("HTTP/2 "), (
                first or self.process.stderr.read())
            self.status = int(first.split()[1])
            self.headers = http.client.parse_headers(self.process.stdout)
        return self.status

    def header(self, name):
        self.head()
        return self.headers.get(name)

    def response(self):
        self.head()
        return Response(self.status, self.headers,
                        self.process.stdout.read())

    def line(self):
        self.head()
        line = self.process.stdout.readline()
        return line.rstrip(b"\n").decode("utf-8") if line else None

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def encode_body(method, body, headers):
    headers = dict(headers or {})
    if body is None and method == "POST":
        body = b""      # or there would be no Content-Length
    if isinstance(body, (dict, list)):
        headers.setdefault("Content-Type", "application/json")
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode("utf-8")
    return body, headers


class Relay:
    """What both dialects share; the classes below say what differs."""

    events_key = text_type = None
    refusal_status = None   # of creates, where it is not that of the code

    def __init__(self, http_client):
        self.http = http_client

    def create(self, target, headers=None, **params):
        """A session that is open; anything else fails the test."""
        response = self.try_create(target, headers, **params)
        assert response.status == 200, response
        assert response.json["ok"] is True, response
        return Session(self, response.json)

    def try_create(self, target, headers=None, **params):
        raise NotImplementedError

    def check_refusal(self, response, status, code):
        """That a create was refused so; returns the answer's object."""
        answer = response.json
        assert (response.status, answer["ok"], answer["code"]) == (
            self.refusal_status or status, False, code), response
        assert answer["error"]
        return answer

    def decode(self, reply):
        """The messages of a reply's JSON object."""
        assert reply["ok"] is True, reply
        return [self.decode_message(m) for m in reply[self.events_key]]

    def decode_message(self, message):
        kind = message["type"]
        if kind == "heartbeat":
            return HEARTBEAT
        if kind == "close":
            return Close(message["code"], message["reason"],
                         message["wasClean"])
        if kind == "binary":
            return base64.b64decode(message["data"], validate=True)
        assert kind == self.text_type, message
        return message["data"]

    def encode_message(self, message):
        if isinstance(message, bytes):
            return "binary", base64.b64encode(message).decode("ascii")
        return self.text_type, message


class Polysocket(Relay):
    name = "polysocket"
    events_key = "events"
    text_type = "string"
    ttl = "timeout"

    def try_create(self, target, headers=None, **params):
        return self.http.post("/polysocket/create",
                              {"target": target, **params}, headers)

    def try_send(self, socket_id, messages, headers=None, **params):
        events = []
        for message in messages:
            kind, data = self.encode_message(message)
            events.append({"type": kind, "data": data})
        return self.http.post("/polysocket/send", {
            "socket": socket_id, "events": events, **params}, headers)

    def receiver(self, kind, socket_id):
        """(path, parameters) of a receiver: poll, jsonp, stream, events."""
        path = {"poll": "xhr", "jsonp": "jsonp", "stream": "xhr-streaming",
                "events": "eventsource"}[kind]
        return "/polysocket/" + path, {"socket": socket_id}

    def try_close(self, socket_id, **params):
        return self.http.post("/polysocket/close",
                              {"socket": socket_id, **params})


class Polysocketd(Relay):
    name = "polysocketd"
    events_key = "messages"
    text_type = "text"
    ttl = "ttl"
    refusal_status = 200

    def try_create(self, target, headers=None, **params):
        params.setdefault("from", "tests-v1")
        return self.http.get("/create", headers, target=target, **params)

    def try_send(self, socket_id, messages, headers=None, **params):
        """One request a message; the first refusal is the answer."""
        for message in messages:
            kind, data = self.encode_message(message)
            response = self.http.post(
                "/s/" + socket_id, {"t": kind[0], "d": data, **params},
                headers)
            if response.status != 201:
                break
        return response

    def receiver(self, kind, socket_id):
        letter = {"poll": "p", "jsonp": "j", "stream": "x",
                  "events": "e"}[kind]
        return f"/{letter}/{socket_id}", {}

    def try_close(self, socket_id, **params):
        return self.http.post("/c/" + socket_id, params)


DIALECTS = {"polysocket": Polysocket, "polysocketd": Polysocketd}


class Session:
    """An open session of a relay."""

    def __init__(self, relay, answer):
        self.relay = relay
        self.answer = answer
        self.id = answer["socket"]

    def send(self, *messages, **params):
        response = self.try_send(*messages, **params)
        assert response.status == 201, response
        assert response.body == b""

    def try_send(self, *messages, **params):
        return self.relay.try_send(self.id, messages, **params)

    def begin(self, kind="poll", timeout=None, method="GET", headers=None,
              **params):
        """A receiver's request, on its way."""
        path, named = self.relay.receiver(kind, self.id)
        params.update(named)
        if timeout is not None:
            params[self.relay.ttl] = timeout
        return self.relay.http.begin(method, path, params, headers)

    def try_poll(self, timeout=None, kind="poll", **params):
        with self.begin(kind, timeout, **params) as exchange:
            return exchange.response()

    def poll(self, timeout=None):
        response = self.try_poll(timeout)
        assert response.status == 200, response
        return self.relay.decode(response.json)

    def receive(self, n=1):
        """Polls until n messages are there; heartbeats do not count."""
        messages = []
        deadline = time.monotonic() + TIMEOUT_S
        while len(messages) < n:
            assert time.monotonic() < deadline, messages
            messages += [m for m in self.poll() if m != HEARTBEAT]
        return messages

    def stream(self, kind="stream", timeout=None, **params):
        return Stream(self.relay, self.begin(kind, timeout, **params), kind)

    def close(self, **params):
        response = self.try_close(**params)
        assert (response.status, response.json) == (200, {"ok": True})

    def try_close(self, **params):
        return self.relay.try_close(self.id, **params)

    def finish(self):
        """Closes and fetches the close event, after which it is gone."""
        self.close(code=1000)
        while not isinstance(self.receive()[-1], Close):
            pass

    def is_gone(self):
        return self.try_send("anyone there?").status == 403


class Stream:
    """XHR streaming or EventSource, as messages."""

    def __init__(self, relay, exchange, kind):
        self.relay = relay
        self.exchange = exchange
        self.kind = kind
        self.waiting = []
        self.last_id = None
        self.n_bytes = 0        # of the body, the prelude left out
        if kind == "stream":
            self.prelude = exchange.line()

    def chunk(self):
        """The next JSON object; None when the stream has ended."""
        data = None
        while (line := self.exchange.line()) is not None:
            self.n_bytes += len(line.encode("utf-8")) + 1
            if self.kind == "stream":
                return json.loads(line)
            field, _, value = line.partition(": ")
            if field == "id":
                self.last_id = int(value)
            elif field == "data":
                data = json.loads(value)
            elif not line and data is not None:
                return data
        return None

    def next(self):
        """The next message, heartbeats included; None at the end."""
        while not self.waiting:
            chunk = self.chunk()
            if chunk is None:
                return None
            self.waiting = self.relay.decode(chunk)
        return self.waiting.pop(0)

    def receive(self, n=1):
        messages = []
        while len(messages) < n:
            message = self.next()
            assert message is not None, f"the stream ended after {messages}"
            if message != HEARTBEAT:
                messages.append(message)
        return messages

    def rest(self):
        """All messages up to the stream's end."""
        return list(iter(self.next, None))

    def close(self):
        self.exchange.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
