"""What applications say to their clients: publish, and who is there."""

import datetime
import json
import re
import secrets
import threading
import urllib.parse

import pytest

from application import Application
from client import Http
from sockjs import HTTP_TRANSPORTS, TRANSPORTS, Service, connect

UNKNOWN_ID = "a" * 32
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def app(shared_application):
    return shared_application()


@pytest.fixture
def socket_id(app):
    """Of a client that no other test has."""
    return app.authorize("client-" + secrets.token_hex(4))


def metric(app, name):
    return app.http.get("/polysocket/stats").json["stats"][name]


def published(sessions, queued=False):
    return {"ok": True, "sessions": sessions, "queued": queued}


def raw_publish(app, socket_id, body, headers=None, session=None):
    return app.http.post(app.publish_path(socket_id, session), body,
                         headers or {"Content-Type": "application/json"})


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_all_sessions_get_it(app, socket_id, transport):
    with connect(app.http, socket_id, transport) as one, \
            connect(app.http, socket_id, "xhr") as other:
        assert app.publish(socket_id, "hello") == published(2)
        assert one.next() == other.next() == "hello"


def test_each_client_has_its_own(app, socket_id):
    other_id = app.authorize("client-" + secrets.token_hex(4))
    with connect(app.http, socket_id, "websocket") as one, \
            connect(app.http, other_id, "websocket") as other:
        assert app.publish(socket_id, "mine") == published(1)
        assert app.publish(other_id, "yours") == published(1)
        assert one.next() == "mine"
        assert other.next() == "yours"


@pytest.mark.parametrize("text,message", [
    ('"as it is"', "as it is"),
    ('""', ""),
    ('"\\u00fc \\ud83d\\ude00 \\/ \\u2028"', "ü 😀 / \u2028"),
    ('"\\ud800 half"', "\ud800 half"),
    ("5", "5"),
    ("1.50e+0", "1.50e+0"),
    ("true", "true"),
    ("null", "null"),
    ('[1, 2,  "x"]', '[1, 2,  "x"]'),
    ('{"b":1,"a":{"b":"\\u00fc"}, "a":2}',
     '{"b":1,"a":{"b":"\\u00fc"}, "a":2}'),
    ('{"half":"\\udc00"}', '{"half":"\\udc00"}'),
])
@pytest.mark.parametrize("transport", ["websocket", "eventsource"])
def test_strings_as_they_are_and_all_else_as_json(app, socket_id, text,
                                                  message, transport):
    with connect(app.http, socket_id, transport) as user:
        response = raw_publish(app, socket_id, f'{{"message": {text} }}')
        assert response.json == published(1)
        assert user.next() == message


def test_body_may_be_a_form_or_text(app, socket_id):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with connect(app.http, socket_id, "websocket") as user:
        for headers, body in [
                (form, urllib.parse.urlencode({"message": "ü=1&\n"})),
                (form, urllib.parse.urlencode({"message": "{}",
                                               "store": "0"})),
                ({"Content-Type": "text/plain"}, '{"message":"text"}')]:
            assert raw_publish(app, socket_id, body,
                               headers).json == published(1)
        assert user.receive(3) == ["ü=1&\n", "{}", "text"]


@pytest.mark.parametrize("body,code", [
    ("{}", "missing_parameter"),
    ("", "missing_parameter"),
    ('{"store":true}', "missing_parameter"),
    ("{", "bad_request"),
    ("[]", "bad_request"),
    ('"message"', "bad_request"),
    ('{"message":"a","message":"b"}', "bad_request"),
    ('{"message":"a"', "bad_request"),
    ('{"message":01}', "bad_request"),
    ('{"message":"\\x"}', "bad_request"),
    ('{"message":"a","other":"\\ud800"}', "bad_request"),
    (b'{"message":"\xff"}', "bad_request"),
    ('{"message":' + "[" * 33 + "]" * 33 + "}", "bad_request"),
    ('{"message":"a","store":2}', "bad_parameter"),
    ('{"close":{"code":3000}}', "bad_parameter"),   # of all
])
def test_what_is_no_publish(app, socket_id, body, code):
    response = raw_publish(app, socket_id, body)
    assert (response.status, response.code) == (400, code)


