"""The SockJS protocol, as of version 0.3.3: what a server says without a
session, where sessions are, and what they have in common.

A test is named after the rule, in the order of the protocol's own text
(sockjs-protocol-0.3.3). Services are applications whose callbacks are
answered by tests/lib/application.py: echo, close, one without WebSockets and
one with cookies; streams end after 4 KiB, as that text asks for.

Where spec/http.md and the protocol's own tests differ, the spec is right:
Cache-Control says no-transform as well, and JSONP begins with `/**/`. The
variant of WebSockets that it calls hixie-76 was given up by all browsers by
2012 and is not there.
"""

import json
import re
import secrets

import pytest

from client import Http

pytestmark = pytest.mark.options(stream_bytes="4KiB")

NOT_CACHED = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
IFRAME = """\
<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script>
    document.domain = document.domain;
    _sockjs_onload = function(){SockJS.bootstrap_iframe();};
  </script>
  <script src="%s"></script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"""
SOCKJS_URL = "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js"
NOBODY = "a" * 32       # a socket id that was never given


@pytest.fixture(params=["1.1", "2"])
def http(request, stack):
    """All of this by HTTP/1.1 and by HTTP/2."""
    return Http(stack.port, stack.prefix, request.param)


@pytest.fixture
def echo(sockjs):
    return sockjs("echo")


# What answers have in common; the other files use it too.

def content_type(response):
    """Without spaces; lighttpd has RFC 9239's name for scripts."""
    value = response.header("Content-Type")
    return value and value.replace(" ", "").replace(
        "text/javascript", "application/javascript")


def check_404(response):
    assert response.status == 404, response


def check_405(response, allowed):
    assert response.status == 405, response
    assert allowed in response.header("Allow").split(", "), response
    assert response.header("Content-Type") is None
    assert response.body == b""


def check_no_cookie(response):
    assert response.header("Set-Cookie") is None


def check_cors(response, origin=None):
    """`*` for those without an origin, and for pages of files, which say
    "null": an answer with that would be a refusal to their browsers."""
    assert response.header("Access-Control-Allow-Origin") == (
        origin if origin not in (None, "null") else "*")
    assert response.header("Access-Control-Allow-Credentials") == "true"


def check_not_cached(response):
    assert response.header("Cache-Control") == NOT_CACHED
    assert response.header("Expires") is None
    assert response.header("Last-Modified") is None


def check_cached_for_long(response):
    control = response.header("Cache-Control")
    assert "public" in control, control
    assert int(re.search(r"max-age=(\d+)", control)[1]) > 1000000
    assert response.header("Expires")


def check_options(service, path, methods):
    for origin in (None, "test", "null"):
        headers = {"Origin": origin} if origin else {}
        response = service.request("OPTIONS", path, headers)
        assert response.status == 204, response
        assert response.body == b""
        check_cached_for_long(response)
        assert int(response.header("Access-Control-Max-Age")) > 1000000
        assert response.header("Access-Control-Allow-Methods") == methods
        check_cors(response, origin)


# Greeting.

@pytest.mark.parametrize("path", ["", "/"])
def test_greeting(echo, path):
    response = echo.get(path)
    assert (response.status, response.text) == (200, "Welcome to SockJS!\n")
    assert content_type(response) == "text/plain;charset=UTF-8"
    check_no_cookie(response)


@pytest.mark.parametrize("path", [
    "/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/", "/a/a/a",
    "/a/a/XHR", "/a/a/xhr/", "/a/a/a/xhr", "/info/", "/xhr", "/websocket/",
    "/Info"])
def test_other_simple_requests_are_not_found(echo, path):
    check_404(echo.get(path))
    check_404(echo.request("POST", path))


def test_nobody_is_not_found(http):
    """A socket id of the right form that was never given."""
    for method, path in (("GET", ""), ("GET", "/"), ("GET", "/info"),
                         ("GET", "/iframe.html"), ("POST", "/a/a/xhr"),
                         ("POST", "/a/a/xhr_send"),
                         ("POST", "/a/a/xhr_streaming"),
                         ("GET", "/a/a/eventsource"),
                         ("GET", "/a/a/htmlfile?c=x"),
                         ("GET", "/a/a/jsonp?c=x"),
                         ("POST", "/a/a/jsonp_send")):
        body = '["a"]' if path.endswith("send") else None
        check_404(http.request(method, f"/{NOBODY}{path}", None,
                               {"Content-Type": "text/plain"}, body))


