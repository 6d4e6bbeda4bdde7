#!/usr/bin/python3
"""A WebSocket server for the tests, which can also misbehave.

The first segment of the path says what it does, `arg` in the query how:

    before the handshake
      /refuse?arg=STATUS[&arg=BODY][&arg=LOCATION]   answers with that status
      /stall           accepts the connection and never answers
      /late?arg=SECONDS   answers so much later
      /hangup          closes the connection without an answer
      /wrong-accept    answers 101 with a Sec-WebSocket-Accept of nobody
    after it
      /echo            sends every message back
      /quiet           records only
      /deaf            reads nothing until the test calls resume()
      /command         does what each text message says, see COMMANDS;
                       a COMMAND as the path is done at once

Options in the query of any of them: `protocol=NAME` chooses a subprotocol
(`first`: the first offered), `deflate=yes` accepts permessage-deflate,
`answer_close=no` leaves a close frame unanswered, `answer_close=drop` ends
the connection instead.

It runs a loop of its own in a thread, so that a test can look at every
connection and drive it:

    with Target() as target:
        ...create(target.url("quiet"))...
        connection = target.connection()
        connection.send("hello")
        connection.wait_for_messages("hi")

Standard library only. As a program it serves until it is interrupted:
`target.py [--port N]`.
"""

import argparse
import asyncio
import concurrent.futures
import contextlib
import json
import os
import socket
import struct
import sys
import threading
import time
import urllib.parse
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import websocket  # noqa: E402 (the sibling module, also when run as a program)

COMMANDS = {}
TIMEOUT_S = 60
TLS_HANDSHAKE = b"\x16"
DEFLATE_TAIL = b"\x00\x00\xff\xff"


def command(function):
    COMMANDS[function.__name__.replace("_", "-")] = function
    return function


