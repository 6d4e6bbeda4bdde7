"""Applications that answer whatever comes to their mind, and users of
applications who mean no good: what they may cost is bounded, and the others
are served meanwhile."""

import contextlib
import itertools
import json
import socket
import threading
import zlib

import pytest

from application import Application
from rawsocket import CONTINUATION, PING, TEXT, client_frame
from sockjs import HTTP_TRANSPORTS, Service, connect
from test_outbox import resident_bytes, wait_empty

MIB = 1 << 20
AGAIN = {"callback_backoff": "10ms", "callback_timeout": "500ms"}
LASTING = {"receiver_grace": "60s"}     # sessions whose user only speaks
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Villain:
    """A server of our own bytes: `behaviour` gets the connection and how many
    came before, once a whole request was read, and writes what it likes. What
    it was sent is in `requests`."""

    def __init__(self, behaviour):
        self.behaviour = behaviour
        self.requests = []
        self.numbers = itertools.count()
        self.over = threading.Event()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}/"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while not self.over.is_set():
                threading.Thread(target=self.serve, daemon=True,
                                 args=(self.server.accept()[0],)).start()

    def serve(self, sock):
        with sock, contextlib.suppress(OSError):
            sock.settimeout(20)
            while self.read(sock):
                self.behaviour(self, sock, next(self.numbers))

    def read(self, sock):
        """One request; False at the end."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length"))
        while len(body) < size:
            body += sock.recv(65536)
        self.requests.append(json.loads(body))
        return True

    def messages(self):
        return [request["message"] for request in list(self.requests)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        # Who waits in accept() is woken up by that alone.
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


def end(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def drip(villain, sock, _number):
    """A byte now and then, never to the end."""
    for byte in itertools.cycle(OK[:-4]):
        if villain.over.wait(0.02):
            return
        sock.sendall(bytes([byte]))


def forever(begin, again):
    def write(villain, sock, _number):
        sock.sendall(begin)
        while not villain.over.is_set():
            sock.sendall(again * 64)
    return write


def once(answer):
    def write(_villain, sock, _number):
        sock.sendall(answer)
        end(sock)
    return write


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
HEAD_TOO_LARGE = "head of the reply larger than 64 KiB"
LOST = "connection lost before the reply's end"

VILLAINS = {
    "drips": (drip, "timed out after 500 ms"),
    "many-headers": (forever(HEAD, b"X-Filler: xxxxxxxxxxxxxxx\r\n"),
                     HEAD_TOO_LARGE),
    "early-hints": (forever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
                    HEAD_TOO_LARGE),
    "continues": (forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
                  HEAD_TOO_LARGE),
    "switches": (once(b"HTTP/1.1 101 Switching Protocols\r\n"
                      b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
                 None),
    "endless-body": (forever(HEAD + b"\r\n", b"x" * 1000),
                     "reply larger than callback_reply_bytes"),
    "endless-chunks": (forever(CHUNKED, b"400\r\n" + b"x" * 1024 + b"\r\n"),
                       "reply larger than callback_reply_bytes"),
    "endless-trailers": (forever(CHUNKED + b"0\r\n",
                                 b"X-Filler: xxxxxxxxxxxx\r\n"),
                         HEAD_TOO_LARGE),
    "chunk-size": (once(CHUNKED + b"zz\r\nx\r\n"), None),
    "huge-chunk": (once(CHUNKED + b"ffffffffffffffff0\r\nx\r\n"), None),
    "negative-length": (once(HEAD + b"Content-Length: -1\r\n\r\nx"), None),
    "http-0.9": (once(b"hello"), None),
    "nul": (once(HEAD + b"X-\0Y: 1\r\n\r\n"), None),
    "cut-head": (once(HEAD), None),
    "cut-chunk": (once(CHUNKED + b"5\r\nx"), None),
}


def check_memory(stack, before, most):
    """A sanitizer's own does not count."""
    grown = resident_bytes(stack) - before
    program = stack.wsbridge.read_bytes()
    assert (grown < most or b"__asan_init" in program
            or b"__tsan_init" in program), grown


def say(application, *messages, client="ann", **fields):
    socket_id = application.authorize(client, **fields)
    session = Service(application.http, socket_id).session()
    assert session.xhr().text == "o\n"
    session.send(*messages)
    return session


def last_error(stack, client):
    found = stack.sql("SELECT last_error FROM outbox WHERE attempts > 0 "
                      f"AND client = '{client}'")
    return found[0]["last_error"] if found else None


@pytest.mark.options(callback_reply_bytes="16KiB", **AGAIN, **LASTING)
def test_answers_that_are_none_cost_little_and_hold_up_nobody(stack,
                                                              responder):
    """Each with a user of its own, all at the same time, and again and again
    beside one whose application is well."""
    well = Application(stack, responder, "echo",
                       callbacks=["http://127.0.0.1:*"])
    with contextlib.ExitStack() as villains, connect(
            well.http, well.authorize("eve"), "xhr_streaming") as eve:
        before = resident_bytes(stack)
        for name, (behaviour, _) in VILLAINS.items():
            villain = villains.enter_context(Villain(behaviour))
            say(well, "hello", client=name, callback=villain.url)
        for name, (_, error) in VILLAINS.items():
            stack.wait_until(lambda name=name: last_error(stack, name),
                             f"an attempt of {name}", stack.bridge)
            assert error in (None, last_error(stack, name)), name
            eve.send(f"beside {name}")
            assert eve.next() == f"beside {name}"
        check_memory(stack, before, 16 * MIB)
        # None of them was taken for a success.
        assert {row["client"] for row in stack.sql(
            "SELECT client FROM outbox")} >= set(VILLAINS)
        for name in VILLAINS:
            well.withdraw(name)


