"""SockJS clients, by each transport.

Of two kinds. `Service` and `Session` send one request each and show what was
answered to the letter, for the tests of the protocol:

    service = Service(http, socket_id)
    session = service.session()
    assert session.xhr().text == "o\\n"
    with session.begin("xhr_streaming") as stream:
        assert stream.frame() == "o"

`connect()` behaves as sockjs-client does: it listens in the background, comes
again after each poll and each stream, and says things in between.

    with connect(http, socket_id, "eventsource") as user:
        user.send("hello")
        assert user.next() == "hello"
"""

import contextlib
import json
import queue
import random
import secrets
import socket
import threading
import urllib.parse

import websockets

from channel import sockets
from client import TIMEOUT_S, Close, Curl
from rawsocket import CLOSE, TEXT, RawSocket, head

POLLS = ("xhr", "jsonp")
STREAMS = ("xhr_streaming", "eventsource", "htmlfile")
HTTP_TRANSPORTS = (*STREAMS, *POLLS)
TRANSPORTS = ("websocket", *HTTP_TRANSPORTS)
METHODS = {"xhr": "POST", "xhr_streaming": "POST", "eventsource": "GET",
           "htmlfile": "GET", "jsonp": "GET"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OPEN, HEARTBEAT = "o", "h"
SOON_S = 0.05       # between two looks whether a thread has ended

# What a page of an iframe has in front of the frames, up to the padding.
HTMLFILE_HEAD = """\
<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.%s;
    c.start();
    function p(d) {c.message(d);};
    window.onload = function() {c.stop();};
  </script>"""
HTMLFILE_FRAME = ("<script>\np(", ");\n</script>\r\n")


class Service:
    """All below /<socket_id>."""

    def __init__(self, http_client, socket_id):
        self.http = http_client
        self.base = f"/{socket_id}"

    def get(self, path="", headers=None, **params):
        return self.http.get(self.base + path, headers, **params)

    def request(self, method, path="", headers=None, body=None, params=None):
        return self.http.request(method, self.base + path, params, headers,
                                 body)

    def session(self, name=None, server="000"):
        return Session(self, name or secrets.token_hex(8), server)

    def socket(self, path=None, **headers):
        """A WebSocket after its handshake and, unless it is raw, its `o`."""
        if path is None:
            path = f"/000/{secrets.token_hex(8)}/websocket"
        raw = FramedSocket(("127.0.0.1", self.http.port))
        try:
            raw.upgrade(self.http.prefix + self.base + path, **headers)
            if path != "/websocket":
                assert raw.text() == OPEN
        except BaseException:
            raw.socket.close()
            raise
        return raw

    def raw(self, **headers):
        return self.socket("/websocket", **headers)


class Session:
    """One session by HTTP, request by request."""

    def __init__(self, service, name, server):
        self.service = service
        self.name = name
        self.path = f"/{server}/{name}"

    def on(self, server):
        """The same by way of another server."""
        return Session(self.service, self.name, server)

    def request(self, transport, headers=None, body=None, method=None,
                **params):
        return self.service.request(
            method or METHODS.get(transport, "POST"),
            f"{self.path}/{transport}", headers, body, params)

    def xhr(self, headers=None):
        return self.request("xhr", headers)

    def jsonp(self, callback="cb", headers=None):
        return self.request("jsonp", headers, c=callback)

    def begin(self, transport, headers=None, callback="cb", method=None):
        """A receiver's request, on its way."""
        params = ({"c": callback} if transport in ("htmlfile", "jsonp")
                  else {})
        exchange = self.service.http.begin(
            method or METHODS[transport],
            f"{self.service.base}{self.path}/{transport}", params, headers)
        return Receiver(exchange, transport, callback)

    def open(self, transport):
        """A receiver that has got its `o`."""
        receiver = self.begin(transport)
        assert receiver.head() == 200, receiver.exchange.response()
        assert receiver.frame() == OPEN
        return receiver

    def try_send(self, body, headers=None):
        """`body` as it is."""
        return self.request("xhr_send", headers, body)

    def send(self, *messages):
        response = self.try_send(json.dumps(messages))
        assert (response.status, response.body) == (204, b""), response

    def try_jsonp_send(self, body, headers=None):
        return self.request("jsonp_send", FORM if headers is None else headers,
                            body)

    def jsonp_send(self, *messages):
        response = self.try_jsonp_send(
            urllib.parse.urlencode({"d": json.dumps(messages)}))
        assert (response.status, response.text) == (200, "ok"), response


class Receiver:
    """The answer to a receiver, whole or as it comes. Frames are what stands
    inside of a transport's own clothing, which is checked to the byte."""

    def __init__(self, exchange, transport, callback):
        self.exchange = exchange
        self.transport = transport
        self.callback = callback
        self.has_prelude = False
        self.n_bytes = 0        # of frames, as they were sent

    def head(self):
        return self.exchange.head()

    def header(self, name):
        return self.exchange.header(name)

    def line(self):
        """With its end; None where all is over."""
        line = self.exchange.line()
        if line is None:
            return None
        self.n_bytes += len(line.encode("utf-8")) + 1
        return line + "\n"

    def prelude(self):
        """What stands before the first frame."""
        if self.has_prelude or self.transport in POLLS:
            return ""
        self.has_prelude = True
        found = self.line()
        if self.transport == "htmlfile":
            while "\r\n\r\n" not in found:     # behind the padding
                found += self.line()
        self.n_bytes = 0
        return found

    def check_prelude(self):
        if self.has_prelude:
            return
        prelude = self.prelude()
        if self.transport == "xhr_streaming":
            assert prelude == "h" * 2048 + "\n"
        elif self.transport == "eventsource":
            assert prelude == "\r\n"
        elif self.transport == "htmlfile":
            head_, _, padding = prelude.partition("\n  </script>")
            assert (head_ + "\n  </script>"
                    == HTMLFILE_HEAD % self.callback), prelude
            assert not padding.strip() and len(prelude) > 1024

    def frame(self):
        """The next one; None at the end."""
        self.check_prelude()
        line = self.line()
        if line is None:
            return None
        if self.transport in ("xhr", "xhr_streaming"):
            assert line.endswith("\n") and not line.endswith("\r\n"), line
            return line[:-1]
        if self.transport == "eventsource":
            assert self.line() == "\r\n"
            assert line.startswith("data: ") and line.endswith("\r\n"), line
            return urllib.parse.unquote(line[len("data: "):-2])
        before, after = (HTMLFILE_FRAME if self.transport == "htmlfile"
                         else (f"/**/{self.callback}(", ");\r\n"))
        while not line.endswith(after):
            line += self.line()
        assert line.startswith(before), line
        script = line[len(before):-len(after)]
        assert ("<" if self.transport == "htmlfile" else "</") not in script
        return json.loads(script)

    def messages(self):
        """Those of the next frame, which is one of messages."""
        return messages_of(self.frame())

    def at_end(self):
        return self.line() is None

    def close(self):
        self.exchange.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FramedSocket(RawSocket):
    """A WebSocket of SockJS, by whatever bytes a test wants to say."""

    answered = None     # the headers of the 101

    def upgrade(self, path, **headers):
        self.send(head(path, **headers))
        status, self.answered, body = self.answer()
        assert status == 101, (status, self.answered, body)

    def text(self):
        opcode, payload = self.next_frame()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode("utf-8")

    def messages(self):
        return messages_of(self.text())

    def say_messages(self, *messages):
        self.say(TEXT, json.dumps(messages).encode())

    def say_text(self, text):
        self.say(TEXT, text.encode("utf-8"))

    def leave(self):
        """Closes as a client does; returns what was answered."""
        self.say(CLOSE, b"\x03\xe8")
        return self.next_close()


def messages_of(frame):
    assert frame is not None and frame[0] == "a", frame
    messages = json.loads(frame[1:])
    assert messages, frame
    return messages


# Clients as there are in browsers.

class Client:
    """What all transports share. `heartbeats`: how many came."""

    def __init__(self, http_client, socket_id, transport):
        self.http = http_client
        self.base = f"/{socket_id}"
        self.transport = transport
        self.waiting = queue.SimpleQueue()
        self.end = None         # a Close, when it was taken
        self.heartbeats = 0

    def heard(self, frame):
        """Returns a Close if it was that."""
        if frame == HEARTBEAT:
            self.heartbeats += 1
        elif frame == OPEN:
            self.waiting.put(OPEN)
        elif frame[0] == "c":
            code, reason = json.loads(frame[1:])
            return Close(code, reason, True)
        else:
            for message in messages_of(frame):
                self.waiting.put((message,))
        return None

    def take(self, timeout=TIMEOUT_S):
        """OPEN, a message in a tuple, or the Close."""
        if self.end is None:
            try:
                item = self.waiting.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError(
                    f"{self.transport}: nothing comes") from None
            if not isinstance(item, Close):
                return item
            self.end = item
        return self.end

    def opened(self):
        item = self.take()
        assert item == OPEN, item
        return self

    def next(self):
        """The next message."""
        item = self.take()
        assert isinstance(item, tuple) and not isinstance(item, Close), item
        return item[0]

    def receive(self, n):
        return [self.next() for _ in range(n)]

    def closed(self):
        """How it ended; nothing else may come before."""
        item = self.take()
        assert isinstance(item, Close), item
        return item

    def send(self, *messages):
        raise NotImplementedError

    def close(self):
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class WebSocketClient(Client):
    """`raw`: without frames, where each message is one."""

    def __init__(self, http_client, socket_id, transport, origin=None):
        super().__init__(http_client, socket_id, transport)
        path = ("/websocket" if transport == "raw"
                else f"/{server()}/{secrets.token_hex(4)}/websocket")
        sock = socket.create_connection(("127.0.0.1", http_client.port),
                                        TIMEOUT_S)
        sock.setblocking(False)
        self.ws = sockets.run(self.open(
            f"ws://127.0.0.1:{http_client.port}"
            + http_client.path(self.base + path, None), sock, origin))

    async def open(self, url, sock, origin):
        ws = await websockets.connect(
            url, sock=sock, origin=origin, ping_interval=None, max_size=None,
            max_queue=None, open_timeout=TIMEOUT_S, close_timeout=1)
        if self.transport == "raw":
            self.waiting.put(OPEN)
        # Held: a loop forgets tasks that nobody else knows.
        self.task = sockets.loop.create_task(self.listen(ws))
        return ws

    async def listen(self, ws):
        told = None
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in ws:
                if self.transport == "raw":
                    self.waiting.put((text,))
                else:
                    told = self.heard(text) or told
        self.waiting.put(told or Close(ws.close_code, ws.close_reason,
                                       ws.close_code != 1006))

    def send(self, *messages):
        if self.transport == "raw":
            for message in messages:
                sockets.run(self.ws.send(message))
        else:
            sockets.run(self.ws.send(json.dumps(messages)))

    def close(self):
        sockets.run(self.ws.close())


class HttpClient(Client):
    def __init__(self, http_client, socket_id, transport, headers=None):
        super().__init__(http_client, socket_id, transport)
        self.headers = headers
        self.session = Service(http_client, socket_id).session(server=server())
        self.leaving = False
        self.receiver = None
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        end = None
        try:
            while end is None and not self.leaving:
                self.receiver = self.session.begin(self.transport,
                                                   self.headers)
                with self.receiver:
                    end = self.read()
        except Exception as error:      # whatever it is, the test is to see it
            end = Close(1006, repr(error), False)
        self.waiting.put(end or Close(1006, "left", False))

    def read(self):
        """One answer to its end; a Close if it said so."""
        if self.receiver.head() != 200:
            return Close(1002, str(self.receiver.exchange.response()), False)
        while (frame := self.receiver.frame()) is not None:
            if (end := self.heard(frame)) is not None:
                return end
        return None

    def send(self, *messages):
        if self.transport == "jsonp":
            self.session.jsonp_send(*messages)
        else:
            self.session.send(*messages)

    def close(self):
        """As a page that is left; the server notices in its own time."""
        self.leaving = True
        while self.thread.is_alive():
            # None yet, or one that is over, or one over HTTP/2.
            exchange = getattr(self.receiver, "exchange", None)
            with contextlib.suppress(OSError):
                if isinstance(exchange, Curl):
                    exchange.process.kill()
                elif exchange is not None:
                    exchange.sock.shutdown(socket.SHUT_RDWR)
            self.thread.join(SOON_S)


def server():
    return f"{random.randrange(1000):03}"


def connect(http_client, socket_id, transport, **options):
    """A client that has been greeted; `raw` is a transport too."""
    kind = (WebSocketClient if transport in ("websocket", "raw")
            else HttpClient)
    client = kind(http_client, socket_id, transport, **options)
    try:
        return client.opened()
    except BaseException:
        client.close()
        raise
