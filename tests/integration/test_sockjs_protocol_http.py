"""The SockJS protocol by HTTP, transport by transport: what opens it, its
frames, where it ends, what it takes and what it does not; cookies. See
test_sockjs_protocol.py."""

import json
import urllib.parse

import pytest

from client import Http
from sockjs import FORM, HTMLFILE_HEAD, HTTP_TRANSPORTS, METHODS, STREAMS
from test_sockjs_protocol import (check_404, check_cors, check_no_cookie,
                                  check_not_cached, check_options,
                                  content_type)

STREAM_BYTES = 4096
TYPES = {"xhr": "application/javascript", "jsonp": "application/javascript",
         "xhr_streaming": "application/javascript",
         "eventsource": "text/event-stream", "htmlfile": "text/html"}
CALLBACK_MAX = 32

pytestmark = pytest.mark.options(stream_bytes="4KiB")


@pytest.fixture(params=["1.1", "2"])
def http(request, stack):
    return Http(stack.port, stack.prefix, request.param)


@pytest.fixture
def echo(sockjs):
    return sockjs("echo")


@pytest.fixture(params=HTTP_TRANSPORTS)
def transport(request):
    return request.param


def check_text(response, status, words):
    """An error, which a person reads."""
    assert response.status == status, response
    assert words in response.text
    assert content_type(response) == "text/plain;charset=UTF-8"


# What all have.

def test_options(echo, transport):
    check_options(echo, "/abc/abc/" + transport,
                  "OPTIONS, " + METHODS[transport])


@pytest.mark.parametrize("what", ["xhr_send", "jsonp_send"])
def test_options_of_sending(echo, what):
    check_options(echo, "/abc/abc/" + what, "OPTIONS, POST")


def test_opening(echo, transport):
    """Status, type and the first frame; the prelude is checked by frame()."""
    with echo.session().begin(transport) as receiver:
        assert receiver.head() == 200
        response = receiver.exchange
        assert content_type(response) == TYPES[transport] + ";charset=UTF-8"
        assert response.header("Cache-Control") == (
            "no-store, no-cache, no-transform, must-revalidate, max-age=0")
        for name in ("Expires", "Last-Modified", "Set-Cookie", "ETag"):
            assert response.header(name) is None
        assert receiver.frame() == "o"


def test_cors(echo, transport):
    for origin in (None, "http://a.example", "null"):
        with echo.session().begin(
                transport, {"Origin": origin} if origin else {}) as receiver:
            assert receiver.head() == 200
            check_cors(receiver.exchange, origin)


def test_messages(echo, transport):
    session = echo.session()
    with session.open(transport) as receiver:
        if transport in STREAMS:
            for text in ("x", "\0 \n\r ", "%41%", "</script><!--", "\"\\'",
                         "\U0001f600\u20ac"):
                session.send(text)
                assert receiver.messages() == [text]
            return
    session.send("x", "%41%", "</script>", "\0\r\n")
    heard = []
    while len(heard) < 4:
        with session.begin(transport) as receiver:
            heard += receiver.messages()
            assert receiver.at_end()        # one frame a poll
    assert heard == ["x", "%41%", "</script>", "\0\r\n"]


def frame_bytes(transport, message):
    """Bytes of the frame of one message, of letters alone."""
    frame = f'a["{message}"]'
    escaped = json.dumps(frame)
    return len({"xhr_streaming": f"{frame}\n",
                "eventsource": f"data: {frame}\r\n\r\n",
                "htmlfile": f"<script>\np({escaped});\n</script>\r\n"}[
                    transport])


@pytest.mark.parametrize("stream", STREAMS)
def test_response_limit_of_one_message(echo, stream):
    session = echo.session()
    with session.open(stream) as receiver:
        session.send("x" * STREAM_BYTES)
        assert receiver.messages() == ["x" * STREAM_BYTES]
        assert receiver.at_end()
    # The session goes on with the next.
    session.send("y")
    with session.begin(stream) as receiver:
        assert receiver.messages() == ["y"]


@pytest.mark.parametrize("stream", STREAMS)
def test_response_limit_of_many_messages(echo, stream):
    """4 KiB with frames and all, but without the prelude: it ends with the
    message that reaches it and not before."""
    session = echo.session()
    message = "x" * 128
    with session.open(stream) as receiver:
        sent = receiver.n_bytes
        while sent < STREAM_BYTES:
            session.send(message)
            assert receiver.messages() == [message]
            sent += frame_bytes(stream, message)
        assert receiver.n_bytes == sent
        assert receiver.at_end()
    session.send("more")
    with session.begin(stream) as receiver:
        assert receiver.messages() == ["more"]