def test_publishes_keep_their_order(app, socket_id):
    users = [connect(app.http, socket_id, transport)
             for transport in ("websocket", "xhr_streaming", "eventsource",
                               "xhr", "jsonp", "websocket")]
    try:
        for number in range(200):
            app.publish(socket_id, str(number))
        for user in users:
            assert user.receive(200) == [str(n) for n in range(200)]
    finally:
        for user in users:
            user.close()


def test_all_hear_many_who_publish_in_one_order(app, socket_id):
    users = [connect(app.http, socket_id, "websocket") for _ in range(40)]

    def speak(name):
        http = Http(app.stack.port, app.stack.prefix)
        for number in range(25):
            response = http.post(f"/publish/{socket_id}",
                                 {"message": f"{name}{number}"})
            assert response.json == published(40)

    speakers = [threading.Thread(target=speak, args=(name,))
                for name in "abcd"]
    try:
        for speaker in speakers:
            speaker.start()
        heard = users[0].receive(100)
        for name in "abcd":
            assert [text for text in heard if text[0] == name] == [
                f"{name}{number}" for number in range(25)]
        for user in users[1:]:
            assert user.receive(100) == heard
    finally:
        for speaker in speakers:
            speaker.join()
        for user in users:
            user.close()


def test_one_session_alone(app, socket_id):
    with connect(app.http, socket_id, "websocket") as one, \
            connect(app.http, socket_id, "xhr_streaming") as other:
        first, second = [entry["session"] for entry in app.sessions(socket_id)]
        assert app.publish(socket_id, "one", first) == published(1)
        assert app.publish(socket_id, "other", second) == published(1)
        assert one.next() == "one"
        assert other.next() == "other"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("code,reason", [(3000, "elsewhere"), (1000, ""),
                                         (4999, "ü" * 61 + "x")])
def test_closing_a_session(app, socket_id, transport, code, reason):
    with connect(app.http, socket_id, transport) as user, \
            connect(app.http, socket_id, "websocket") as other:
        session = [entry["session"] for entry in app.sessions(socket_id)
                   if entry["transport"] == transport][0]
        app.publish(socket_id, "the last", session)
        assert app.publish(socket_id, session=session, close={
            "code": code, "reason": reason}) == published(1)
        assert user.next() == "the last"
        end = user.closed()
        assert (end.code, end.reason) == (code, reason)
        response = app.try_publish(socket_id, session, message="too late")
        assert (response.status, response.code) == (404, "session_unknown")
        assert len(app.sessions(socket_id)) == 1
        app.publish(socket_id, "you stay")
        assert other.next() == "you stay"


def test_close_needs_neither_code_nor_reason(app, socket_id):
    with connect(app.http, socket_id, "websocket") as user:
        session = app.sessions(socket_id)[0]["session"]
        app.publish(socket_id, session=session, close={})
        end = user.closed()
        assert (end.code, end.reason) == (1000, "")


@pytest.mark.parametrize("body", [
    '{"close":{"code":1001}}', '{"close":{"code":2999}}',
    '{"close":{"code":5000}}', '{"close":{"code":"3000"}}',
    '{"close":{"code":3000.5}}', '{"close":{"code":-1}}',
    '{"close":{"reason":5}}', '{"close":3000}', '{"close":"now"}',
    '{"close":[]}', '{"close":{"code":3000},"message":"x"}',
    '{"close":{"reason":"' + "x" * 124 + '"}}'])
def test_what_closes_nothing(app, socket_id, body):
    with connect(app.http, socket_id, "websocket") as user:
        session = app.sessions(socket_id)[0]["session"]
        response = raw_publish(app, socket_id, body, session=session)
        assert (response.status, response.code) == (400, "bad_parameter")
        app.publish(socket_id, "still here")
        assert user.next() == "still here"