# Iframe page.

def check_iframe(response):
    assert response.status == 200, response
    assert content_type(response) == "text/html;charset=UTF-8"
    check_cached_for_long(response)
    assert response.header("ETag")
    assert response.header("Last-Modified") is None
    assert response.text.strip() == IFRAME % SOCKJS_URL
    check_no_cookie(response)


@pytest.mark.parametrize("path", [
    "/iframe.html",
    # Versions:
    "/iframe-a.html", "/iframe-.html", "/iframe-0.1.2.html",
    "/iframe-0.1.2abc-dirty.2144.html",
    # Clients that want no cache:
    "/iframe-a.html?t=1234", "/iframe-0.1.2.html?t=123414",
    "/iframe-0.1.2abc-dirty.2144.html?t=qweqweq123"])
def test_iframe(echo, path):
    check_iframe(echo.get(path))


@pytest.mark.parametrize("path", [
    "/iframe.htm", "/iframe", "/IFRAME.HTML", "/IFRAME", "/iframe.HTML",
    "/iframe.xml", "/iframe-/.html", "/iframe.html/", "/aiframe.html"])
def test_iframe_of_another_name(echo, path):
    check_404(echo.get(path))


def test_iframe_cacheability(echo):
    tag = echo.get("/iframe.html").header("ETag")
    assert tag and tag == echo.get("/iframe.html").header("ETag")
    response = echo.get("/iframe.html", {"If-None-Match": tag})
    assert (response.status, response.body) == (304, b"")
    assert response.header("Content-Type") is None
    assert response.header("ETag") == tag
    check_iframe(echo.get("/iframe.html", {"If-None-Match": '"other"'}))


def test_iframe_without_its_body(echo):
    response = echo.request("HEAD", "/iframe.html")
    assert (response.status, response.body) == (200, b"")
    assert response.header("ETag") == echo.get("/iframe.html").header("ETag")


def test_nothing_is_compressed_on_the_way(echo):
    """It would change an ETag, and hold streams back."""
    headers = {"Accept-Encoding": "gzip"}
    response = echo.get("/iframe.html", headers)
    check_iframe(response)
    assert response.header("Content-Encoding") is None
    assert response.header("ETag") == echo.get("/iframe.html").header("ETag")
    with echo.session().begin("xhr_streaming", headers) as receiver:
        assert receiver.frame() == "o"
        assert receiver.header("Content-Encoding") is None


# Info.

def test_info(echo):
    response = echo.get("/info")
    assert response.status == 200
    assert content_type(response) == "application/json;charset=UTF-8"
    check_no_cookie(response)
    check_not_cached(response)
    check_cors(response)
    info = response.json
    assert set(info) == {"websocket", "origins", "cookie_needed", "entropy"}
    assert (info["websocket"], info["cookie_needed"]) == (True, False)
    assert info["origins"] == ["*:*"]


def test_info_entropy(echo):
    found = [echo.get("/info").json["entropy"] for _ in range(3)]
    assert all(type(number) is int and 0 <= number < 1 << 32
               for number in found), found
    assert len(set(found)) == 3


def test_info_options(echo):
    check_options(echo, "/info", "OPTIONS, GET")


def test_info_for_a_null_origin(echo):
    check_cors(echo.get("/info", {"Origin": "null"}), "null")
    check_cors(echo.get("/info", {"Origin": "http://a.example:81"}),
               "http://a.example:81")


def test_info_of_a_service_without_websockets(sockjs):
    info = sockjs("disabled_websocket_echo").get("/info").json
    assert info["websocket"] is False


# Session URLs.

@pytest.mark.parametrize("part", [
    "/a/a", "/_/_", "/1/1", "/abcdefgh_i-j%20/abcdefg_i-j%20", "/%2F/%2F",
    "/x/\N{GREEK SMALL LETTER ALPHA}"])
def test_any_value_of_server_and_session(echo, part):
    response = echo.request("POST", part + secrets.token_hex(4) + "/xhr")
    assert (response.status, response.text) == (200, "o\n")


@pytest.mark.parametrize("part", [
    "//", "/a./a", "/a/a.", "/./.", "/", "///", "/a//a", "//a", "/../a",
    "/a/%2E", "/a%2Eb/a"])