# XHR.

def test_xhr_send(echo, stack):
    session = echo.session()
    assert session.xhr().text == "o\n"
    response = session.try_send('["x"]')
    assert (response.status, response.body) == (204, b"")
    check_cors(response)
    check_not_cached(response)
    check_no_cookie(response)
    # Firefox took an answer without a type for XML; Apache leaves it out of
    # every 204, see doc/operations.md.
    assert content_type(response) == (
        None if stack.server == "apache" else "text/plain;charset=UTF-8")
    assert session.xhr().text == 'a["x"]\n'


def test_sending_to_a_session_that_is_not_there(echo):
    check_404(echo.session().try_send('["x"]'))
    check_404(echo.session().try_jsonp_send("d=%5B%22x%22%5D"))


@pytest.mark.parametrize("body", [
    '["x', "[", "x", '["x"]]', '["x"] y', '["x",]', "['x']", '["\t"]',
    '["\\ud800\\x"]'])
def test_broken_json(echo, body):
    session = echo.session()
    assert session.xhr().text == "o\n"
    check_text(session.try_send(body), 500, "Broken JSON encoding.")
    check_text(session.try_jsonp_send("d=" + urllib.parse.quote(body)), 500,
               "Broken JSON encoding.")
    session.send("a")
    assert session.xhr().text == 'a["a"]\n'


@pytest.mark.parametrize("body", [
    '{"a":"b"}', "1", "null", "[1]", '["a",null]', '[["a"]]', "true"])
def test_json_that_is_no_messages(echo, body):
    session = echo.session()
    assert session.xhr().text == "o\n"
    response = session.try_send(body)
    assert response.status == 500, response
    session.send("a")
    assert session.xhr().text == 'a["a"]\n'


def test_no_payload(echo):
    session = echo.session()
    assert session.xhr().text == "o\n"
    check_text(session.try_send(""), 500, "Payload expected.")
    for body in ("", "d=", "p=p"):
        check_text(session.try_jsonp_send(body), 500, "Payload expected.")
    check_text(session.try_jsonp_send("", {"Content-Type": "text/plain"}),
               500, "Payload expected.")


def test_no_messages(echo):
    """An array that is empty is taken."""
    session = echo.session()
    assert session.xhr().text == "o\n"
    session.send()
    session.jsonp_send()
    session.send("a")
    assert session.xhr().text == 'a["a"]\n'


def test_content_types_of_xhr_send(echo):
    types = ["text/plain", "T", "application/json", "application/xml", "",
             "application/json; charset=utf-8", "text/xml; charset=utf-8",
             "text/xml", FORM["Content-Type"]]
    session = echo.session()
    assert session.xhr().text == "o\n"
    for number, name in enumerate(types):
        response = session.try_send(json.dumps([str(number)]),
                                    {"Content-Type": name})
        assert (response.status, response.body) == (204, b""), name
    heard = []
    while len(heard) < len(types):
        heard += json.loads(session.xhr().text[1:])
    assert heard == [str(number) for number in range(len(types))]


@pytest.mark.parametrize("asked, allowed", [
    ("a, b, c", "a, b, c"), ("X-One,x-two", "X-One,x-two"), ("", None),
    (None, None), ("a<b>", None), ("a;b", None)])
def test_request_headers_of_cors(echo, asked, allowed):
    headers = {} if asked is None else {
        "Access-Control-Request-Headers": asked}
    response = echo.session().xhr(headers)
    assert (response.status, response.text) == (200, "o\n")
    check_cors(response)
    assert response.header("Access-Control-Allow-Headers") == allowed
    response = echo.request("OPTIONS", "/a/a/xhr", headers)
    assert response.status == 204
    assert response.header("Access-Control-Allow-Headers") == allowed


# EventSource.

def test_eventsource_to_the_letter(echo):
    session = echo.session()
    with session.open("eventsource") as receiver:
        session.send("  \0\n\r ")
        assert receiver.line() == 'data: a["  \\u0000\\n\\r "]\r\n'
        assert receiver.line() == "\r\n"
        # What the client decodes: it would take a percent sign for more.
        session.send("100%")
        assert receiver.line() == 'data: a["100%25"]\r\n'


# HtmlFile.