def test_list_of_sessions(app, socket_id):
    assert app.sessions(socket_id) == []
    users = [connect(app.http, socket_id, transport)
             for transport in TRANSPORTS]
    raw = Service(app.http, socket_id).raw()
    try:
        entries = app.sessions(socket_id)
        assert [entry["transport"] for entry in entries] == [
            *TRANSPORTS, "websocket-raw"]
        assert len({entry["session"] for entry in entries}) == len(entries)
        for entry in entries:
            assert entry.keys() == {"session", "transport", "connected_at"}
            assert TIME.fullmatch(entry["connected_at"])
            at = datetime.datetime.fromisoformat(
                entry["connected_at"].replace("Z", "+00:00"))
            age = datetime.datetime.now(datetime.timezone.utc) - at
            assert abs(age.total_seconds()) < 60
    finally:
        for user in users:
            user.close()
        raw.socket.close()
    # Of one who polls nobody knows yet.
    app.stack.wait_until(
        lambda: {entry["transport"] for entry in app.sessions(socket_id)}
        <= set(HTTP_TRANSPORTS), "the end of both WebSockets")


def test_session_is_none_of_the_url(app, socket_id):
    """Who knows the one of the URL can speak for the browser."""
    session = Service(app.http, socket_id).session()
    assert session.xhr().text == "o\n"
    assert app.sessions(socket_id)[0]["session"] != session.name
    response = app.try_publish(socket_id, session.name, message="x")
    assert (response.status, response.code) == (404, "session_unknown")


def test_nobody_of_that_name(app, socket_id):
    for unknown in (UNKNOWN_ID, "y", socket_id[:-1], socket_id + "a",
                    socket_id.upper()):
        for response in (app.try_publish(unknown, message="x"),
                         app.try_publish(unknown, "a-1", message="x"),
                         app.http.get(f"/publish/{unknown}")):
            assert (response.status, response.code) == (
                404, "authorization_unknown")
    for session in ("a-1", "x" * 500, "ü"):
        response = app.try_publish(
            socket_id, urllib.parse.quote(session), message="x")
        assert (response.status, response.code) == (404, "session_unknown")


@pytest.mark.parametrize("word", ["polysocket", "create", "s", "j", "x", "p",
                                  "e", "c", "authorize", "publish"])
def test_reserved_word_is_no_socket_id(app, word):
    for response in (app.try_publish(word, message="x"),
                     app.try_publish(word, "a-1", message="x"),
                     app.http.get(f"/publish/{word}")):
        assert (response.status, response.code) == (400, "name_reserved")


def test_session_of_another_client(app, socket_id):
    other_id = app.authorize("client-" + secrets.token_hex(4))
    with connect(app.http, other_id, "websocket") as other:
        session = app.sessions(other_id)[0]["session"]
        response = app.try_publish(socket_id, session, message="x")
        assert (response.status, response.code) == (404, "session_unknown")
        app.publish(other_id, "mine", session)
        assert other.next() == "mine"


def test_methods(app, socket_id):
    for path, allow in ((f"/publish/{socket_id}", "GET, HEAD, POST, OPTIONS"),
                        (f"/publish/{socket_id}/a-1", "POST, OPTIONS")):
        for method in ("PUT", "DELETE"):
            response = app.http.request(method, path)
            assert (response.status, response.code) == (
                405, "method_not_allowed")
            assert response.header("Allow") == allow
        response = app.http.request("OPTIONS", path)
        assert response.header("Access-Control-Allow-Methods") == allow
    assert app.http.request("GET", f"/publish/{socket_id}/a-1").status == 405
    response = app.http.request("HEAD", f"/publish/{socket_id}")
    assert (response.status, response.body) == (200, b"")
    for path in ("/publish", "/publish/", f"/publish/{socket_id}/",
                 f"/publish/{socket_id}/a/b"):
        assert app.http.post(path).status == 404, path


def test_answers_may_be_jsonp(app, socket_id):
    response = app.http.get(f"/publish/{socket_id}", callback="got")
    assert response.jsonp("got") == {"ok": True, "sessions": []}
    response = app.http.post(f"/publish/{socket_id}", {"message": "x",
                                                       "cb": "got"})
    assert response.jsonp("got") == published(0, True)


# For the next session.

