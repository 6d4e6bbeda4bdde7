"""SockJS by HTTP: what its protocol leaves to the server. Errors, bounds,
origins, cookies, what is held, the end of sessions, and restarts."""

import json
import urllib.parse

import pytest

from application import Answer
from client import Http
from sockjs import FORM, HTTP_TRANSPORTS, POLLS, STREAMS, Service, connect

APP = "https://app.example.com"
OTHER = "https://other.example.com"
GO_AWAY = 'c[3000,"Go away!"]\n'
CLOSED_BY_BRIDGE = 'c[1001,"server shutting down"]'
SEND_MAX = 4096         # messages in one request


@pytest.fixture
def quiet(http, new_application):
    """An application that only listens, and what its client connects to."""
    return join(http, new_application("quiet"))


def join(http, application, client="ann"):
    return application, Service(http, application.authorize(client))


def is_text(response, status, text=None):
    assert response.status == status, response
    assert response.header("Content-Type") == "text/plain; charset=UTF-8"
    assert response.header("Cache-Control").startswith("no-store")
    if text is not None:
        assert response.text == text
    return True


def names_limit(response, status, limit):
    assert is_text(response, status)
    assert response.text.endswith(f' ("limit":"{limit}")\n'), response
    return True


# Sends.

@pytest.mark.parametrize("body, text", [
    ("", "Payload expected."),
    ("[", "Broken JSON encoding."),
    ('["x', "Broken JSON encoding."),
    ('["x"]]', "Broken JSON encoding."),
    ('["\\x"]', "Broken JSON encoding."),
    (b'["\xff"]', "Broken JSON encoding."),
    ('["a\nb"]', "Broken JSON encoding."),
    ("{}", "Payload expected."),
    ("null", "Payload expected."),
    ('"x"', "Payload expected."),
    ('["x",1]', "Payload expected."),
    ('[["x"]]', "Payload expected.")])
def test_what_is_no_array_of_strings_is_refused(quiet, body, text):
    application, service = quiet
    session = service.session()
    assert session.xhr().text == "o\n"
    assert is_text(session.try_send(body), 500, text)
    # Nothing of it was taken, and the session goes on.
    session.send("after")
    application.wait_messages("after")


def test_a_form_has_its_array_in_one_field(quiet):
    application, service = quiet
    session = service.session()
    assert session.jsonp().text == '/**/cb("o");\r\n'
    for body in ("", "d=", "p=p", "d"):
        assert is_text(session.try_jsonp_send(body), 500, "Payload expected.")
    assert is_text(session.try_jsonp_send("d=%5B%22x"), 500,
                   "Broken JSON encoding.")
    for body in ("d=%zz", "d=1&d=2"):
        assert is_text(session.try_jsonp_send(body), 400)
    session.jsonp_send("from", "a + form & more")
    response = session.try_jsonp_send('["%61s text"]',
                                      {"Content-Type": "text/plain"})
    assert is_text(response, 200, "ok")
    application.wait_messages("from", "a + form & more", "%61s text")
    # Of what can be sent only the first is a form.
    assert is_text(session.try_send("d=%5B%5D", FORM), 500,
                   "Broken JSON encoding.")


def test_an_empty_array_is_a_send_of_nothing(quiet):
    application, service = quiet
    session = service.session()
    assert session.xhr().text == "o\n"
    session.send()
    session.send("one")
    application.wait_messages("one")


@pytest.mark.options(max_message="20B", max_body="1KiB")
def test_messages_and_bodies_are_bounded(quiet):
    application, service = quiet
    session = service.session()
    assert session.xhr().text == "o\n"
    session.send("x" * 20, "ä" * 10, "\n" * 10)
    for too_large in ("x" * 21, "ä" * 10 + "x", "\n" * 10 + "x"):
        assert names_limit(session.try_send(json.dumps(["small", too_large])),
                           413, "max_message")
        body = urllib.parse.urlencode({"d": json.dumps([too_large])})
        assert names_limit(session.try_jsonp_send(body), 413, "max_message")
    assert session.try_send('["' + '"' * 1020).status == 500
    assert names_limit(session.try_send('["' + '"' * 1023), 413, "max_body")
    session.send("last")
    application.wait_messages("x" * 20, "ä" * 10, "\n" * 10, "last")