def test_invalid_paths_of_a_session(echo, part):
    check_404(echo.get(part + "/xhr"))
    check_404(echo.request("POST", part + "/xhr"))


def test_ignoring_server_id(echo):
    session = echo.session(server="000")
    assert session.xhr().text == "o\n"
    session.send("a")
    response = session.on("999").xhr()
    assert (response.status, response.text) == (200, 'a["a"]\n')


def test_sessions_of_others_are_others(sockjs):
    """The same name below two socket ids."""
    one = sockjs("echo").session()
    other = sockjs("cookie_needed_echo").session(one.name)
    assert one.xhr().text == "o\n"
    check_404(other.try_send('["a"]'))
    assert other.xhr().text == "o\n"


# Protocol and framing.

def test_simple_session(echo, stack):
    session = echo.session()
    response = session.xhr()
    assert (response.status, response.text) == (200, "o\n")
    session.send("a")
    response = session.xhr()
    assert (response.status, response.text) == (200, 'a["a"]\n')
    check_404(echo.session().try_send('["a"]'))
    with stack.until_held(lambda: session.begin("xhr")) as held:
        response = session.xhr()
        assert (response.status, response.text) == (
            200, 'c[2010,"Another connection still open"]\n')
        # Which has not harmed the first.
        session.send("b")
        assert held.messages() == ["b"]


def test_one_frame_for_all_that_waits(echo, stack):
    session = echo.session()
    assert session.xhr().text == "o\n"
    session.send("a", "b")
    session.send("c")
    heard = []
    while len(heard) < 3:
        text = session.xhr().text
        assert text.startswith("a") and text.endswith("]\n"), text
        heard += json.loads(text[1:])
    assert heard == ["a", "b", "c"]


def test_close_session(sockjs):
    session = sockjs("close").session()
    response = session.xhr()
    assert (response.status, response.text) == (200, "o\n")
    for _ in range(3):
        response = session.xhr()
        assert (response.status, response.text) == (
            200, 'c[3000,"Go away!"]\n')


@pytest.mark.options(heartbeat_interval="100ms", receiver_grace="1s")
def test_heartbeats_and_the_end_of_a_session(echo, stack):
    """Both after a time of their own; 25 s and 5 s as shipped."""
    session = echo.session()
    with session.open("xhr_streaming") as stream:
        assert [stream.frame(), stream.frame()] == ["h", "h"]
    session = echo.session()
    assert session.xhr().text == "o\n"
    assert session.xhr().text == "h\n"
    stack.wait_until(lambda: session.try_send('["a"]').status == 404,
                     "the end of the session")
    assert session.xhr().text == "o\n"      # of another one


# Methods.

@pytest.mark.parametrize("transport, method", [
    ("xhr", "GET"), ("xhr", "PUT"), ("xhr", "DELETE"),
    ("xhr_streaming", "GET"), ("xhr_send", "GET"), ("jsonp_send", "GET"),
    ("eventsource", "POST"), ("htmlfile", "POST"), ("jsonp", "POST"),
    ("jsonp", "DELETE")])
def test_other_methods_are_not_allowed(echo, transport, method):
    posts = transport.startswith("xhr") or transport.endswith("_send")
    response = echo.session().request(transport, method=method, c="x")
    check_405(response, "POST" if posts else "GET")
    assert method not in response.header("Allow").split(", ")


@pytest.mark.parametrize("path", ["", "/", "/info", "/iframe.html"])
def test_pages_are_got(echo, path):
    check_405(echo.request("POST", path), "GET")
    assert echo.request("HEAD", path).status == 200


# Origins.

def test_an_origin_that_the_application_refuses(http, new_application, stack):
    application = new_application(
        "echo", origins=["https://app.example.com"])
    base = f"/{application.authorize()}"
    for path in ("/info", "/a/a/eventsource"):
        response = http.get(base + path, {"Origin": "https://evil.example"})
        assert response.status == 403, response
        assert response.header("Access-Control-Allow-Origin") is None
    with Http(stack.port).begin("GET", base + "/a/a/eventsource", None,
                                {"Origin": "https://app.example.com"}) as it:
        assert it.head() == 200
        assert (it.header("Access-Control-Allow-Origin")
                == "https://app.example.com")
