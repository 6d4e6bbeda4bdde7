"""What tokens are limited to, what is recorded and what is logged: of the
sessions of applications."""

import concurrent.futures
import socket

import pytest

from client import TIMEOUT_S
from sockjs import STREAMS, TRANSPORTS, Service, connect

DAILY = 'c[1008,"daily_limit"]\n'
BY_ADMINISTRATOR = (1008, "closed by administrator")
AT_ONCE, ROOM = 200, 10


def session_of(application, client="ann"):
    session = Service(application.http,
                      application.authorize(client)).session()
    assert session.xhr().text == "o\n"
    return session


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_administrator_closes_sessions(stack, new_application, transport):
    application = new_application(events=True)
    socket_id = application.authorize("ann")
    with connect(application.http, socket_id, transport) as ann, \
            connect(application.http, application.authorize("bob"),
                    transport) as bob:
        session, = application.sessions(socket_id)
        stack.sql("UPDATE sessions SET close_requested = 1 WHERE id = "
                  "(SELECT id FROM live_sessions WHERE subject = 'ann' AND "
                  f"token_id = {application.token_id})")
        end = ann.closed()
        assert (end.code, end.reason) == BY_ADMINISTRATOR
        event = application.wait_event("disconnected", client="ann")
        assert event["session"] == session["session"]
        assert (event["code"], event["reason"]) == BY_ADMINISTRATOR
        assert application.sessions(socket_id) == []
        bob.send("still here")
        application.wait_messages("still here", client="bob")


# Limits.

@pytest.mark.parametrize("column, limit", [("max_messages_per_day", 2),
                                           ("max_bytes_per_day", 10)])
def test_a_day_that_is_used_up_by_what_is_said(stack, new_application,
                                               column, limit):
    application = new_application("quiet", stack, **{column: limit})
    session = session_of(application)
    session.send("12345", "67890")
    # All of a send or nothing.
    assert session.try_send('["6","7"]').status == 404
    assert session.xhr().text == DAILY
    application.wait_messages("12345", "67890")
    response = Service(application.http,
                       application.authorize("bob")).session().xhr()
    assert response.status == 429
    assert response.text.endswith(f' ("limit":"{column}")\n')
    assert int(response.header("Retry-After")) > 0


def test_200_simultaneous_sessions_are_exactly_10(stack, new_application):
    application = new_application("quiet", stack, max_sockets=ROOM)
    service = Service(application.http, application.authorize("ann"))
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(
            lambda _: service.session().jsonp().status, range(AT_ONCE)))
    assert sorted(answers) == [200] * ROOM + [429] * (AT_ONCE - ROOM)


@pytest.mark.options(receiver_grace="30s")
def test_bytes_that_wait_are_limited(stack, new_application):
    application = new_application("quiet", stack, max_queue_bytes=100)
    session = session_of(application)
    socket_id = application.socket_ids["ann"]
    for message, sessions in (("1" * 97, 1), ("2", 1), ("3", 0)):
        assert application.publish(socket_id, message,
                                   store=False)["sessions"] == sessions
    assert session.xhr().text == f'a["{"1" * 97}","2"]\n'
    assert session.xhr().text == 'c[1013,"slow client"]\n'


# Records and logs.

def test_use_is_counted(stack, new_application):
    application = new_application("echo", max_sockets=1)
    session = session_of(application)
    assert session.service.session().xhr().status == 429
    session.send("hello")
    assert session.xhr().text == 'a["hello"]\n'
    expected = {"creates": 1, "refused": 1, "messages_up": 1, "bytes_up": 5,
                "messages_down": 1, "bytes_down": 5}
    stack.wait_until(lambda: stack.sql(
        f"SELECT {', '.join(expected)} FROM token_usage "
        f"WHERE token_id = {application.token_id}") == [expected],
        "what was used")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_logs_have_no_secrets(new_stack, new_application, transport):
    stack = new_stack(options={"log_level": "debug",
                               "callback_backoff": "10ms"})
    application = new_application("echo", stack)
    socket_id = application.authorize(
        "ann", callback=application.url + "?secret-query", events=True)
    application.will_answer(500)
    with connect(application.http, socket_id, transport) as ann:
        ann.send("secret-body")
        assert ann.next() == "secret-body"
        application.publish(socket_id, "secret-publish")
        assert ann.next() == "secret-publish"
        session = application.sessions(socket_id)[0]["session"]
        application.withdraw("ann")
        ann.closed()
    key = application.key
    stack.stop_bridge()
    stack.stop_workers()
    log = stack.log("wsbridge") + stack.log("workers")
    assert f"session {session}: " in log
    for secret in (socket_id[:8], application.id[:8], key[6:14], "secret-"):
        assert secret not in log, secret


# What is the same for all routes.

