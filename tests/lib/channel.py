"""The clients of a channel, by each way there is to listen.

    channel = Channel(Http(port), "room")
    with channel.join(presence={"name": "ann"}) as ann:
        channel.emit({"hello": "world"})
        assert ann.data() == [{"hello": "world"}]

A member hears and answers PINGs in the background; the test takes what it has
heard one frame after the other, and waits for no time but for a frame. Its
`kind` is "ws" (python3-websockets), "events" (EventSource), "lines" (NDJSON),
"poll" or "jsonp".
"""

import asyncio
import contextlib
import http.client
import json
import queue
import re
import socket
import struct
import threading
import urllib.parse

import websockets

import websocket
from client import TIMEOUT_S, Close

HTTP_KINDS = ("events", "lines", "poll", "jsonp")
KINDS = ("ws", *HTTP_KINDS)
HOLD_MS = 5000      # well below TIMEOUT_S, so that a heartbeat comes first
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket",
           "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
CLIENT_ID = re.compile(r"client_[A-Za-z0-9_-]{8}")
EVENT_ID = re.compile(r"evt_[A-Za-z0-9_-]{8}")


class Frame(dict):
    """What the server says; `text` is that to the letter."""

    def __init__(self, text):
        super().__init__(json.loads(text))
        self.text = text

    @property
    def type(self):
        return self["type"]

    @property
    def payload(self):
        return self["payload"]

    @property
    def event_id(self):
        return self["eventID"]


class Channel:
    """Of a stack's channels the one of that name, for one token."""

    def __init__(self, http_client, name, token=None):
        self.http = http_client
        self.name = name
        self.token = token

    def path(self, what):
        return f"/{urllib.parse.quote(self.name, safe='')}/{what}"

    def params(self, params):
        """Those that are there; `require_ack` is the spec's `require-ack`."""
        params = {name.replace("_", "-"): value
                  for name, value in params.items()}
        return {"token": self.token, **params}

    # Sending.

    def try_emit(self, payload=None, headers=None, text=None, **params):
        """By POST, the payload as JSON or else the text as it is."""
        headers = {"Content-Type": "application/json", **(headers or {})}
        return self.http.request("POST", self.path("emit"),
                                 self.params(params), headers,
                                 json.dumps(payload) if text is None else text)

    def emit(self, payload=None, **params):
        """The answer's object; one that is not a success fails the test."""
        response = self.try_emit(payload, **params)
        assert response.status == 200, response
        answer = response.json
        assert answer["success"] is True, response
        return answer

    def try_emit_by_get(self, **params):
        return self.http.get(self.path("emit"), None, **self.params(params))

    def try_emit_batch(self, payloads, **params):
        return self.http.request(
            "POST", self.path("emit"), self.params(params),
            {"Content-Type": "application/x-ndjson"},
            "".join(json.dumps(payload) + "\n" for payload in payloads))

    # Who is there, and what was.

    def members(self, **params):
        response = self.http.get(self.path("members"), None,
                                 **self.params(params))
        assert response.status == 200, response
        answer = response.json
        assert answer["count"] == len(answer["members"]), response
        return answer["members"]

    def ids(self):
        return [member["clientID"] for member in self.members()]

    def history(self, **params):
        response = self.http.get(self.path("history"), None,
                                 **self.params(params))
        assert response.status == 200, response
        return response.json["history"]

    # Listening.

    def join(self, kind="ws", **options):
        """A member that has heard its CONNECTED."""
        member = self.begin(kind, **options)
        try:
            member.connect()
        except BaseException:
            member.close()
            raise
        return member

    def begin(self, kind="ws", **options):
        """A member on its way."""
        return MEMBERS[kind](self, kind, **options)

    def try_upgrade(self, headers=None, **params):
        """The answer to a handshake, for those that are refused."""
        return self.http.get(self.path("listen"), {**UPGRADE,
                                                   **(headers or {})},
                             **self.params(params))

    def try_listen(self, headers=None, **params):
        return self.http.get(self.path("listen"), headers,
                             **self.params(params))

    def try_say(self, client, key, frame, **params):
        """What a member without WebSocket says."""
        return self.http.request(
            "POST", self.path("listen"),
            {"client": client, "key": key, **params},
            {"Content-Type": "application/json"},
            frame if isinstance(frame, (bytes, str)) else json.dumps(frame))


