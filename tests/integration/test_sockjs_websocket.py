"""WebSockets of SockJS: with its frames, and raw."""

import contextlib
import json
import secrets
import signal
import zlib

import pytest

from application import Answer, Application
from client import Http
from database import insert
from h2stream import Http2Stream
from rawsocket import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT,
                       client_frame, close_payload, head)
from sockjs import FramedSocket, Service, connect

OFFER = "permessage-deflate"
HUNDRED_KB = 100 * 1024
# A letter of each plane that has any, what JSON escapes, what SockJS does.
TEXTS = ["", "hello", "\x00\x07\b\t\n\x0b\f\r\x1f\x7f\"\\/</script>",
         "\xe4\u20ac\ud7ff\ue000", "\u200b\u200c\u200f\u2028\u2029\u202f",
         "\u2060\u206f\ufeff\ufff0\ufffd\uffff",
         "\U00010000\U0001f600\U0002f800\U000e0001\U0010fffd",
         "[\"as frames have it\"]", "o", "h", "c[3000,\"x\"]"]


@pytest.fixture
def echo(shared_application, http):
    application = shared_application("echo", events=True)
    return application, Service(http, application.authorize(
        "echo-" + secrets.token_hex(4)))


@pytest.fixture
def quiet(shared_application, http):
    application = shared_application("quiet", events=True)
    client = "quiet-" + secrets.token_hex(4)
    return application, Service(http, application.authorize(client)), client


def socket_id(service):
    return service.base.lstrip("/")


def direct(stack, service, **headers):
    """A raw one of wsbridge itself."""
    raw = FramedSocket(stack.ws_socket)
    raw.upgrade(stack.prefix + service.base + "/websocket", **headers)
    return raw


# What is said.

def test_frames_go_both_ways(echo):
    with echo[1].socket() as framed:
        framed.say_messages("x")
        assert framed.text() == 'a["x"]'
        framed.say_messages(*TEXTS)
        heard = []
        while len(heard) < len(TEXTS):
            heard += framed.messages()
        assert heard == TEXTS


def test_raw_messages_go_both_ways(echo):
    with echo[1].raw() as raw:
        for text in TEXTS:
            raw.say_text(text)
            assert raw.text() == text


def test_a_bare_string_is_a_message(echo):
    with echo[1].socket() as framed:
        framed.say_text('"bare"')
        assert framed.text() == 'a["bare"]'


def test_empty_frames_and_arrays_are_nothing(echo):
    with echo[1].socket() as framed:
        for nothing in ("", "[]", " [ ] "):
            framed.say_text(nothing)
        framed.say_messages("first")
        assert framed.text() == 'a["first"]'


def test_a_raw_empty_message_is_one(echo):
    with echo[1].raw() as raw:
        raw.say_text("")
        assert raw.text() == ""