@pytest.mark.options(**AGAIN, **LASTING)
def test_what_comes_before_it_was_asked_for_answers_nothing(stack, responder):
    """An application that answers twice: the second is not the answer to the
    next callback."""
    def twice(villain, sock, number):
        if number % 2:
            sock.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" + OK)
        else:
            sock.sendall(OK + OK)

    application = Application(stack, responder,
                              callbacks=["http://127.0.0.1:*"])
    with Villain(twice) as villain:
        say(application, *map(str, range(6)), callback=villain.url)
        wait_empty(stack, "client = 'ann'")
        said = villain.messages()
    # Each one was answered with 200 once, and those with 500 came again.
    assert list(dict.fromkeys(said)) == list(map(str, range(6)))
    assert len(said) >= 11, said


# Users.

@pytest.mark.options(**LASTING)
def test_receivers_of_one_session_that_come_at_once(stack, responder):
    """Of any transport: one has it, the others are told so; and what is said
    is heard once."""
    application = Application(stack, responder, "echo")
    service = Service(application.http, application.authorize())
    for _ in range(5):
        session = service.session()
        with contextlib.ExitStack() as cleanup:
            receivers = [cleanup.enter_context(session.begin(transport))
                         for transport in HTTP_TRANSPORTS * 4]
            frames = [receiver.frame() for receiver in receivers]
            # A poll makes way when it has got its `o`, and whoever comes then
            # may hear no more than a heartbeat.
            assert "o" in frames
            assert set(frames) <= {"o", "h", 'c[2010,"Another connection still '
                                             'open"]', None}, frames
    assert len(application.sessions(service.base[1:])) <= 5


@pytest.mark.options(first_receiver_grace="2s", receiver_grace="1s",
                     max_sessions="500", max_sessions_per_address="0",
                     max_creates_per_second="0")
def test_session_ids_without_end(stack, responder):
    """They are refused at some number, and room comes back."""
    application = Application(stack, responder, "echo")
    service = Service(application.http, application.authorize())
    before = resident_bytes(stack)
    answers = [service.session(f"s{i}").xhr() for i in range(700)]
    refused = [answer for answer in answers if answer.status != 200]
    for answer in refused:
        assert answer.status == 503, answer
    check_memory(stack, before, 8 * MIB)
    stack.wait_until(lambda: service.session().xhr().status == 200,
                     "room for another", stack.bridge)


@pytest.mark.options(**LASTING)
@pytest.mark.parametrize("kind", ["pings", "fragments", "messages"])
def test_websockets_that_flood_and_do_not_read(stack, responder, kind):
    """What is not read of answers bounds what is taken of questions."""
    application = Application(stack, responder, "echo")
    service = Service(application.http, application.authorize())
    flood = {
        "pings": client_frame(PING, b"x" * 125) * 500,
        "fragments": client_frame(TEXT, b"[", fin=False)
        + client_frame(CONTINUATION, b" ", fin=False) * 20000,
        "messages": client_frame(TEXT, b'["%s"]' % (b"x" * 1000)) * 100,
    }[kind]
    with connect(application.http, application.authorize("eve"),
                 "xhr_streaming") as eve, service.socket() as user:
        before = resident_bytes(stack)
        user.socket.settimeout(1)
        with contextlib.suppress(OSError):
            for _ in range(400):
                user.send(flood)
        for i in range(5):
            eve.send(f"still {i}")
            assert eve.next() == f"still {i}"
        check_memory(stack, before, 24 * MIB)


@pytest.mark.options(**LASTING)
@pytest.mark.parametrize("path", [None, "/websocket"])
def test_what_is_small_and_wants_to_be_large(stack, responder, path):
    application = Application(stack, responder)
    service = Service(application.http, application.authorize())
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(b" " * (64 * MIB)) + deflate.flush(
        zlib.Z_SYNC_FLUSH)
    before = resident_bytes(stack)
    with service.socket(path, Sec_WebSocket_Extensions="permessage-deflate"
                        ) as user:
        assert "permessage-deflate" in user.answered[
            "sec-websocket-extensions"]
        user.say(TEXT, bomb[:-4], rsv1=True)
        assert user.next_close()[0] == 1009
    check_memory(stack, before, 8 * MIB)
    assert application.callbacks == []


def test_publishing_to_many_while_they_are_withdrawn(stack, responder):
    """Nobody hears anything after the end, and all of them hear of it."""
    application = Application(stack, responder)
    clients = [f"user{i}" for i in range(60)]
    with contextlib.ExitStack() as cleanup:
        users = {client: cleanup.enter_context(connect(
            application.http, application.authorize(client), transport))
            for client, transport in zip(
                clients, itertools.cycle(("websocket", "xhr_streaming",
                                          "xhr")))}
        answers = []

        def publish():
            for i in range(10):
                for client in clients:
                    answers.append(application.try_publish(
                        application.socket_ids[client], message=str(i)))

        threads = [threading.Thread(target=publish) for _ in range(3)]
        for thread in threads:
            thread.start()
        for client in clients:
            application.withdraw(client)
        for thread in threads:
            thread.join()
        assert {answer.status for answer in answers} <= {200, 404}
        for user in users.values():
            item = user.take()
            while not hasattr(item, "code"):
                item = user.take()
            assert (item.code, item.reason) == (3000, "Go away!")
    assert stack.sql("SELECT * FROM authorizations WHERE token_id = "
                     f"{application.token_id}") == []