def test_next_session_gets_what_was_kept(app, socket_id):
    for text in ("one", "two"):
        assert app.publish(socket_id, text) == published(0, True)
    assert app.publish(socket_id, "lost", store=False) == published(0)
    with connect(app.http, socket_id, "xhr") as user:
        app.publish(socket_id, "three")
        assert user.receive(3) == ["one", "two", "three"]
    with connect(app.http, socket_id, "websocket") as user:
        app.publish(socket_id, "four")
        assert user.next() == "four"


def test_so_many_are_kept(app, socket_id):
    for number in range(100):
        assert app.publish(socket_id, str(number)) == published(0, True)
    assert app.publish(socket_id, "one more") == published(0)
    with connect(app.http, socket_id, "websocket") as user:
        assert user.receive(100) == [str(n) for n in range(100)]
        app.publish(socket_id, "now")
        assert user.next() == "now"


def test_so_many_bytes_are_kept(app, socket_id):
    size = 256 * 1024 - 2       # and its quotes
    assert app.publish(socket_id, "x" * (size + 1)) == published(0)
    assert app.publish(socket_id, "x" * size) == published(0, True)
    assert app.publish(socket_id, "") == published(0)
    with connect(app.http, socket_id, "websocket") as user:
        assert user.next() == "x" * size


@pytest.mark.options(kept_time="50ms", metrics_from="127.0.0.1")
def test_it_is_kept_for_some_time(shared_application):
    app = shared_application()
    socket_id = app.authorize("ann")
    assert app.publish(socket_id, "old") == published(0, True)
    # The figures say when it is gone.
    app.stack.wait_until(lambda: metric(app, "kept_bytes") == 0,
                         "the end of what is kept")
    with connect(app.http, socket_id, "websocket") as user:
        app.publish(socket_id, "new")
        assert user.next() == "new"


@pytest.mark.options(kept_messages="0")
def test_nothing_is_kept_where_that_is_off(shared_application):
    app = shared_application()
    socket_id = app.authorize("ann")
    assert app.publish(socket_id, "x") == published(0)


# Who may.

def test_application_may_have_to_be_named(stack, new_application, new_token):
    app = new_application(publish_auth=1)
    other = new_token()
    app.stack.wait_policy()
    socket_id = app.authorize("ann")
    path = f"/publish/{socket_id}"
    for headers in ({}, {"Authorization": f"Bearer {other}"},
                    {"Authorization": "Bearer nobody"},
                    {"Authorization": f"Basic {app.id}"}):
        for response in (app.http.post(path, {"message": "x"}, headers),
                         app.http.get(path, headers)):
            assert (response.status, response.code) == (
                403, "publish_refused")
    mine = {"Authorization": f"Bearer {app.id}"}
    assert app.http.post(path, {"message": "x"}, mine).json == published(
        0, True)
    assert app.http.post(path, {"message": "x", "token": app.id}
                         ).json == published(0, True)
    assert app.http.get(path, mine).json == {"ok": True, "sessions": []}


def test_socket_id_is_enough_elsewhere(app, socket_id):
    response = raw_publish(app, socket_id, '{"message":"x"}', {
        "Content-Type": "application/json", "Authorization": "Bearer nobody"})
    assert response.json == published(0, True)


def test_origin_that_is_sent_has_to_be_allowed(stack, new_application):
    app = new_application(origins=("https://shop.example",))
    socket_id = app.authorize("ann")
    path = f"/publish/{socket_id}"
    response = app.http.post(path, {"message": "x"},
                             {"Origin": "https://shop.example"})
    assert response.json == published(0, True)
    assert response.header("Access-Control-Allow-Origin") == (
        "https://shop.example")
    for response in (
            app.http.post(path, {"message": "x"},
                          {"Origin": "https://x.example"}),
            app.http.get(path, {"Origin": "https://x.example"})):
        assert (response.status, response.code) == (403, "origin_refused")
        assert response.header("Access-Control-Allow-Origin") is None


# Limits.