def test_a_token_bounds_messages_too(http, new_application):
    application, service = join(http, new_application(
        "quiet", max_message_bytes=10))
    session = service.session()
    assert session.xhr().text == "o\n"
    session.send("x" * 10)
    assert names_limit(session.try_send(json.dumps(["x" * 11])), 413,
                       "max_message_bytes")
    application.wait_messages("x" * 10)


@pytest.mark.options(max_events="10")
def test_a_client_may_send_all_that_it_has(stack, http, new_application):
    """It cannot divide it, so max_events is not for it."""
    application, service = join(http, new_application(
        lambda callback: Answer(hang=True)))
    session = service.session()
    assert session.xhr().text == "o\n"
    assert names_limit(session.try_send(json.dumps(["x"] * (SEND_MAX + 1))),
                       400, "max_sockjs_messages")
    assert (http.get("/polysocket/limits").json["limits"]
            ["max_sockjs_messages"] == SEND_MAX)
    session.send(*["x"] * SEND_MAX)
    assert stack.database.value(
        "SELECT count(*) FROM outbox WHERE token_id = "
        f"{application.token_id}") == SEND_MAX


@pytest.mark.options(outbox_messages="3", callback_retry="1h")
def test_an_outbox_that_is_full_refuses(http, new_application):
    application, service = join(http, new_application(
        lambda callback: Answer(hang=True)))
    session = service.session()
    assert session.xhr().text == "o\n"
    assert names_limit(session.try_send('["1","2","3","4"]'), 503,
                       "outbox_messages")
    session.send("1", "2", "3")
    response = session.try_send('["4"]')
    assert is_text(response, 503)
    assert int(response.header("Retry-After")) > 0
    # It is the application's, not the session's.
    other = service.session()
    assert other.xhr().text == "o\n"
    assert is_text(other.try_send('["5"]'), 503)


# Paths and parameters.

def test_the_session_of_a_path_is_bounded(quiet):
    _, service = quiet
    assert service.session("s" * 128).xhr().text == "o\n"
    assert is_text(service.session("s" * 129).xhr(), 404)
    assert service.session("%2F", "%2f").xhr().text == "o\n"
    for name in ("%2e", "a%2Eb"):
        assert is_text(service.session(name).xhr(), 404)
        assert is_text(service.session("a", name).xhr(), 404)


@pytest.mark.parametrize("transport", ["htmlfile", "jsonp"])
def test_a_callback_is_bounded(quiet, transport):
    _, service = quiet
    required = '"callback" parameter required'
    invalid = 'invalid "callback" parameter'
    for callback, text in ((None, required), ("", required), ("a b", invalid),
                           ("a(b", invalid), ("a<b", invalid),
                           ("ä", invalid), ("x" * 33, invalid)):
        response = service.session().request(transport, c=callback)
        assert is_text(response, 500, text)
    for callback in ("x" * 32, "A-z_0.9"):
        with service.session().begin(transport,
                                     callback=callback) as receiver:
            assert receiver.head() == 200
            assert receiver.frame() == "o"


@pytest.mark.parametrize("transport", HTTP_TRANSPORTS)
def test_head_makes_no_session(quiet, transport):
    application, service = quiet
    session = service.session()
    response = session.request(transport, method="HEAD", c="cb")
    if transport in ("xhr", "xhr_streaming"):
        assert response.status == 405
    else:
        assert (response.status, response.body) == (200, b"")
    assert application.sessions(service.base[1:]) == []
    assert is_text(session.try_send('["a"]'), 404)


@pytest.mark.prefix("/live")
def test_all_of_it_is_below_the_mount(quiet):
    application, service = quiet
    assert service.get().text == "Welcome to SockJS!\n"
    session = service.session()
    assert session.xhr().text == "o\n"
    session.send("hello")
    application.wait_messages("hello")


# Origins.

def test_origins_are_the_application_tokens(http, new_application):
    application = new_application("quiet", origins=[APP], allow_no_origin=0)
    socket_id = application.authorize(headers={"Origin": APP})
    service = Service(http, socket_id)
    session = service.session()
    assert session.xhr({"Origin": APP}).text == "o\n"
    for origin in (OTHER, "null", None):
        headers = {"Origin": origin} if origin else {}
        for response in (service.get("", headers),
                         service.get("/info", headers),
                         service.get("/iframe.html", headers),
                         service.session().xhr(headers),
                         session.xhr(headers),
                         session.try_send('["a"]', headers)):
            assert is_text(response, 403)
            assert response.header("Access-Control-Allow-Origin") is None
            assert (response.header("Access-Control-Allow-Credentials")
                    is None)
    # What a page loads for itself says where it is in another header.
    response = service.get("/info", {"Referer": f"{APP}/page.html"})
    assert response.status == 200
    assert response.header("Access-Control-Allow-Origin") == APP
    assert response.header("Access-Control-Allow-Credentials") == "true"
    assert "Origin" in response.header("Vary")
    assert session.try_send('["a"]', {"Origin": APP}).status == 204


