"""Callbacks on their way: who is called, over which connections, and how it
is said why one failed."""

import contextlib
import signal
import ssl
import warnings

import pytest

from application import Answer, Application, Responder
from certificates import Authority
from client import Http
from resolver import SILENCE, Resolver
from sockjs import connect

AGAIN = {"callback_backoff": "50ms"}
ONCE = {"callback_backoff": "60s"}      # as long as a test takes
BYTES = 1024    # callback_reply_bytes
# "allow_networks" of the tests has 127.0.0.0/8 and ::1.
NAMES = {
    "app.example.test": ["127.0.0.1"],
    "inside.example.test": ["10.0.0.1"],
    "both.example.test": ["10.0.0.1", "127.0.0.1"],
    "v6.example.test": ["fd00::1"],
    "silent.example.test": SILENCE,
}


@pytest.fixture
def responder():
    with Responder() as responder:
        yield responder


def refused(address):
    return (f"address {address} may not be reached (neither public nor in "
            "allow_networks)")


def say(application, *messages, client="ann"):
    """A user who says this, and leaves."""
    socket_id = application.authorize(client)
    with connect(application.http, socket_id, "xhr_streaming") as user:
        for message in messages:
            user.send(message)


def wait_error(application, error):
    """Until the outbox has it as that of the application's only row."""
    stack = application.stack

    def rows():
        return stack.sql("SELECT last_error FROM outbox WHERE token_id = "
                         f"{application.token_id} AND attempts > 0")

    stack.wait_until(rows, f"an attempt that failed: {error}", stack.bridge)
    assert rows() == [{"last_error": error}]


@pytest.fixture
def tls_stack(new_stack, authority):
    return new_stack(options={**ONCE, "ca_file": authority.path})


def test_https_is_verified(tls_stack, authority, tmp_path):
    stranger = Authority(str(tmp_path), "stranger")
    with contextlib.ExitStack() as cleanup:
        def responder(context, name):
            return cleanup.enter_context(Responder(context, name))

        for name in ("localhost", "127.0.0.1"):
            app = Application(tls_stack,
                              responder(authority.context(), name))
            say(app, "secret", "\u2603" * 3000)
            app.wait_messages("secret", "\u2603" * 3000)
            assert app.callbacks[0].headers["Host"] == (
                f"{name}:{app.responder.port}")
        for context, name, why in (
                (authority.context("DNS:elsewhere.example"), "localhost",
                 "no alternative certificate subject name matches target "
                 "host name 'localhost'"),
                (authority.context("DNS:localhost"), "127.0.0.1",
                 "no alternative certificate subject name matches target "
                 "host name '127.0.0.1'"),
                (authority.context(days=-1), "localhost",
                 "certificate has expired"),
                (stranger.context(), "localhost",
                 "unable to get local issuer certificate")):
            app = Application(tls_stack, responder(context, name))
            say(app, "secret")
            wait_error(app, f"certificate refused ({why})")
            assert app.responder.callbacks == [], "no request was sent"


def test_tls_is_1_2_or_later(tls_stack, authority):
    def application(version):
        context = authority.context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        return Application(tls_stack, cleanup.enter_context(
            Responder(context, "localhost")))

    with contextlib.ExitStack() as cleanup:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            app = application(version)
            say(app, "secret")
            app.wait_messages("secret")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            app = application(ssl.TLSVersion.TLSv1_1)
        say(app, "secret")
        tls_stack.wait_until(lambda: tls_stack.sql(
            "SELECT * FROM outbox WHERE attempts > 0 AND token_id = "
            f"{app.token_id}"), "an attempt that failed", tls_stack.bridge)
        assert app.callbacks == []


def test_system_store_is_trusted_by_default(new_stack, authority):
    """It does not know the tests' authority."""
    stack = new_stack(options=ONCE)
    with Responder(authority.context(), "localhost") as responder:
        app = Application(stack, responder)
        say(app, "secret")
        wait_error(app, "certificate refused (unable to get local issuer "
                   "certificate)")
        assert responder.callbacks == []


@pytest.mark.options(**AGAIN)
def test_redirects_are_not_followed(stack, responder):
    app, elsewhere = (Application(stack, responder) for _ in range(2))
    app.will_answer(
        Answer(302, headers={"Location": elsewhere.url}),
        Answer(308, headers={"Location": elsewhere.url}))
    say(app, "hello")
    app.wait_messages("hello", "hello", "hello")
    assert elsewhere.callbacks == []
    assert len({callback.id for callback in app.callbacks}) == 1


@pytest.mark.options(**AGAIN)
def test_requests_are_what_standard_webhooks_says(stack, responder):
    app = Application(stack, responder)
    say(app, "hello", "\u00fc \u2028 \U0001f600 \"\\")
    app.wait_messages("hello", "\u00fc \u2028 \U0001f600 \"\\")
    for number, callback in enumerate(app.callbacks, 1):
        callback.check_signature(app.key)
        assert callback.method == "POST"
        assert callback.headers["Content-Type"] == "application/json"
        assert callback.headers["User-Agent"].startswith("polysocket/")
        assert callback.id == f"msg_{callback.get('session')}_{number}"
        for name in ("Cookie", "Expect", "Authorization", "Accept-Encoding",
                     "Origin", "Referer"):
            assert callback.headers[name] is None