@pytest.mark.options(max_message="1000B", max_body="8KiB")
def test_message_may_be_so_large(shared_application):
    app = shared_application()
    socket_id = app.authorize("ann")
    with connect(app.http, socket_id, "websocket") as user:
        for text in ("x" * 1000, "ü" * 500, "\n" * 500):
            assert app.publish(socket_id, text) == published(1)
            assert user.next() == text
        for text in ("x" * 1001, "ü" * 500 + "x", "\n" * 501):
            response = app.try_publish(socket_id, message=text)
            assert (response.status, response.code) == (
                413, "message_too_large")
            assert response.json["limit"] == "max_message"
        response = app.try_publish(socket_id, message="x" * 9000)
        assert (response.status, response.code) == (413, "body_too_large")


def test_message_may_be_as_large_as_the_token_says(stack, new_application):
    app = new_application(max_message_bytes=10)
    socket_id = app.authorize("ann")
    assert app.publish(socket_id, "x" * 10) == published(0, True)
    response = app.try_publish(socket_id, message="x" * 11)
    assert (response.status, response.code) == (413, "message_too_large")
    assert response.json["limit"] == "max_message_bytes"


def test_each_delivery_is_a_message_down(new_application, stack):
    app = new_application()
    socket_id = app.authorize("ann")

    def counted():
        return stack.database.value(
            "SELECT coalesce(sum(messages_down), 0) FROM token_usage "
            f"WHERE token_id = {app.token_id}")

    with connect(app.http, socket_id, "websocket") as one, \
            connect(app.http, socket_id, "websocket") as other:
        app.publish(socket_id, "x")
        assert one.next() == other.next() == "x"
        stack.wait_until(lambda: int(counted()) == 2, "two messages")


def test_day_that_is_used_up_closes_the_session(stack, new_application):
    app = new_application(max_messages_per_day=2)
    socket_id = app.authorize("ann")
    with connect(app.http, socket_id, "websocket") as user:
        assert app.publish(socket_id, "1") == published(1)
        assert app.publish(socket_id, "2") == published(1)
        assert app.publish(socket_id, "3", store=False) == published(0)
        assert user.receive(2) == ["1", "2"]
        end = user.closed()
        assert (end.code, end.reason) == (1008, "daily_limit")


@pytest.mark.options(queue_messages="10", receiver_grace="30s")
def test_one_who_does_not_listen_holds_up_nobody(shared_application):
    app = shared_application()
    socket_id = app.authorize("ann")
    idle = Service(app.http, socket_id).session()
    assert idle.xhr().text == "o\n"
    with connect(app.http, socket_id, "websocket") as user:
        told = [app.publish(socket_id, str(n))["sessions"] for n in range(30)]
        assert user.receive(30) == [str(n) for n in range(30)]
    assert told[:10] == [2] * 10
    assert told[-10:] == [1] * 10
    frames = [idle.xhr().text, idle.xhr().text]
    assert json.loads(frames[0][1:])[0] == "0"
    assert frames[1] == 'c[1013,"slow client"]\n'


def test_figures_of_applications(new_stack, responder):
    """Callbacks by what became of them, and what waits."""
    stack = new_stack(options={"callback_backoff": "10ms",
                               "metrics_from": "127.0.0.1"})
    app = Application(stack, responder)

    def figure(name, **labels):
        value = metric(app, name)
        if not labels:
            return value
        return next(entry["value"] for entry in value
                    if labels.items() <= entry.items())

    assert figure("authorizations") == 0
    socket_id = app.authorize("ann")
    app.publish(socket_id, "x" * 10)
    assert figure("authorizations") == 1
    assert figure("kept_bytes") == 12
    app.will_answer(500, 500)
    with connect(app.http, socket_id, "websocket") as user:
        assert user.next() == "x" * 10
        user.send("tried three times")
        app.wait_for(lambda: len(app.callbacks) == 3, "three attempts")
    stack.wait_until(
        lambda: figure("callbacks_total", outcome="delivered") == 1,
        "the callback being counted")
    assert figure("callbacks_total", outcome="failed") == 2
    assert figure("callbacks_accepted_total") == 1
    assert figure("callbacks", state="waiting") == 0
    assert figure("kept_bytes") == 0
    text = app.http.get("/polysocket/metrics").text
    assert 'polysocket_callbacks_total{outcome="dead"} 0' in text