class Member:
    """What all kinds share. `pongs`: it answers PINGs and hides them."""

    def __init__(self, channel, kind, presence=None, since=None, pongs=True,
                 headers=None, **params):
        self.channel = channel
        self.kind = kind
        self.pongs = pongs
        self.headers = dict(headers or {})
        if presence is not None and not isinstance(presence, str):
            presence = json.dumps(presence)
        self.wanted = channel.params({"presence": presence, "since": since,
                                      **params})
        self.waiting = queue.SimpleQueue()
        self.end = None         # a Close, when it was taken
        self.connected = None   # the frame

    @property
    def id(self):
        return self.connected["clientID"]

    def connect(self):
        self.connected = self.next("CONNECTED")

    # In the background.

    def hear(self, frame):
        """Whether it is a PING that wants its answer, which nobody sees."""
        if frame.type == "PING" and self.pongs:
            return True
        self.waiting.put(frame)
        return False

    # What it has heard, in order.

    def take(self, timeout=TIMEOUT_S):
        """The next frame, or the Close."""
        if self.end is None:
            try:
                item = self.waiting.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError(f"{self.kind}: nothing comes") from None
            if not isinstance(item, Close):
                return item
            self.end = item
        return self.end

    def next(self, kind=None):
        """The next frame, which is of that type."""
        frame = self.take()
        assert isinstance(frame, Frame), frame
        assert kind is None or frame.type == kind, frame
        return frame

    def find(self, kind):
        """The next frame of that type; others are passed over."""
        while (frame := self.next()).type != kind:
            pass
        return frame

    def events(self, n=1):
        """The next n DATA frames."""
        return [self.find("DATA") for _ in range(n)]

    def data(self, n=1):
        """Their payloads."""
        return [frame.payload for frame in self.events(n)]

    def rest(self):
        """All frames up to the end."""
        return list(iter(self.take_frame, None))

    def take_frame(self):
        item = self.take()
        return item if isinstance(item, Frame) else None

    def closed(self):
        """Passes over all up to the end; returns how it ended."""
        self.rest()
        return self.end

    def hears_nothing_before(self, mark):
        """That the next thing is this emit of the test."""
        frame = self.next("DATA")
        assert frame.payload == mark, frame

    # What it says.

    def say(self, frame):
        raise NotImplementedError

    def ack(self, event_id):
        self.say({"type": "ACK", "payload": {"eventID": event_id}})

    def pong(self):
        self.say({"type": "PONG"})

    def set_presence(self, presence):
        self.say({"type": "PRESENCE", "payload": presence})

    def close(self):
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Loop:
    """One thread for all WebSockets of this process."""

    def __init__(self):
        self.loop = None
        self.lock = threading.Lock()

    def run(self, coroutine, timeout=TIMEOUT_S):
        with self.lock:
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                threading.Thread(target=self.loop.run_forever,
                                 daemon=True).start()
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        return future.result(timeout)

    def call(self, function, *args):
        async def inside():
            return function(*args)

        return self.run(inside())


sockets = Loop()


class WebSocketMember(Member):
    """`receive_buffer` is that of its socket: one that stops to read is told
    the sooner."""

    def __init__(self, channel, kind, origin=None, receive_buffer=None,
                 deflate=False, **options):
        super().__init__(channel, kind, **options)
        host = channel.http
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                            receive_buffer)
        sock.settimeout(TIMEOUT_S)
        sock.bind((host.source, 0))
        sock.connect(("127.0.0.1", host.port))
        sock.setblocking(False)
        self.ws = sockets.run(self.open(
            f"ws://127.0.0.1:{host.port}"
            + host.path(channel.path("listen"), self.wanted), sock, origin,
            "deflate" if deflate else None))

    async def open(self, url, sock, origin, compression):
        ws = await websockets.connect(
            url, sock=sock, origin=origin, compression=compression,
            extra_headers=self.headers, ping_interval=None, max_size=None,
            max_queue=None, open_timeout=TIMEOUT_S, close_timeout=1)
        # Held: a loop forgets tasks that nobody else knows.
        self.task = asyncio.ensure_future(self.listen(ws))
        return ws

    async def listen(self, ws):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in ws:
                if self.hear(Frame(text)):
                    await ws.send('{"type":"PONG"}')
        self.waiting.put(Close(ws.close_code, ws.close_reason,
                               ws.close_code != 1006))

    def say(self, frame):
        """A dict as JSON; text and bytes as they are."""
        sockets.run(self.ws.send(frame if isinstance(frame, (bytes, str))
                                 else json.dumps(frame)))

    def say_in_parts(self, parts):
        """One message in several frames."""
        sockets.run(self.ws.send(list(parts)))

    def send_raw_text(self, data):
        """A text frame of any bytes."""
        sockets.run(self.ws.write_frame(True, websocket.TEXT, data))

    def ping(self):
        """One of RFC 6455, and its answer."""
        async def there_and_back():
            await (await self.ws.ping())

        sockets.run(there_and_back())

    def emit(self, payload, **params):
        """By its socket; returns the payload of EMITTED."""
        self.say({"type": "EMIT", "payload": payload, **params})
        return self.find("EMITTED").payload

    def stop_reading(self):
        sockets.call(self.ws.transport.pause_reading)

    def read_on(self):
        sockets.call(self.ws.transport.resume_reading)

    def reset(self):
        """Leaves with RST and without a word."""
        def abort():
            sock = self.ws.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
            self.ws.transport.abort()

        sockets.call(abort)

    def close(self, code=1000, reason=""):
        sockets.run(self.ws.close(code, reason))