@pytest.mark.environment(POLYSOCKET_SERVICES="relay, channels")
def test_a_server_may_be_without_applications(http, stack, new_application):
    application = new_application("quiet", stack)
    for response in (application.try_authorize("ann"),
                     application.try_withdraw("ann"),
                     application.try_publish("a" * 32, message="x"),
                     http.get(f"/publish/{'a' * 32}")):
        assert (response.status, response.code) == (404, "not_found")


FRAMING = {
    "lighttpd": r"""
$HTTP["url"] =~ "/iframe[^/]*\.html$" {
    setenv.set-response-header = ( "Content-Security-Policy" =>
        "frame-ancestors https://shop.example.com" )
}""",
    "apache": r"""
<LocationMatch "/iframe[^/]*\.html$">
    Header set Content-Security-Policy "frame-ancestors https://shop.example.com"
</LocationMatch>"""}


def test_a_server_may_say_who_frames_the_page(new_stack, new_application,
                                              server):
    stack = new_stack(beside=FRAMING[server])
    application = new_application("quiet", stack)
    path = "/" + application.authorize()
    for page in ("/iframe.html", "/iframe-1.6.1.html"):
        response = application.http.get(path + page)
        assert response.status == 200
        assert (response.header("Content-Security-Policy")
                == "frame-ancestors https://shop.example.com")
        assert response.header("ETag")
    response = application.http.get(path + "/info")
    assert response.header("Content-Security-Policy") is None


def test_errors_are_seen_by_scripts(stack, new_application):
    application = new_application("quiet", stack)
    for method, path, body, status, code in (
            ("POST", application.client_path("ann"), '{"callback":"x"}', 400,
             "callback_url_invalid"),
            ("GET", f"/publish/{'a' * 32}", None, 404,
             "authorization_unknown")):
        for seen in (None, "200"):
            response = application.http.request(
                method, path, {"cb": "show", "status": seen} if seen
                else {"cb": "show"}, {"Content-Type": "application/json"},
                body)
            assert response.status == (200 if seen else status)
            shown = response.jsonp("show")
            assert (shown["ok"], shown["code"]) == (False, code)
            assert shown.get("status") == (status if seen else None)


def test_a_body_that_is_cut_off_does_nothing(stack, new_application):
    application = new_application("quiet", stack)
    socket_id = application.authorize("ann")
    session = Service(application.http, socket_id).session()
    assert session.xhr().text == "o\n"
    base = application.http.prefix
    for path, body in (
            (application.client_path("bob"),
             f'{{"callback":"{application.url}"}}'),
            (f"/publish/{socket_id}", '{"message":"cut"}'),
            (f"/{socket_id}/000/{session.name}/xhr_send", '["cut"]')):
        with socket.create_connection(("127.0.0.1", stack.port)) as raw:
            raw.sendall((f"POST {base}{path} HTTP/1.1\r\nHost: localhost\r\n"
                         "Content-Type: application/json\r\n"
                         f"Content-Length: {len(body) + 1}\r\n\r\n{body}")
                        .encode())
            raw.shutdown(socket.SHUT_WR)
            raw.settimeout(TIMEOUT_S)
            while raw.recv(4096):
                pass
    session.send("whole")
    application.wait_messages("whole")
    assert application.publish(socket_id, "to ann")["sessions"] == 1
    assert session.xhr().text == 'a["to ann"]\n'
    assert stack.sql("SELECT client FROM authorizations WHERE token_id = "
                     f"{application.token_id}") == [{"client": "ann"}]


def test_answers_are_not_kept_or_guessed_at(stack, new_application):
    application = new_application("quiet", stack)
    socket_id = application.authorize("ann")
    for response in (
            application.try_authorize("ann"),
            application.try_authorize("ann", headers={"Accept": "text/plain"}),
            application.try_authorize("ann", callback="nonsense"),
            application.try_publish(socket_id, message="x"),
            application.try_publish(socket_id, "nobody", message="x"),
            application.http.get(f"/publish/{socket_id}"),
            application.http.get(f"/{socket_id}/info"),
            application.try_withdraw("ann"),
            application.try_withdraw("ann")):
        assert response.header("Cache-Control") == (
            "no-store, no-cache, no-transform, must-revalidate, max-age=0")
        assert response.header("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("stream", STREAMS)
def test_proxies_are_told_not_to_hold_streams_back(stack, new_application,
                                                   stream):
    application = new_application("quiet", stack)
    service = Service(application.http, application.authorize("ann"))
    with service.session().open(stream) as receiver:
        assert receiver.exchange.header("X-Accel-Buffering") == "no"


def test_a_new_key_signs_what_follows(stack, new_application):
    application = new_application("quiet", stack)
    session = session_of(application)
    old = application.key
    session.send("old")
    application.wait_messages("old")
    stack.sql("UPDATE tokens SET callback_key = NULL WHERE id = "
              f"{application.token_id}")
    stack.wait_policy()
    assert application.key != old
    session.send("new")
    application.wait_messages("old", "new")
    for callback, key in zip(application.callbacks, (old, application.key),
                             strict=True):
        callback.check_signature(key)
