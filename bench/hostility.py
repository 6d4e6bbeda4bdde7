"""Clients and targets that mean no good, against a running relay.

    hostility.py --port P --prefix /relay --echo P --kinds unread,deaf --n 300

Prints "ready" when everything is in place, goes on until its standard input
ends, then drops all connections and prints what it did as one line of JSON.
Most of it is sockets that do nothing; what floods is tests/tools/ws-echo. It
gives way to everybody else (see give_way()), so that what others lose by it
was taken from them by the servers, not by this program.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import pathlib
import resource
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]
                       / "tests" / "lib"))

import websocket        # noqa: E402

NICE = 5        # enough behind what is measured, and not behind all else
READY_S = 60    # to get into place; then they go on with what there is
RESET = struct.pack("ii", 1, 0)         # SO_LINGER: close() sends RST
SMALL_BUFFER = 2048
ANSWER_S = 30
AT_ONCE = 4             # requests of one kind that wait for an answer
BURST = 1000            # connects, or creates
BURST_S = 0.1
BURST_SLICES = 20
CONNECTS_EVERY_S = 2
CREATES_EVERY_S = 5
SEND_BYTES = 48 * 1024
FILL_SENDS = 400        # a deaf target refuses long before that
TICK_S = 1


def give_way():
    """Behind everybody else: in this session of processes, and the session
    behind others (sched(7), autogroup)."""
    os.nice(NICE)
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/autogroup").write_text(str(NICE))


def drop(sock):
    """Closes with RST, so that nothing lingers anywhere."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


class Relay:
    """Where it is, and requests to it."""

    def __init__(self, arguments):
        self.port = arguments.port
        self.prefix = arguments.prefix
        self.echo_port = arguments.echo
        self.n = arguments.n

    def head(self, method, route, body=None):
        """The bytes of a request, up to the body and with it."""
        lines = [f"{method} {self.prefix}/polysocket/{route} HTTP/1.1",
                 f"Host: 127.0.0.1:{self.port}", "Connection: close"]
        if body is not None:
            lines += ["Content-Type: application/json",
                      f"Content-Length: {len(body)}"]
        return "\r\n".join(lines + ["", ""]).encode("ascii")

    def post(self, route, **members):
        body = json.dumps(members).encode("ascii")
        return self.head("POST", route, body) + body

    def get(self, route, **query):
        words = "&".join(f"{name}={value}" for name, value in query.items())
        return self.head("GET", f"{route}?{words}" if words else route)

    def create(self, path="/", port=None):
        return self.post("create", target=f"ws://127.0.0.1:"
                         f"{port or self.echo_port}{path}")

    def connect(self, buffer_bytes=None):
        """A connection that is there or on its way; never waits."""
        sock = socket.socket()
        sock.setblocking(False)
        if buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        sock.connect_ex(("127.0.0.1", self.port))
        return sock

    async def begin(self, request, buffer_bytes=None):
        """A connection on which a request was sent."""
        sock = self.connect(buffer_bytes)
        await asyncio.get_running_loop().sock_sendall(sock, request)
        return sock

    async def answer(self, request):
        """(status, body) of an answer that is read; 0: there was none."""
        loop = asyncio.get_running_loop()
        data, sock = b"", self.connect()
        try:
            await loop.sock_sendall(sock, request)
            while part := await asyncio.wait_for(
                    loop.sock_recv(sock, 65536), ANSWER_S):
                data += part
        except (OSError, asyncio.TimeoutError):
            return 0, b""
        finally:
            sock.close()
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, body

    async def session(self, path="/", port=None):
        """The id of a new session; None when there is none."""
        _, body = await self.answer(self.create(path, port))
        _, _, rest = body.partition(b'"socket":"')
        return rest.split(b'"')[0].decode("ascii") or None


class Kind:
    """One kind of hostility. `counts` tells what it did."""

    def __init__(self, relay):
        self.relay = relay
        self.counts = collections.Counter()
        self.socks = []
        self.gate = asyncio.Semaphore(AT_ONCE)

    async def prepare(self):
        """Gets everything into place."""

    async def go_on(self):
        """Whatever it does from then on, for ever."""

    async def for_all(self, function):
        """Runs it for each of n, a few at once."""
        async def one(i):
            async with self.gate:
                await function(i)

        await asyncio.gather(*map(one, range(self.relay.n)))

    def stop(self):
        for sock in self.socks:
            drop(sock)
        self.socks.clear()