def test_htmlfile_to_the_letter(echo):
    session = echo.session()
    with session.begin("htmlfile", callback="callback") as receiver:
        prelude = receiver.prelude()
        assert prelude.strip() == HTMLFILE_HEAD % "callback"
        assert len(prelude) > 1024
        assert (receiver.line() + receiver.line() + receiver.line()
                == '<script>\np("o");\n</script>\r\n')
        session.send("x")
        assert (receiver.line() + receiver.line() + receiver.line()
                == '<script>\np("a[\\"x\\"]");\n</script>\r\n')


# JSONP.

def test_jsonp_to_the_letter(echo):
    """But for `/**/`, which spec/http.md puts in front of every script: no
    other content type can be read into it."""
    session = echo.session()
    response = session.jsonp("callback")
    assert (response.status, response.text) == (
        200, '/**/callback("o");\r\n')
    response = session.try_jsonp_send("d=%5B%22x%22%5D")
    # Konqueror did weird things at 204.
    assert (response.status, response.text) == (200, "ok")
    assert content_type(response) == "text/plain;charset=UTF-8"
    check_not_cached(response)
    response = session.jsonp("callback")
    assert (response.status, response.text) == (
        200, '/**/callback("a[\\"x\\"]");\r\n')


def test_content_types_of_jsonp_send(echo):
    """A form is decoded, text is not."""
    session = echo.session()
    assert session.jsonp("x").text == '/**/x("o");\r\n'
    for body, headers in (("d=%5B%22abc%22%5D", FORM),
                          ("d=%5B%22+%2B%22%5D&x=y", FORM),
                          ('["%61bc"]', {"Content-Type": "text/plain"})):
        response = session.try_jsonp_send(body, headers)
        assert (response.status, response.text) == (200, "ok")
    heard = []
    while len(heard) < 3:
        with session.begin("jsonp", callback="x") as receiver:
            heard += receiver.messages()
    assert heard == ["abc", " +", "%61bc"]


@pytest.mark.parametrize("kind", ["jsonp", "htmlfile"])
def test_no_callback(echo, kind):
    check_text(echo.session().request(kind), 500,
               '"callback" parameter required')
    check_text(echo.session().request(kind, c=""), 500,
               '"callback" parameter required')


@pytest.mark.parametrize("kind", ["jsonp", "htmlfile"])
@pytest.mark.parametrize("callback", [
    "a b", "alert(1)//", "<script>", "x;y", "\u00e9", "a\nb", "a$",
    "x" * (CALLBACK_MAX + 1)])
def test_invalid_callback(echo, kind, callback):
    check_text(echo.session().request(kind, c=callback), 500,
               'invalid "callback" parameter')


@pytest.mark.parametrize("kind", ["jsonp", "htmlfile"])
@pytest.mark.parametrize("callback", [
    "_jp.abc123", "A-Za.z0_9", "x" * CALLBACK_MAX])
def test_valid_callback(echo, kind, callback):
    with echo.session().begin(kind, callback=callback) as receiver:
        assert receiver.frame() == "o"


def test_close_of_jsonp(sockjs):
    session = sockjs("close").session()
    assert session.jsonp("x").text == '/**/x("o");\r\n'
    for _ in range(2):
        assert session.jsonp("x").text == (
            '/**/x("c[3000,\\"Go away!\\"]");\r\n')


# The cookie of load balancers.

def check_cookie(response, value="dummy"):
    name, path = response.header("Set-Cookie").split(";")[:2]
    assert name.strip() == "JSESSIONID=" + value
    assert path.strip().lower() == "path=/"


def test_cookie_of_info(sockjs):
    response = sockjs("cookie_needed_echo").get("/info")
    assert response.json["cookie_needed"] is True
    check_no_cookie(response)


def test_cookie(sockjs, transport):
    service = sockjs("cookie_needed_echo")
    for headers, value in (({}, "dummy"),
                           ({"Cookie": "JSESSIONID=abcdef"}, "abcdef"),
                           ({"Cookie": "a=b; JSESSIONID=s-1.n2; c=d"},
                            "s-1.n2"),
                           ({"Cookie": "XJSESSIONID=no"}, "dummy")):
        with service.session().begin(transport, headers) as receiver:
            assert receiver.head() == 200
            check_cookie(receiver.exchange, value)
            assert receiver.frame() == "o"


def test_cookie_of_sending(sockjs):
    session = sockjs("cookie_needed_echo").session()
    assert session.xhr().text == "o\n"
    check_cookie(session.try_send('["x"]'))
    check_cookie(session.try_jsonp_send("d=%5B%22x%22%5D"))
    check_cookie(session.try_send('["x"]', {"Cookie": "JSESSIONID=abcdef"}),
                 "abcdef")