@pytest.mark.options(**AGAIN)
def test_connections_are_kept(stack, responder):
    app = Application(stack, responder)
    say(app, *map(str, range(20)))
    app.wait_messages(*map(str, range(20)))
    assert len({callback.connection for callback in app.callbacks}) == 1
    # Another session's callbacks come over it as well.
    say(app, "later", client="ben")
    app.wait_messages("later", client="ben")
    assert len({callback.connection for callback in app.callbacks}) == 1


@pytest.mark.options(**AGAIN)
def test_connection_that_the_application_closed_is_no_failure(stack,
                                                              responder):
    app = Application(stack, responder)
    app.will_answer(*(Answer(200, body="{}", headers={"Connection": "close"})
                      for _ in range(5)))
    say(app, *map(str, range(5)))
    app.wait_messages(*map(str, range(5)))
    assert len({callback.connection for callback in app.callbacks}) == 5
    assert not stack.sql("SELECT * FROM outbox WHERE attempts > 0 AND "
                         f"token_id = {app.token_id}")


def test_private_addresses_are_refused_without_allow_networks(new_stack,
                                                              responder):
    stack = new_stack(options={**AGAIN, "allow_networks": ""})
    app = Application(stack, responder)
    say(app, "hello")
    wait_error(app, refused("127.0.0.1"))
    assert responder.callbacks == []
    # It is reloadable, and what waits goes on by itself.
    stack.write_config(allow_networks="127.0.0.0/8")
    stack.bridge.send_signal(signal.SIGHUP)
    app.wait_messages("hello")


@pytest.fixture
def named(new_stack, tmp_path):
    """A stack whose names are ours."""
    with Resolver(NAMES, tmp_path) as resolver:
        stack = new_stack(start=False, options={
            **ONCE, "callback_timeout": "300ms"})
        stack.bridge_wrapper = resolver.wrapper
        yield stack.start()


def application_at(stack, responder, name):
    responder.name = name
    return Application(stack, responder)


def test_names_are_resolved_and_looked_at(named, responder):
    app = application_at(named, responder, "app.example.test")
    say(app, "hello")
    app.wait_messages("hello")
    assert app.callbacks[0].headers["Host"] == (
        f"app.example.test:{responder.port}")
    app = application_at(named, responder, "both.example.test")
    say(app, "hello")
    app.wait_messages("hello")
    n = len(responder.callbacks)
    for name, why in (
            ("inside.example.test", refused("10.0.0.1")),
            ("v6.example.test", refused("fd00::1")),
            ("nobody.example.test",
             "could not resolve host: nobody.example.test"),
            ("silent.example.test", "timed out after 300 ms")):
        app = application_at(named, responder, name)
        say(app, "hello")
        wait_error(app, why)
    assert len(responder.callbacks) == n


def test_slow_name_holds_up_nobody(named, responder):
    slow = application_at(named, responder, "silent.example.test")
    say(slow, "hello")
    app = application_at(named, responder, "127.0.0.1")
    say(app, *map(str, range(50)))
    app.wait_messages(*map(str, range(50)))
    # And the bridge ends while it is being resolved.
    named.stop_bridge()
    assert named.exits[-1][1] == 0


@pytest.mark.options(callback_reply_bytes=f"{BYTES}B", **ONCE)
def test_reply_may_be_so_large_and_no_larger(stack, responder):
    def reply(size):
        return Answer(body='{"message":"%s"}' % ("x" * (size - 14)))

    app = Application(stack, responder)
    app.will_answer(reply(BYTES))
    with connect(app.http, app.authorize(), "xhr_streaming") as user:
        user.send("one")
        assert user.next() == "x" * (BYTES - 14)
    app = Application(stack, responder, lambda _: reply(BYTES + 1))
    say(app, "two")
    wait_error(app, "reply larger than callback_reply_bytes")
    # What an error page says does not matter.
    app = Application(stack, responder,
                      lambda _: Answer(500, body="x" * (BYTES + 1)))
    say(app, "three")
    wait_error(app, "HTTP 500")


@pytest.mark.options(callback_timeout="200ms", **ONCE)
def test_slow_application_is_given_up_in_time(stack, responder):
    app = Application(stack, responder, lambda _: Answer(hang=True))
    say(app, "hello")
    wait_error(app, "timed out after 200 ms")


@pytest.mark.options(**AGAIN)
def test_applications_that_answer_nonsense_are_tried_again(stack, responder):
    app = Application(stack, responder)
    app.will_answer(Answer(raw=b"hello\r\n\r\n"), Answer(close=True),
                    Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"
                           b"\r\n{}"), 500)
    say(app, "hello")
    app.wait_messages(*["hello"] * 5)
    assert len({callback.id for callback in app.callbacks}) == 1


@pytest.mark.options(**ONCE)
def test_nobody_there_is_told(stack):
    with Responder() as responder:
        app = Application(stack, responder)
        socket_id = app.authorize()
    with connect(Http(stack.port), socket_id, "xhr_streaming") as user:
        user.send("hello")
    wait_error(app, "connection refused")