def test_a_page_without_a_name_is_allowed_as_any(http, new_application):
    _, service = join(http, new_application("quiet"))
    for headers in ({}, {"Origin": "null"}):
        response = service.get("/info", headers)
        assert response.header("Access-Control-Allow-Origin") == "*"
        assert "Origin" in response.header("Vary")


def test_headers_that_are_asked_for_are_allowed(quiet):
    _, service = quiet
    name = "Access-Control-Allow-Headers"

    def allowed(asked):
        return service.request(
            "OPTIONS", "/a/b/xhr",
            {"Access-Control-Request-Headers": asked}).header(name)

    assert allowed("a, b, c") == "a, b, c"
    assert allowed("x-" + "a" * 1022) == "x-" + "a" * 1022
    for asked in ("x-" + "a" * 1023, "a\tb", "a;b", "ä", ""):
        assert allowed(asked) is None


@pytest.mark.parametrize("origin, allowed", [
    ("https://a.test", "https://a.test"), ("a" * 300, "a" * 300),
    ("a" * 301, "*"), ("https://a b", "*"), ("null", "*"), ("", "*")])
def test_a_preflight_repeats_what_may_be_an_origin(quiet, origin, allowed):
    _, service = quiet
    for path in ("/info", "/a/b/xhr", "/a/b/jsonp_send"):
        response = service.request("OPTIONS", path, {"Origin": origin})
        assert response.status == 204
        assert response.header("Access-Control-Allow-Origin") == allowed


# Cookies.

@pytest.mark.parametrize("transport", HTTP_TRANSPORTS)
def test_cookies_are_told_where_wanted(http, new_application, transport):
    _, plain = join(http, new_application("quiet"))
    _, service = join(http, new_application("quiet", sockjs_cookie=1))
    for sent, told in (
            (None, "dummy"), ("a=b", "dummy"), ("JSESSIONID=", "dummy"),
            ("JSESSIONID=jar", "jar"), ("a=b; JSESSIONID=j.1=2; c=d", "j.1=2"),
            ("XJSESSIONID=a", "dummy"), ("JSESSIONID=a\\b", "dummy"),
            ("JSESSIONID=" + "a" * 256, "a" * 256),
            ("JSESSIONID=" + "a" * 257, "dummy")):
        headers = {"Cookie": sent} if sent else {}
        with service.session().begin(transport, headers) as receiver:
            assert receiver.head() == 200
            assert (receiver.header("Set-Cookie")
                    == f"JSESSIONID={told}; Path=/")
        with plain.session().begin(transport, headers) as receiver:
            assert receiver.head() == 200
            assert receiver.header("Set-Cookie") is None


def test_sends_tell_cookies_and_pages_do_not(http, new_application):
    _, service = join(http, new_application("quiet", sockjs_cookie=1))
    session = service.session()
    jar = {"Cookie": "JSESSIONID=jar"}
    assert session.xhr(jar).text == "o\n"
    for response in (session.try_send('["a"]', jar),
                     session.try_jsonp_send("d=%5B%5D", {**FORM, **jar})):
        assert response.header("Set-Cookie") == "JSESSIONID=jar; Path=/"
    for path in ("", "/info", "/iframe.html"):
        assert service.get(path, jar).header("Set-Cookie") is None
    assert service.get("/info").json["cookie_needed"] is True


# What is held.

@pytest.mark.options(max_held="2")
def test_what_cannot_be_held_is_told(stack, http, new_application):
    _, service = join(http, new_application("quiet"))
    sessions = [service.session() for _ in range(3)]
    for session in sessions:
        assert session.xhr().text == "o\n"
    with stack.until_held(lambda: sessions[0].begin("xhr")), \
            service.session().open("xhr_streaming"):
        response = sessions[2].xhr()
        assert (response.status, response.text) == (200, "h\n")
        assert response.header("Retry-After")
        for transport in STREAMS:
            response = service.session().request(transport, c="cb")
            assert names_limit(response, 503, "max_held")
            assert int(response.header("Retry-After")) > 0
        # What is answered at once is not held.
        assert service.session().xhr().text == "o\n"
    # Nothing was left of those that were refused.
    assert len(connected(http, service)) <= 5


