"""The SockJS protocol: which characters are escaped, and that any text gets
there and back. See test_sockjs_protocol.py."""

import json
import secrets

import pytest

from sockjs import HTTP_TRANSPORTS, Service

pytestmark = pytest.mark.options(stream_bytes="4KiB")

# What a server sends escaped, beside control characters.
ESCAPED = [*range(0x200c, 0x2010), *range(0x2028, 0x2030),
           *range(0x2060, 0x2070), *range(0xfff0, 0x10000)]
SHORT = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}
SURROGATES = range(0xd800, 0xe000)
BEYOND = [plane + at for plane in range(0x10000, 0x110000, 0x10000)
          for at in (0, 1, 0xf600, 0xffff)]


@pytest.fixture
def session(sockjs):
    session = sockjs("echo").session()
    assert session.xhr().text == "o\n"
    return session


def literal(codes):
    """A JSON string with each of them escaped."""
    return '"' + "".join(f"\\u{code:04x}" for code in codes) + '"'


def verbatim(codes):
    return '"' + "".join(map(chr, codes)) + '"'


def said(session, text):
    """What comes back, as it is written."""
    assert session.try_send(f"[{text}]").status == 204
    answer = session.xhr().text
    assert answer.startswith("a[") and answer.endswith("]\n"), answer
    return answer[2:-2]


def test_server_encodes(session):
    assert said(session, verbatim(ESCAPED)) == literal(ESCAPED)


def test_server_encodes_control_characters(session):
    codes = range(0x20)
    assert said(session, literal(codes)) == '"' + "".join(
        SHORT.get(code, f"\\u{code:04x}") for code in codes) + '"'


def test_server_encodes_lone_surrogates(session):
    """UTF-8 has no bytes for them, and WebSockets take nothing else."""
    lone = [0xd800, 0x20, 0xdfff, 0xd9ab, 0xd800, 0x41]
    expected = '"\\ud800 \\udfff\\ud9ab\\ud800A"'
    assert said(session, literal(lone)) == expected
    pair = '"\\ud83d\\ude00\\ude00"'
    assert said(session, pair) == '"\U0001f600\\ude00"'


def test_server_encodes_nothing_else(session):
    """Just outside of what it does, and what JSON allows to be escaped."""
    codes = [0x7f, 0x9f, 0xad, 0x200b, 0x2010, 0x2027, 0x2030, 0x205f,
             0x2070, 0xd7ff, 0xe000, 0xffef, 0x10000, 0x10ffff]
    assert said(session, verbatim(codes)) == verbatim(codes)
    assert said(session, '"\\/\\u002f\\u0041\\u00e9"') == '"//A\u00e9"'
    assert said(session, '"\\"\\\\"') == '"\\"\\\\"'


def test_server_decodes(session):
    """Any character may come escaped: clients do that with all that some
    browser has mangled."""
    codes = [code for code in range(0x10000) if code not in SURROGATES]
    for begin in range(0, len(codes), 8192):
        part = codes[begin:begin + 8192]
        assert json.loads(said(session, literal(part))) == "".join(
            map(chr, part))


@pytest.mark.parametrize("transport", ["websocket", "raw", *HTTP_TRANSPORTS])
def test_any_text_both_ways(http, new_application, transport):
    """To the application and back, and from it."""
    text = "".join(map(chr, [
        *range(0x300), *ESCAPED, *range(0x2000, 0x2070), 0xd7ff, 0xe000,
        *BEYOND])) + "<script></script>%41&amp;\\u0041"
    application = new_application("echo")
    socket_id = application.authorize()
    service = Service(http, socket_id)
    if transport not in HTTP_TRANSPORTS:
        with (service.raw() if transport == "raw"
              else service.socket()) as socket:
            heard = ((lambda: [socket.text()]) if transport == "raw"
                     else socket.messages)
            socket.say_text(text if transport == "raw"
                            else json.dumps([text]))
            assert heard() == [text]
            application.publish(socket_id, text)
            assert heard() == [text]
        application.wait_messages(text)
        return
    session = service.session()
    assert session.xhr().text == "o\n"
    (session.jsonp_send if transport == "jsonp" else session.send)(text)
    application.wait_messages(text)
    with session.begin(transport) as receiver:
        assert receiver.messages() == [text]
    # That one may be thought to listen still.
    session = service.session()
    assert session.xhr().text == "o\n"
    application.publish(socket_id, text)
    with session.begin(transport) as receiver:
        assert receiver.messages() == [text]


def test_lone_surrogates_both_ways(http, new_application):
    """JavaScript has such strings, UTF-8 has not: the raw WebSocket gets what
    stands for a character that cannot be said."""
    text = "a\ud800b\udfffc"
    application = new_application("echo")
    service = Service(http, application.authorize())
    with service.socket() as framed, service.raw() as raw:
        framed.say_messages(text)
        assert framed.text() == 'a["a\\ud800b\\udfffc"]'
        application.wait_messages(text)
        name, = {callback.get("session") for callback in
                 application.callbacks}
        other, = (its["session"] for its in application.sessions(
            service.base[1:]) if its["session"] != name)
        body = json.dumps({"message": text})
        response = application.http.post(
            f"/publish{service.base}/{other}", body,
            {"Content-Type": "application/json"})
        assert response.status == 200, response
        assert raw.text() == "a\ufffdb\ufffdc"


def test_a_hundred_kilobytes(http, new_application):
    text = secrets.token_hex(50000)
    service = Service(http, new_application("echo").authorize())
    for transport in HTTP_TRANSPORTS:
        session = service.session()
        assert session.xhr().text == "o\n"
        session.send(text)
        with session.begin(transport) as receiver:
            assert receiver.messages() == [text]