class HttpMember(Member):
    """One without WebSocket: comes again and again with its key, and says
    what it has got."""

    def __init__(self, channel, kind, hold=HOLD_MS, **options):
        super().__init__(channel, kind, **options)
        self.wanted["hold"] = hold
        self.key = self.client = None
        self.seq = 0            # of the last frame
        self.last_id = None     # of an EventSource
        self.leaving = False
        self.exchange = None
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def request(self):
        """(headers, parameters) of the next request."""
        headers, params = dict(self.headers), dict(self.wanted)
        if self.kind == "events":
            headers["Accept"] = "text/event-stream"
            if self.last_id is not None:
                headers["Last-Event-ID"] = self.last_id
        else:
            params["transport"] = ("xhr-streaming" if self.kind == "lines"
                                   else "xhr")
            if self.kind == "jsonp":
                params["cb"] = "heard"
            if self.key is not None:
                params = {name: value for name, value in params.items()
                          if name in ("transport", "cb", "hold")}
                params.update(client=self.client, key=self.key, ack=self.seq)
        return headers, params

    def listen(self):
        end = None
        try:
            while end is None and not self.leaving:
                headers, params = self.request()
                self.exchange = self.channel.http.begin(
                    "GET", self.channel.path("listen"), params, headers)
                with self.exchange, self.breaks():
                    end = self.read()
        except Exception as error:      # whatever it is, the test is to see it
            end = Close(1006, repr(error), False)
        self.waiting.put(end)

    @contextlib.contextmanager
    def breaks(self):
        """A connection that breaks is a reason to come again."""
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            yield

    def read(self):
        """One answer to its end; a Close if it said so."""
        if self.exchange.head() != 200:
            return Close(1006, self.exchange.response().code, False)
        if self.kind in ("poll", "jsonp"):
            response = self.exchange.response()
            answer = (response.jsonp("heard") if self.kind == "jsonp"
                      else response.json)
            assert answer["success"] is True, response
            for frame in answer["events"]:
                if (end := self.got(json.dumps(frame))) is not None:
                    return end
            if answer["events"]:
                assert answer["seq"] == self.seq, (answer["seq"], self.seq)
            return None
        while (line := self.exchange.line()) is not None:
            if (end := self.read_line(line)) is not None:
                return end
        return None

    def read_line(self, line):
        if self.kind == "events":
            field, _, value = line.partition(": ")
            if field == "id":
                self.last_id = value
            if field != "data":
                return None
            line = value
        return self.got(line) if line.strip() else None

    def got(self, text):
        frame = Frame(text)
        self.seq += 1
        if frame.type == "CLOSE":
            return Close(frame.payload["code"], frame.payload["reason"], True)
        if frame.type == "CONNECTED":
            self.client = frame["clientID"]
            self.key = frame.payload["key"]
        if self.hear(frame):
            self.try_say({"type": "PONG"})
        return None

    def try_say(self, frame):
        return self.channel.try_say(self.client, self.key, frame)

    def say(self, frame):
        response = self.try_say(frame)
        assert (response.status, response.json) == (200, {"success": True}), (
            response)

    def close(self):
        """Does not come again; the bridge notices in receiver_grace."""
        self.leaving = True
        while self.thread.is_alive():
            with contextlib.suppress(OSError, AttributeError):
                self.exchange.sock.shutdown(socket.SHUT_RDWR)
            self.thread.join(0.05)

    reset = close


MEMBERS = {"ws": WebSocketMember,
           **{kind: HttpMember for kind in HTTP_KINDS}}