class Unread(Kind):
    """Clients that never read, while their targets flood them."""

    async def prepare(self):
        await self.for_all(self.open)

    async def open(self, i):
        session = await self.relay.session("/flood")
        if session is None:
            self.counts["refused"] += 1
            return
        route = "xhr-streaming" if i % 2 else "xhr"
        self.socks.append(await self.relay.begin(
            self.relay.get(route, socket=session), SMALL_BUFFER))
        self.counts["clients that never read"] += 1


class Deaf(Kind):
    """Targets that never read, while their clients send."""

    def __init__(self, relay):
        super().__init__(relay)
        self.sends = []
        self.polls = []

    async def prepare(self):
        await self.for_all(self.fill)

    async def fill(self, _):
        """Sends until the bridge refuses."""
        session = await self.relay.session("/ignore")
        if session is None:
            self.counts["refused"] += 1
            return
        self.socks.append(await self.relay.begin(
            self.relay.get("xhr", socket=session, timeout=60000)))
        request = self.relay.post("send", socket=session, events=[
            {"type": "string", "data": "x" * SEND_BYTES}])
        for _ in range(FILL_SENDS):
            if await self.send(request) != 201:
                break
        self.sends.append(request)
        self.counts["targets that never read"] += 1

    async def send(self, request):
        status, _ = await self.relay.answer(request)
        self.counts[f"sends answered {status}"] += 1
        return status

    async def go_on(self):
        """As often as Retry-After lets them, and no answer is waited for
        before the next one asks."""
        while True:
            for request in self.sends:
                await asyncio.sleep(TICK_S / len(self.sends))
                async with self.gate:
                    await self.send(request)
            if not self.sends:
                await asyncio.sleep(TICK_S)