@pytest.mark.parametrize("kind", ["socket", "raw"])
def test_large_messages(echo, kind):
    text = "\U0001f600\u2028 " * (HUNDRED_KB // 8)
    with getattr(echo[1], kind)() as one:
        if kind == "raw":
            one.say_text(text)
            assert one.text() == text
        else:
            one.say_messages(text)
            assert one.messages() == [text]


@pytest.mark.parametrize("kind", ["socket", "raw"])
def test_fragments_and_pings_between(echo, kind):
    with getattr(echo[1], kind)() as one:
        said = b'"in three"'
        one.say(TEXT, said[:3], fin=False)
        one.say(PING, b"between")
        one.say(CONTINUATION, said[3:5], fin=False)
        one.say(CONTINUATION, said[5:])
        assert one.next_frame() == (PONG, b"between")
        assert one.text() == (
            'a["in three"]' if kind == "socket" else '"in three"')


def test_what_waits_comes_in_one_frame(shared_application, http):
    application = shared_application("quiet")
    service = Service(http, application.authorize("waiting"))
    for i in range(3):
        assert application.publish(socket_id(service), i)["queued"] is True
    with service.socket() as framed:
        assert framed.text() == 'a["0","1","2"]'


def test_what_waits_raw_comes_as_it_was_said(shared_application, http):
    application = shared_application("quiet")
    service = Service(http, application.authorize("waiting-raw"))
    for i in range(3):
        application.publish(socket_id(service), i)
    with service.raw() as raw:
        assert [raw.text() for _ in range(3)] == ["0", "1", "2"]


def test_a_publish_reaches_all_in_order(quiet):
    application, service, _ = quiet
    with contextlib.ExitStack() as stack:
        framed = [stack.enter_context(service.socket(
            Sec_WebSocket_Extensions=OFFER if i % 2 else None))
            for i in range(4)]
        raw = [stack.enter_context(service.raw()) for _ in range(2)]
        for i in range(20):
            assert application.publish(
                socket_id(service), f"{i}\u2028")["sessions"] == 6
        expected = [f"{i}\u2028" for i in range(20)]
        for one in framed:
            heard = []
            while len(heard) < len(expected):
                heard += one.messages()
            assert heard == expected
        for one in raw:
            assert [one.text() for _ in expected] == expected


def test_each_is_a_session_of_its_own(quiet):
    """Whatever the URL's session is called, as the protocol has it."""
    application, service, client = quiet
    path = "/000/same/websocket"
    with service.socket(path) as a, service.socket(path) as b:
        sessions = application.sessions(socket_id(service))
        assert [one["transport"] for one in sessions] == ["websocket"] * 2
        for one, session in zip((a, b), sessions):
            application.publish(socket_id(service), session["session"],
                                session["session"])
            assert one.messages() == [session["session"]]
        a.say_messages("of a")
        b.say_messages("of b")
        application.wait_for(
            lambda: len(application.messages(client=client)) == 2, "both")
        told = application.told("session", client=client,
                                message="of a")
        assert told == [sessions[0]["session"]]
    with service.raw():
        application.wait_for(
            lambda: [one["transport"] for one in
                     application.sessions(socket_id(service))]
            == ["websocket-raw"], "the others leaving")


# What is broken.

@pytest.mark.parametrize("text", [
    '["a', "a", '["a",]', "{}", "1", "null", '["a",1]', '[["a"]]',
    '["a"]["b"]', '"\\x"'])
def test_broken_json_ends_it(quiet, text):
    application, service, client = quiet
    with service.socket() as framed:
        framed.say_text(text)
        assert framed.next_frame() == (
            CLOSE, close_payload(1007, "Broken JSON encoding."))
        assert framed.at_end()
    assert application.wait_event(
        "disconnected", client=client)["code"] == 1007
    assert application.messages(client=client) == []


@pytest.mark.parametrize("kind", ["socket", "raw"])
def test_binary_messages_end_it(quiet, kind):
    with getattr(quiet[1], kind)() as one:
        one.say(BINARY, b'["a"]')
        assert one.next_frame() == (
            CLOSE, close_payload(1003, "binary message"))
        assert one.at_end()


@pytest.mark.options(max_message="1KiB", max_body="4KiB")
@pytest.mark.parametrize("kind", ["socket", "raw"])
def test_the_largest_message(echo, kind):
    """Its quotes do not count, and those that come together may be more."""
    def say(one, size):
        text = "x" * size
        if kind == "raw":
            one.say_text(text)
        else:
            one.say_messages(text)
        return text

    with getattr(echo[1], kind)() as one:
        text = say(one, 1024)
        assert (one.text() if kind == "raw" else one.messages()[0]) == text
        if kind == "socket":
            one.say_messages(text, text, text)
            heard = []
            while len(heard) < 3:
                heard += one.messages()
            assert heard == [text] * 3
        say(one, 1025)
        assert one.next_close()[0] == 1009


@pytest.mark.options(max_message="1KiB", max_body="4KiB")
def test_the_largest_text(echo):
    with echo[1].socket() as framed:
        framed.say_text('["a"' + " " * (4096 - 5) + "]")
        assert framed.messages() == ["a"]
        framed.say_text('["a"' + " " * (4097 - 5) + "]")
        assert framed.next_close()[0] == 1009


# How it ends.

@pytest.mark.parametrize("kind", ["socket", "raw"])
def test_the_application_closes(quiet, kind):
    application, service, client = quiet
    with getattr(service, kind)() as one:
        session = application.sessions(socket_id(service))[0]["session"]
        application.publish(socket_id(service), "last")
        application.publish(socket_id(service), session=session, close={
            "code": 3001, "reason": "en\u2028ough"})
        if kind == "socket":
            assert one.text() == 'a["last"]'
            assert one.text() == 'c[3001,"en\\u2028ough"]'
        else:
            assert one.text() == "last"
        assert one.next_frame() == (
            CLOSE, close_payload(3001, "en\u2028ough"))
        one.say(CLOSE, close_payload(3001))
        assert one.at_end()
    event = application.wait_event("disconnected", client=client)
    assert (event["code"], event["reason"]) == (3001, "en\u2028ough")
    assert event["session"] == session


@pytest.mark.parametrize("kind", ["socket", "raw"])
@pytest.mark.parametrize("code, reason", [(1000, ""), (3000, "bye"),
                                          (4999, "\xe4" * 61)])
def test_the_client_closes(quiet, kind, code, reason):
    application, service, client = quiet
    with getattr(service, kind)() as one:
        one.say_text('"said before"')
        one.say(CLOSE, close_payload(code, reason))
        assert one.next_frame() == (CLOSE, close_payload(code, reason))
        assert one.at_end()
    event = application.wait_event("disconnected", client=client)
    assert (event["code"], event["reason"]) == (code, reason)
    assert len(application.messages(client=client)) == 1


def test_a_client_that_just_goes(quiet):
    application, service, client = quiet
    with service.socket() as framed:
        framed.say_messages("last")
        application.wait_for(lambda: application.messages(client=client),
                             "what it said")
    assert application.wait_event(
        "disconnected", client=client)["code"] == 1006


def test_a_withdrawal_closes(quiet):
    application, service, client = quiet
    with service.socket() as framed, service.raw() as raw:
        application.withdraw(client)
        assert framed.text() == 'c[3000,"Go away!"]'
        assert framed.next_close() == raw.next_close() == (3000, "Go away!")


def test_a_reply_closes_nothing_and_follows(echo):
    """The answer to a close frame comes behind what was replied before."""
    with echo[1].socket() as framed:
        framed.say_messages("one")
        assert framed.messages() == ["one"]
        assert framed.leave() == (1000, "")


def test_many_strings_in_one_text(quiet):
    _, service, _ = quiet
    with service.socket() as framed:
        framed.say_messages(*[""] * 4097)
        assert framed.next_close()[0] == 1009


def test_records(quiet, stack):
    _, service, client = quiet
    with service.socket("/000/some/websocket?from=me+1.0&t=1",
                        Origin="https://a.test"):
        stack.wait_until(lambda: stack.sql(
            "SELECT 1 FROM sessions WHERE kind = 'application' AND "
            f"subject = '{client}' AND agent = 'me 1.0' AND "
            "origin = 'https://a.test' AND remote_addr = '127.0.0.1'"),
            "the record")


def test_a_bridge_that_drains_closes(new_stack, new_application):
    stack = new_stack(options={"drain_timeout": "60s"})
    application = new_application(stack=stack, events=True)
    service = Service(Http(stack.port), application.authorize("ann"))
    with service.socket() as framed, service.raw() as raw:
        stack.replace_bridge()
        assert framed.text() == 'c[1001,"server shutting down"]'
        for one in (framed, raw):
            assert one.next_close() == (1001, "server shutting down")
    assert application.wait_event("disconnected")["code"] == 1001
    with service.socket() as framed:
        framed.say_messages("to the successor")
        application.wait_messages("to the successor")


# What it has said is kept before a client hears that all is well.

def test_a_close_is_answered_once_all_is_kept(new_stack, new_application):
    stack = new_stack()
    application = new_application(stack=stack)
    application.behaviour = lambda callback: Answer(500)
    service = Service(Http(stack.port), application.authorize("ann"))
    with service.socket() as framed:
        framed.say_messages(*map(str, range(100)))
        framed.say(CLOSE, close_payload(1000))
        assert framed.next_close()[0] == 1000
        stack.stop_bridge(signal.SIGKILL)
    application.behaviour = application.quiet
    stack.start_bridge()

    def heard():
        return {message for message, callback in zip(
            application.messages(), application.callbacks)
            if callback.status == 204}

    application.wait_for(lambda: len(heard()) == 100, "all of them")
    assert heard() == set(map(str, range(100)))


def test_no_answer_while_nothing_can_be_kept(new_stack, new_application):
    """It is cut off, so that it knows no more than it may."""
    stack = new_stack()
    application = new_application(stack=stack)
    service = Service(Http(stack.port), application.authorize("ann"))
    with service.socket() as framed, stack.database.shell() as shell:
        shell.lock()
        framed.say_messages("not kept")
        framed.say(CLOSE, close_payload(1000))
        assert framed.at_end()
        shell.run("ROLLBACK")
    application.wait_messages("not kept")


def test_what_cannot_be_kept_is_told(new_stack, new_application):
    stack = new_stack()
    application = new_application(stack=stack)
    service = Service(Http(stack.port), application.authorize("ann"))
    with service.socket() as left, service.raw() as raw, \
            service.socket() as framed:
        stack.sql("CREATE TRIGGER full BEFORE INSERT ON outbox "
                  "BEGIN SELECT RAISE(ABORT, 'no room'); END")
        left.say_messages("lost")
        left.say(CLOSE, close_payload(1000, "all said"))
        assert left.next_close()[0] == 1011
        framed.say_messages("lost")
        assert framed.text() == 'c[1011,"not written"]'
        assert framed.next_close() == (1011, "not written")
        raw.say_text("lost")
        assert raw.next_close() == (1011, "not written")
    assert application.messages() == []


def test_who_says_too_much_is_not_read_from(new_stack, new_application):
    """While the database is locked, so that nothing of it is kept."""
    stack = new_stack(options={"queue_bytes": "64MiB"})
    application = new_application(stack=stack)
    service = Service(Http(stack.port), application.authorize("ann"))
    texts = [f"{i} " + "x" * 5000 for i in range(400)]
    data = b"".join(client_frame(TEXT, text.encode()) for text in texts)
    with direct(stack, service) as raw, stack.database.shell() as shell:
        shell.lock()
        raw.socket.setblocking(False)
        sent = idle = 0
        while idle < 50 and sent < len(data):
            try:
                sent += raw.socket.send(data[sent:])
                idle = 0
            except BlockingIOError:
                idle += 1       # whatever else the bridge does meanwhile
                assert service.get("/info").status == 200
        assert sent < len(data) // 2
        shell.run("ROLLBACK")
        raw.socket.settimeout(30)
        raw.send(data[sent:])
        application.wait_messages(*texts)


@pytest.mark.options(queue_bytes="256KiB", max_message="64KiB",
                     stall_timeout="300ms")
def test_who_does_not_read_is_closed(shared_application, stack, http):
    application = shared_application("quiet", events=True)
    service = Service(http, application.authorize("slow"))
    text = "x" * 60000
    with direct(stack, service), direct(stack, service) as other:
        sessions = 2
        for i in range(200):
            sessions = application.publish(socket_id(service),
                                           f"{i}{text}")["sessions"]
            assert other.text() == f"{i}{text}"
            if sessions == 1:
                break
        assert sessions == 1
        assert application.wait_event(
            "disconnected", client="slow")["code"] == 1013


# Compression.

def deflate(data):
    codec = zlib.compressobj(wbits=-15)
    return (codec.compress(data) + codec.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflate(data):
    return zlib.decompressobj(wbits=-15).decompress(
        data + b"\x00\x00\xff\xff")


@pytest.mark.parametrize("kind", ["socket", "raw"])
def test_compressed_messages(echo, kind):
    with getattr(echo[1], kind)(Sec_WebSocket_Extensions=OFFER) as one:
        assert one.answered["sec-websocket-extensions"] == (
            "permessage-deflate; server_no_context_takeover; "
            "client_no_context_takeover")
        for size in (10, 1000, HUNDRED_KB):
            said = json.dumps("x" * size).encode()
            one.say(TEXT, deflate(said), rsv1=True)
            opcode, heard = one.next_frame()
            assert opcode == TEXT
            assert one.compressed == (size >= 1000)
            heard = inflate(heard) if one.compressed else heard
            assert heard == (said if kind == "raw" else b"a[" + said + b"]")


# Beginnings.

@pytest.mark.parametrize("version", ["7", "8", "13"])
def test_versions(echo, version):
    """Those in which frames are what they are today."""
    with echo[1].socket(Sec_WebSocket_Version=version,
                        Sec_WebSocket_Key="x3JJHMbDL1EzLkh9GBhXDw==",
                        Connection="keep-alive, Upgrade") as framed:
        assert (framed.answered["sec-websocket-accept"]
                == "HSmrc0sMlYUkAGmm5OPpG2HaGWk=")
        framed.say_messages("a")
        assert framed.text() == 'a["a"]'


def refusal(stack, service, path="/000/some/websocket", **headers):
    """Of wsbridge itself: status, headers, text."""
    with FramedSocket(stack.ws_socket) as raw:
        raw.send(head(stack.prefix + service.base + path, **headers))
        status, answered, body = raw.answer()
        assert raw.at_end()
        return status, answered, body.decode()


@pytest.mark.parametrize("headers, status, text", [
    ({"Upgrade": "h2c"}, 400, 'Can "Upgrade" only to "WebSocket".'),
    ({"Upgrade": None}, 400, 'Can "Upgrade" only to "WebSocket".'),
    ({"Connection": "close"}, 400, '"Connection" must be "Upgrade".'),
    ({"Sec_WebSocket_Version": "6"}, 426, "13, 8 or 7"),
    ({"Sec_WebSocket_Version": None}, 426, "13, 8 or 7"),
    ({"Sec_WebSocket_Key": "short"}, 400, "Sec-WebSocket-Key"),
    ({"Host": None}, 400, "Host"),
], ids=str)
def test_handshakes_that_are_none(quiet, stack, headers, status, text):
    got, answered, body = refusal(stack, quiet[1], **headers)
    assert got == status
    assert text in body
    assert answered["content-type"] == "text/plain; charset=UTF-8"
    if status == 426:
        assert answered["sec-websocket-version"] == "13, 8, 7"


@pytest.mark.parametrize("path", [
    "/websocket/", "//websocket", "/a/websocket", "/a//websocket",
    "//a/websocket", "/a.b/c/websocket", "/a/b.c/websocket",
    "/a/b/c/websocket", "/a%2eb/c/websocket", "/a/%/websocket",
    "/a/%ff/websocket", "/a/" + 129 * "x" + "/websocket"])
def test_paths_that_are_none(quiet, stack, path):
    assert refusal(stack, quiet[1], path)[0] == 404


@pytest.mark.parametrize("path", [
    "/a/b/websocket", "/_-%20/%C3%A9/websocket", "/a%2Fb/c/websocket",
    "/a/" + 128 * "x" + "/websocket", "/a/b/websocket?t=1"])
def test_paths_of_any_server_and_session(quiet, path):
    with quiet[1].socket(path) as framed:
        assert framed.leave() == (1000, "")


@pytest.mark.parametrize("path", ["/websocket", "/000/some/websocket"])
def test_an_unknown_socket_id(stack, http, path):
    got, answered, body = refusal(stack, Service(http, "a2" * 16), path)
    assert got == 404
    assert answered["content-type"] == "text/plain; charset=UTF-8"


def test_without_the_transport(shared_application, stack, http):
    application = shared_application("quiet", sockjs_websocket=0)
    service = Service(http, application.authorize("ann"))
    assert service.get("/info").json["websocket"] is False
    for path in ("/websocket", "/000/some/websocket"):
        assert refusal(stack, service, path)[0] == 404


@pytest.mark.parametrize("header", ["Origin", "Sec_WebSocket_Origin",
                                    "Referer"])
def test_origins(shared_application, stack, http, header):
    application = shared_application("quiet", origins=("https://a.test",),
                                     allow_no_origin=0)
    service = Service(http, application.authorize("ann"))
    with service.socket(**{header: "https://a.test"}) as framed:
        assert framed.leave()[0] == 1000
    for headers in ({}, {header: "https://b.test"}, {"Origin": "null"}):
        status, answered, _ = refusal(stack, service, **headers)
        assert status == 403
        assert "access-control-allow-origin" not in answered


def test_limits_of_tokens(shared_application, stack, http):
    application = shared_application("quiet", max_sockets=1)
    service = Service(http, application.authorize("ann"))
    with service.socket():
        status, answered, _ = refusal(stack, service)
        assert status == 429
        assert int(answered["retry-after"]) > 0


def test_without_the_service(new_stack):
    stack = new_stack(options={"services": "relay, channels"})
    service = Service(Http(stack.port), "a2" * 16)
    assert refusal(stack, service)[0] == 404


def test_without_the_service_in_a_virtual_host(new_stack, responder):
    """The web server tells the bridge, whatever the client says."""
    stack = new_stack(environment={"POLYSOCKET_SERVICES": "relay, channels"})
    application = Application(stack, responder)
    socket_id = "a2" * 16
    stack.sql(insert("authorizations", {
        "socket_id": socket_id, "token_id": application.token_id,
        "client": "ann", "callback": application.url}))
    path = f"{stack.prefix}/{socket_id}/websocket"

    def status(address, name, path):
        with FramedSocket(address) as raw:
            raw.send(head(path, **({"Polysocket_Services": name} if name
                                   else {})))
            return raw.answer()[0]

    def straight(name):
        return status(stack.ws_socket, name, path)

    stack.wait_until(lambda: straight(None) == 101, "the authorization")
    assert straight("relay, applications") == 101
    for name in ("relay, channels", "applications?", "x" * 200):
        assert straight(name) == 404, name
    server = ("127.0.0.1", stack.port)
    assert status(server, None, path) == 404
    assert status(server, "applications", path) == 404
    # And what is on is there.
    assert status(server, None, f"{stack.prefix}/room/listen") == 101


def test_over_http2(echo, stack):
    stream = Http2Stream(("127.0.0.1", stack.port))
    assert stream.offered is (stack.server == "lighttpd")
    with FramedSocket(stream) as framed:
        if not stream.offered:
            return      # a browser makes a connection of HTTP/1.1 then
        stream.connect(stack.prefix + echo[1].base
                       + "/000/over-h2/websocket")
        assert framed.text() == "o"
        framed.say_messages("by HTTP/2")
        assert framed.text() == 'a["by HTTP/2"]'


# Silence.

@pytest.mark.options(heartbeat_interval="100ms")
def test_heartbeats(quiet):
    with quiet[1].socket() as framed, quiet[1].raw() as raw:
        assert framed.text() == framed.text() == "h"
        assert raw.next_frame() == raw.next_frame() == (PING, b"")


@pytest.mark.options(heartbeat_interval="100ms")
@pytest.mark.parametrize("transport", ["websocket", "raw"])
def test_clients_live_with_heartbeats(shared_application, http, transport):
    application = shared_application("echo")
    with connect(http, application.authorize("beats"), transport) as user:
        for i in range(5):
            user.send(str(i))
            assert user.next() == str(i)