class Connection:
    """One client of the target: what it asked, what it sent, and controls.

    The attributes are written by the target's thread alone. Methods without
    `async` are for tests and may be called from any thread.
    """

    def __init__(self, target, reader, writer):
        self.target = target
        self.reader = reader
        self.writer = writer
        self.path = None
        self.behaviour = None
        self.options = {}
        self.request_line = ""
        self.headers = []       # (name, value) in the order they came
        self.opened = False     # the handshake was answered with 101
        self.messages = []      # str for text, bytes for binary
        self.n_compressed = 0   # messages that came compressed
        self.pings = []
        self.close = None       # (code, reason) of the peer's close frame
        self.ended = None       # "eof" or "reset" once the transport is gone
        self.violations = []    # what a client must never do
        self.n_sent = 0         # messages of a flood the kernel has taken
        self.sni = None
        self.deflater = self.inflater = None
        self.may_read = asyncio.Event()
        self.write_lock = asyncio.Lock()

    # What tests call.

    def header(self, name):
        """The value of a request header, None when it was not sent."""
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        return ", ".join(values) if values else None

    def wait_for(self, predicate, what="", timeout=TIMEOUT_S):
        """Waits until the predicate of the connection holds."""
        with self.target.changed:
            if self.target.changed.wait_for(lambda: predicate(self), timeout):
                return self
        raise AssertionError(f"target never saw {what or 'it'}; it has {self}")

    def wait_for_messages(self, *expected, timeout=TIMEOUT_S):
        """Waits for as many messages as given and compares them."""
        self.wait_for(lambda c: len(c.messages) >= len(expected),
                      f"{len(expected)} messages", timeout)
        assert self.messages == list(expected)

    def wait_closed(self, timeout=TIMEOUT_S):
        """Waits for the transport's end; returns (code, reason) or None."""
        self.wait_for(lambda c: c.ended, "the end of the connection", timeout)
        return self.close

    def send(self, message, fragments=1):
        self.run(self.send_message(message, fragments))

    def send_close(self, code=1000, reason=""):
        self.run(self.write(websocket.CLOSE,
                            websocket.close_payload(code, reason)))

    def do(self, name, *args):
        """Does one of COMMANDS and waits until it is done."""
        self.run(COMMANDS[name](self, *args))

    def start(self, name, *args):
        """Begins one of COMMANDS, which may take as long as it likes."""
        return asyncio.run_coroutine_threadsafe(
            COMMANDS[name](self, *args), self.target.loop)

    def resume(self):
        """Lets a deaf target read."""
        self.target.loop.call_soon_threadsafe(self.may_read.set)

    def run(self, coroutine):
        future = asyncio.run_coroutine_threadsafe(coroutine, self.target.loop)
        return future.result(TIMEOUT_S)

    def __repr__(self):
        return (f"<{self.path} opened={self.opened} n={len(self.messages)} "
                f"last={self.messages[-1:]!r:.80} close={self.close} "
                f"ended={self.ended} sent={self.n_sent}>")

    # What the target's thread runs.

    async def serve(self):
        try:
            if await self.read_request() and await self.handshake():
                await self.converse()
        except (asyncio.IncompleteReadError, BrokenPipeError):
            self.ended = self.ended or "eof"
        except (ConnectionError, OSError):
            self.ended = self.ended or "reset"
        finally:
            self.ended = self.ended or "eof"
            self.target.note()
            self.writer.close()

    async def read_request(self):
        first = await self.reader.readexactly(1)
        if first == TLS_HANDSHAKE:
            self.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return False
        head = first + await self.reader.readuntil(b"\r\n\r\n")
        head = head.decode("latin-1")
        self.request_line, *lines = head[:-4].split("\r\n")
        self.headers = [tuple(part.strip() for part in line.split(":", 1))
                        for line in lines]
        target = self.request_line.split(" ")[1]
        url = urllib.parse.urlsplit(target)
        query = urllib.parse.parse_qs(url.query)
        self.path = target
        self.behaviour = url.path.split("/")[1] or "echo"
        self.args = query.pop("arg", [])
        self.options = {name: values[0] for name, values in query.items()}
        tls = self.writer.get_extra_info("ssl_object")
        self.sni = getattr(tls, "polysocket_sni", None)
        self.target.connections.append(self)
        self.target.note()
        return True

    async def handshake(self):
        if self.behaviour == "refuse":
            await self.refuse(*self.args)
            return False
        if self.behaviour == "stall":
            await self.reader.read()
            return False
        if self.behaviour == "late":
            await asyncio.sleep(float(*self.args))
        if self.behaviour == "hangup":
            return False
        accept = websocket.accept_key(self.header("Sec-WebSocket-Key") or "")
        if self.behaviour == "wrong-accept":
            accept = websocket.accept_key("nobody")
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Accept: " + accept]
        protocol = self.options.get("protocol")
        if protocol == "first":
            offered = self.header("Sec-WebSocket-Protocol") or ""
            protocol = offered.split(",")[0].strip()
        if protocol:
            lines.append("Sec-WebSocket-Protocol: " + protocol)
        offered = self.header("Sec-WebSocket-Extensions") or ""
        if "deflate" in self.options and "permessage-deflate" in offered:
            lines.append("Sec-WebSocket-Extensions: permessage-deflate")
            self.deflater = zlib.compressobj(wbits=-15)
            self.inflater = zlib.decompressobj(wbits=-15)
        self.writer.write("\r\n".join(lines + ["", ""]).encode("latin-1"))
        await self.writer.drain()
        self.opened = True
        self.target.note()
        return True

    async def refuse(self, status="403", body="", location=""):
        head = [f"HTTP/1.1 {status} Refused", f"Content-Length: {len(body)}"]
        if location:
            head.append("Location: " + location)
        head += ["Connection: close", "", body]
        self.writer.write("\r\n".join(head).encode("utf-8"))
        await self.writer.drain()

    async def converse(self):
        if self.behaviour in COMMANDS:
            await COMMANDS[self.behaviour](self, *self.args)
        if self.behaviour != "deaf":
            self.may_read.set()
        parts, compressed = [], False
        while True:
            await self.may_read.wait()
            opcode, fin, rsv1, masked, payload = (
                await websocket.read_frame(self.reader))
            if not masked:
                self.violations.append("a frame without a mask")
            if opcode == websocket.CLOSE:
                await self.answer_close(payload)
                return
            if opcode == websocket.PING:
                self.pings.append(payload)
                await self.write(websocket.PONG, payload)
            if opcode >= websocket.CLOSE:
                continue
            if opcode != websocket.CONTINUATION:
                kind, compressed = opcode, rsv1
            parts.append(payload)
            if fin:
                message, parts = b"".join(parts), []
                if compressed:
                    self.n_compressed += 1
                    message = self.inflater.decompress(message + DEFLATE_TAIL)
                if kind == websocket.TEXT:
                    message = message.decode("utf-8")
                await self.take(message)

    async def take(self, message):
        self.messages.append(message)
        self.target.note()
        if self.behaviour == "echo":
            await self.send_message(message)
        elif self.behaviour == "command":
            name, *args = message.split(" ", 2)
            await COMMANDS[name](self, *args)

    async def answer_close(self, payload):
        if len(payload) >= 2:
            code, = struct.unpack("!H", payload[:2])
            self.close = code, payload[2:].decode("utf-8")
        else:
            self.close = 1005, ""
        self.target.note()
        how = self.options.get("answer_close")
        if how == "no":
            await self.reader.read()
        elif how == "drop":
            return
        await self.write(websocket.CLOSE, payload[:2])

    async def send_message(self, message, fragments=1):
        kind = websocket.BINARY
        if isinstance(message, str):
            kind, message = websocket.TEXT, message.encode("utf-8")
        if self.deflater:
            message = (self.deflater.compress(message)
                       + self.deflater.flush(zlib.Z_SYNC_FLUSH))
            message = message.removesuffix(DEFLATE_TAIL)
        step = -(-len(message) // fragments) or 1
        for i in range(fragments):
            await self.write(kind if i == 0 else websocket.CONTINUATION,
                             message[i * step:(i + 1) * step],
                             fin=i == fragments - 1,
                             rsv1=bool(self.deflater) and i == 0)

    async def write(self, opcode, payload, fin=True, rsv1=False):
        async with self.write_lock:
            self.writer.write(websocket.frame(opcode, payload, fin, rsv1))
            await self.writer.drain()

    # COMMANDS: path, text message of /command, or Connection.do().

    @command
    async def close_with(self, code="", reason=""):
        code = int(code) if code else None
        await self.write(websocket.CLOSE,
                         websocket.close_payload(code, reason))

    @command
    async def drop(self):
        """Ends the TCP connection without a close frame."""
        self.ended = "dropped"
        self.writer.close()

    @command
    async def reset(self):
        """The same with RST instead of FIN."""
        self.ended = "dropped"
        linger = struct.pack("ii", 1, 0)
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    @command
    async def flood(self, n="1000", size="1000"):
        """Sends n numbered texts of `size` characters, as fast as it may."""
        for i in range(int(n)):
            await self.send_message(f"{i} ".ljust(int(size), "x"))
            self.n_sent += 1
            self.target.note()

    @command
    async def say(self, *texts):
        for text in texts:
            await self.send_message(text)

    @command
    async def say_binary(self, *values):
        for value in values:
            await self.send_message(bytes.fromhex(value))

    @command
    async def say_fragments(self, text, n="3"):
        await self.send_message(text, int(n))

    @command
    async def say_invalid_utf8(self):
        await self.write(websocket.TEXT, b"ab\xc3\x28cd")

    @command
    async def say_headers(self):
        await self.send_message(json.dumps(self.headers))

    @command
    async def ping(self, payload="ping"):
        await self.write(websocket.PING, payload.encode("utf-8"))


class Target:
    """A listening target; `host` may be an IPv6 address, `tls` an SSLContext.

    `name` is the host that url() uses, when it is not the address.
    """

    def __init__(self, host="127.0.0.1", port=0, tls=None, name=None,
                 buffer_bytes=None):
        self.connections = []
        self.changed = threading.Condition()
        self.tls = tls
        if tls:
            tls.sni_callback = remember_sni
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, port), family=family)
        if buffer_bytes:
            # Inherited by what is accepted: back-pressure shows early.
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self.listener.setsockopt(socket.SOL_SOCKET, option,
                                         buffer_bytes)
        self.port = self.listener.getsockname()[1]
        self.host = name or (f"[{host}]" if ":" in host else host)
        self.writers = set()
        self.accepted = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)
        started = concurrent.futures.Future()
        self.loop.call_soon(
            lambda: self.loop.create_task(self.listen(started)))
        self.thread.start()
        started.result(TIMEOUT_S)

    def url(self, behaviour="echo", *args, **options):
        query = [("arg", arg) for arg in args] + list(options.items())
        return (f"{'wss' if self.tls else 'ws'}://{self.host}:{self.port}"
                f"/{behaviour}" + ("?" + urllib.parse.urlencode(query)
                                   if query else ""))

    def connection(self, index=0, timeout=TIMEOUT_S):
        """The connection with that index, waiting until it is open."""
        self.wait_for(lambda: len(self.connections) > index,
                      f"connection {index}", timeout)
        return self.connections[index].wait_for(
            lambda c: c.opened or c.ended, "a handshake", timeout)

    def wait_for(self, predicate, what="", timeout=TIMEOUT_S):
        with self.changed:
            if self.changed.wait_for(predicate, timeout):
                return
        raise AssertionError(f"target never saw {what or 'it'}; "
                             f"connections: {self.connections[-5:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.loop.is_running():
            self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    # The rest runs in the target's thread.

    def note(self):
        with self.changed:
            self.changed.notify_all()

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        # Nobody may be left waiting for an answer of ours.
        self.listener.close()
        for writer in self.writers:
            writer.transport.abort()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(
            asyncio.gather(*tasks, return_exceptions=True))
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    async def listen(self, started):
        await asyncio.start_server(self.accept, sock=self.listener,
                                   ssl=self.tls, limit=1 << 16,
                                   backlog=1024)
        started.set_result(None)

    async def accept(self, reader, writer):
        self.accepted += 1
        self.note()
        if not self.tls:
            # No buffer of asyncio's own: what the target sends waits in the
            # kernel, so that n_sent is what left this process.
            writer.transport.set_write_buffer_limits(high=0)
        self.writers.add(writer)
        try:
            await Connection(self, reader, writer).serve()
        except asyncio.CancelledError:
            pass
        finally:
            self.writers.discard(writer)


def remember_sni(tls_object, name, _context):
    tls_object.polysocket_sni = name


def main():
    parser = argparse.ArgumentParser(description="WebSocket target of tests")
    parser.add_argument("--port", type=int, default=0)
    target = Target(port=parser.parse_args().port)
    print(target.port, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