def connected(http, service):
    response = http.get(f"/publish{service.base}")
    assert response.status == 200, response
    return response.json["sessions"]


@pytest.mark.parametrize("limit, status", [("max_sockets", 429),
                                           ("max_creates_per_minute", 429)])
def test_sessions_are_limited_as_all_are(http, new_application, limit,
                                         status):
    _, service = join(http, new_application("quiet", **{limit: 1}))
    assert service.session().xhr().text == "o\n"
    for transport in HTTP_TRANSPORTS:
        response = service.session().request(transport, c="cb")
        assert names_limit(response, status, limit)
        assert int(response.header("Retry-After")) > 0


# The end.

@pytest.mark.options(receiver_grace="500ms")
def test_a_closed_session_tells_so_until_it_is_gone(stack, http,
                                                    new_application):
    application, service = join(http, new_application("quiet"))
    session = service.session()
    assert session.xhr().text == "o\n"
    [there] = application.sessions(service.base[1:])
    application.publish(service.base[1:], session=there["session"],
                        close={"code": 3000, "reason": "Go away!"})
    for _ in range(3):
        assert session.xhr().text == GO_AWAY
    assert is_text(session.try_send('["late"]'), 404)
    assert application.sessions(service.base[1:]) == []
    # Then its name is anybody's.
    stack.wait_until(lambda: f"session {there['session']}: closed"
                     in stack.log("wsbridge"), "the end of the session")
    assert session.xhr().text == "o\n"
    session.send("new")
    application.wait_messages("new")


def test_a_client_that_is_withdrawn_hears_so(http, new_application):
    """Between two polls as well, although nobody is authorized any more."""
    application, service = join(http, new_application("quiet"))
    session, held = service.session(), service.session()
    assert session.xhr().text == "o\n"
    with held.open("xhr_streaming") as stream:
        application.withdraw()
        assert stream.frame() == GO_AWAY[:-1]
        assert stream.at_end()
    assert session.xhr().text == GO_AWAY
    assert is_text(session.try_send('["late"]'), 404)
    assert is_text(service.session().xhr(), 404)
    assert is_text(service.get("/info"), 404)


def test_a_token_that_ends_takes_its_sessions_along(stack, http,
                                                    new_application):
    application, service = join(http, new_application("quiet"))
    session = service.session()
    assert session.xhr().text == "o\n"
    with session.begin("xhr") as poll:
        stack.sql("UPDATE tokens SET enabled = 0 WHERE id = "
                  f"{application.token_id}")
        assert poll.frame() == 'c[1008,"token disabled"]'
    assert session.xhr().text == 'c[1008,"token disabled"]\n'
    assert is_text(service.session().xhr(), 404)


@pytest.mark.parametrize("transport", HTTP_TRANSPORTS)
def test_a_restart_tells_and_the_next_bridge_takes_over(new_stack,
                                                        new_application,
                                                        transport):
    stack = new_stack()
    http = Http(stack.port)
    application, service = join(http, new_application("echo", stack))
    session = service.session()
    if transport in POLLS:
        assert session.request(transport, c="cb").status == 200
    with stack.until_held(lambda: session.begin(transport)) as receiver:
        if transport in STREAMS:
            assert receiver.frame() == "o"
        stack.replace_bridge()
        assert receiver.frame() == CLOSED_BY_BRIDGE
    # The socket id is the same, the session is not.
    with connect(http, service.base[1:], transport) as user:
        user.send("hello again")
        assert user.next() == "hello again"
    assert is_text(session.try_send('["lost"]'), 404)
    assert application.messages() == ["hello again"]


def test_requests_wait_for_the_next_bridge(new_stack, new_application):
    stack = new_stack()
    http = Http(stack.port)
    _, service = join(http, new_application("echo", stack))
    stack.stop_bridge()
    with (http.begin("GET", service.base + "/info") as info,
          service.session().begin("xhr") as poll):
        stack.start_bridge()
        assert info.response().json["websocket"] is True
        assert poll.frame() == "o"


@pytest.mark.environment(POLYSOCKET_SERVICES="relay, channels")
def test_without_the_service_there_is_nothing(http):
    for path in ("", "/info", "/iframe.html", "/a/b/jsonp?c=cb"):
        assert http.get(f"/{'a' * 32}{path}").status == 404