class Slow(Kind):
    """A byte a second: heads, bodies, and what targets send."""

    def __init__(self, relay):
        super().__init__(relay)
        self.trickles = {}      # what is still to come, by connection
        self.targets = []
        self.server = None

    async def prepare(self):
        self.server = await asyncio.start_server(
            self.serve, "127.0.0.1", 0, backlog=1024)
        await self.for_all(self.open)

    async def open(self, i):
        relay = self.relay
        if i % 3 == 2:
            port = self.server.sockets[0].getsockname()[1]
            session = await relay.session("/", port)
            if session is None:
                self.counts["refused"] += 1
                return
            self.socks.append(await relay.begin(
                relay.get("xhr", socket=session, timeout=60000)))
            self.counts["slow targets"] += 1
        elif i % 3:
            request = relay.post("create", target="ws://x/" + "x" * 300)
            head, _, body = request.partition(b"\r\n\r\n")
            sock = await relay.begin(head + b"\r\n\r\n")
            self.trickles[sock] = body
            self.counts["slow bodies"] += 1
        else:
            request = relay.get("health/live", pad="x" * 300)
            self.trickles[relay.connect()] = request
            self.counts["slow heads"] += 1

    async def serve(self, reader, writer):
        """A target that takes minutes for a message."""
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.lower().split(b"sec-websocket-key:")[1].split()[0]
        at = head.lower().index(key)
        accept = websocket.accept_key(head[at:at + 24].decode("ascii"))
        writer.write(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket"
                      "\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                      f"{accept}\r\n\r\n").encode("ascii"))
        self.targets.append(
            (writer, iter(websocket.frame(websocket.TEXT, b"x" * 60000))))

    async def go_on(self):
        while True:
            await asyncio.sleep(TICK_S)
            for sock, left in list(self.trickles.items()):
                self.trickle(sock, left)
            for writer, left in self.targets:
                writer.write(bytes([next(left)]))
                self.counts["bytes"] += 1

    def trickle(self, sock, left):
        try:
            sock.send(left[:1])
            self.counts["bytes"] += 1
        except OSError:         # the server has enough of it: once more
            left = b""
        if len(left) > 1:
            self.trickles[sock] = left[1:]
            return
        drop(sock)
        del self.trickles[sock]
        self.trickles[self.relay.connect()] = self.relay.get(
            "health/live", pad="x" * 300)
        self.counts["slow heads"] += 1

    def stop(self):
        for sock in self.trickles:
            drop(sock)
        for writer, _ in self.targets:
            writer.transport.abort()
        self.trickles.clear()
        super().stop()


class HalfOpen(Kind):
    """Requests that stop: in the head, before the body, in the body with the
    client's side closed."""

    async def prepare(self):
        await self.for_all(self.open)

    async def open(self, i):
        request = self.relay.post("create", target="ws://127.0.0.1:1/")
        head, _, body = request.partition(b"\r\n\r\n")
        part = (head[:-9], head + b"\r\n\r\n",
                head + b"\r\n\r\n" + body[:9])[i % 3]
        sock = await self.relay.begin(part)
        if i % 3 == 2:
            sock.shutdown(socket.SHUT_WR)
        self.socks.append(sock)
        self.counts["half-open requests"] += 1

    async def go_on(self):
        """Those that the server ends come again."""
        while True:
            await asyncio.sleep(TICK_S)
            for i, sock in enumerate(self.socks[:]):
                if self.was_ended(sock):
                    drop(sock)
                    self.socks.remove(sock)
                    await self.open(i)

    @staticmethod
    def was_ended(sock):
        try:
            while sock.recv(65536):
                pass
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True


class Connects(Kind):
    """Again and again BURST connects within BURST_S, half of them with a
    request; nobody waits for the answers."""

    async def go_on(self):
        while True:
            began = time.monotonic()
            for i in range(BURST_SLICES):
                self.connect_some()
                await asyncio.sleep(
                    began + (i + 1) * BURST_S / BURST_SLICES
                    - time.monotonic())
            took_ms = (time.monotonic() - began) * 1000
            self.counts["longest burst, ms"] = max(
                self.counts["longest burst, ms"], round(took_ms))
            self.counts["bursts of connects"] += 1
            await asyncio.sleep(BURST_S * 5)
            self.stop()
            await asyncio.sleep(CONNECTS_EVERY_S - BURST_S * 6)

    def connect_some(self):
        request = self.relay.get("health/live")
        for i in range(BURST // BURST_SLICES):
            sock = self.relay.connect()
            self.socks.append(sock)
            self.counts["connects"] += 1
            if i % 2:
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    sock.send(request)


class Creates(Kind):
    """Again and again BURST sessions created at once, and left alone."""

    async def go_on(self):
        request = self.relay.create("/discard")
        while True:
            began = time.monotonic()
            for _ in range(BURST):
                sock = self.relay.connect()
                self.socks.append(sock)
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    sock.send(request)
            self.counts["creates"] += BURST
            took_ms = (time.monotonic() - began) * 1000
            self.counts["longest burst of creates, ms"] = max(
                self.counts["longest burst of creates, ms"], round(took_ms))
            await asyncio.sleep(CREATES_EVERY_S)
            for sock in self.socks:
                self.count(sock)
            self.stop()

    def count(self, sock):
        answer = b""
        with contextlib.suppress(OSError):
            answer = sock.recv(4096)
        status = answer[9:12].decode("ascii", "replace") or "not"
        self.counts[f"creates answered {status}"] += 1


class Cut(Kind):
    """Requests that are cut off behind each of their bytes, by RST and by
    FIN; n a second."""

    async def go_on(self):
        relay = self.relay
        while True:
            session = await relay.session("/discard")
            for request in (
                    relay.create("/discard"),
                    relay.post("send", socket=session, n=1, events=[
                        {"type": "string", "data": "cut"}]),
                    relay.get("xhr", socket=session, ack=0)):
                for at in range(2 * len(request)):
                    await asyncio.sleep(1 / relay.n)
                    self.cut(request[:at // 2 + 1], at % 2)

    def cut(self, part, with_reset):
        sock = self.relay.connect()
        with contextlib.suppress(BlockingIOError, ConnectionError):
            sock.send(part)
        if with_reset:
            drop(sock)
        else:
            sock.close()
        self.counts["cut requests"] += 1


KINDS = {"unread": Unread, "deaf": Deaf, "slow": Slow, "half-open": HalfOpen,
         "connects": Connects, "creates": Creates, "cut": Cut}


async def prepare(kinds):
    tasks = [asyncio.create_task(kind.prepare()) for kind in kinds]
    done, late = await asyncio.wait(tasks, timeout=READY_S)
    await end(late)
    for task in done:
        task.result()


async def end(tasks):
    """Again and again, since wait_for() of Python 3.11 loses a cancellation
    that meets what it waits for."""
    while any(not task.done() for task in tasks):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1)


async def run(arguments):
    kinds = [KINDS[name](Relay(arguments))
             for name in arguments.kinds.split(",")]
    await prepare(kinds)
    print("ready", flush=True)
    tasks = [asyncio.create_task(kind.go_on()) for kind in kinds]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    failures = [task.exception() for task in tasks
                if task.done() and task.exception()]
    await end(tasks)
    counts = collections.Counter()
    for kind in kinds:
        kind.stop()
        counts.update(kind.counts)
    if failures:
        raise failures[0]
    print(json.dumps(counts), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--echo", type=int, required=True,
                        help="port of a ws-echo")
    parser.add_argument("--kinds", required=True,
                        help=f"comma list of {', '.join(KINDS)}")
    parser.add_argument("--n", type=int, default=300,
                        help="of each kind; default 300")
    give_way()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
