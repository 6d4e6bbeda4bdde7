"""Who an application lets connect: authorize and withdraw."""

import contextlib
import re
import secrets
import signal
import urllib.parse

import pytest

from application import Application
from sockjs import Service, connect

DAY_S = 86400
UNKNOWN = b'{"ok":false,"error":"there is no such application",' \
          b'"code":"application_unknown"}'
GO_AWAY = (3000, "Go away!")


@pytest.fixture
def app(shared_application):
    return shared_application()


@pytest.fixture
def client():
    """A name that no other test uses."""
    return "client-" + secrets.token_hex(4)


def row_of(stack, socket_id):
    """Empty when there is none."""
    rows = stack.sql("SELECT *, unixepoch(expires_at) - unixepoch(renewed_at)"
                     " AS ttl FROM authorizations WHERE socket_id = "
                     f"'{socket_id}'")
    return rows[0] if rows else {}


def is_known(app, socket_id):
    return app.http.get(f"/{socket_id}/info").status == 200


def test_same_client_has_the_same_id_again(app, stack, client):
    first = app.authorize(client)
    assert re.fullmatch("[a-z2-7]{32}", first)
    assert app.authorize(client) == first
    assert app.authorize(client + "x") != first


def test_ids_of_two_applications_differ(stack, new_application, client):
    one, other = new_application(), new_application()
    assert one.authorize(client) != other.authorize(client)


def test_answer_is_committed(app, stack, client):
    socket_id = app.authorize(client)
    row = row_of(stack, socket_id)
    assert row["token_id"] == app.token_id
    assert row["client"] == client
    assert row["callback"] == app.url
    assert row["events"] == 0
    assert row["ttl"] == DAY_S


def test_renewing_takes_everything_anew(app, stack, client):
    socket_id = app.authorize(client, ttl=60)
    assert row_of(stack, socket_id)["ttl"] == 60
    app.authorize(client, callback=app.url + "/other", ttl=0, events=True)
    row = row_of(stack, socket_id)
    assert row["callback"] == app.url + "/other"
    assert row["events"] == 1
    assert row["expires_at"] is None


def test_very_long_is_a_hundred_years(app, stack, client):
    socket_id = app.authorize(client, ttl=2**63)
    assert row_of(stack, socket_id)["ttl"] == 100 * 365 * DAY_S
    assert is_known(app, socket_id)


@pytest.mark.parametrize("ttl", [-1, "soon", 1.5, None, [1]])
def test_ttl_is_a_number_of_seconds(app, client, ttl):
    response = app.try_authorize(client, ttl=ttl)
    if ttl is None:     # as if it were not there
        assert response.status == 200
    else:
        assert (response.status, response.code) == (400, "bad_parameter")


def test_its_time_is_over(app, stack, client):
    socket_id = app.authorize(client)
    with connect(app.http, socket_id, "websocket") as user:
        assert app.authorize(client, ttl=1) == socket_id
        end = user.closed()
        assert (end.code, end.reason) == GO_AWAY
    assert not is_known(app, socket_id)
    stack.wait_until(lambda: not row_of(stack, socket_id), "its row's end")
    assert app.authorize(client) != socket_id


@pytest.mark.parametrize("accept,plain", [
    ("text/plain", True),
    ("text/plain; charset=utf-8, */*;q=0.1", True),
    ("TEXT/PLAIN", True),
    ("application/json, text/plain, */*", False),
    ("*/*", False),
    ("text/html", False),
])
def test_bare_id_for_who_takes_text(app, client, accept, plain):
    socket_id = app.authorize(client)
    response = app.try_authorize(client, headers={"Accept": accept})
    assert response.status == 200
    if plain:
        assert response.body == socket_id.encode()
        assert response.header("Content-Type") == "text/plain; charset=utf-8"
    else:
        assert response.json == {"ok": True, "socket_id": socket_id}


def test_body_may_be_a_form_or_text(app, client):
    form = urllib.parse.urlencode({"callback": app.url, "events": "1"})
    socket_id = app.authorize(client)
    for kind, body in [
            ("application/x-www-form-urlencoded", form),
            ("text/plain", f'{{"callback":"{app.url}"}}'),
            ("application/json; charset=utf-8",
             f'{{"callback":"{app.url}"}}')]:
        response = app.try_authorize(client, body, {"Content-Type": kind})
        assert response.json == {"ok": True, "socket_id": socket_id}, kind


def test_callback_is_the_url_and_cb_is_jsonp(app, client):
    path = app.client_path(client)
    response = app.http.post(path, {"callback": app.url}, cb="got")
    assert response.jsonp("got")["socket_id"] == app.authorize(client)
    # In the query it is the URL, too: it says nothing of JSONP.
    response = app.http.post(path, b"", callback=app.url)
    assert response.json["socket_id"] == app.authorize(client)
    response = app.http.post(path, b"", callback="got")
    assert (response.status, response.code) == (400, "callback_url_invalid")


@pytest.mark.parametrize("callback", [
    "ftp://127.0.0.1/x", "/ws/callback", "127.0.0.1", "ws://127.0.0.1/x",
    "http://", "http://127.0.0.1/a b", "http://127.0.0.1/\n", "http://[::1",
    "javascript:alert(1)", "http://127.0.0.1/#there",
    "http://127.0.0.1/" + "x" * 2032])
def test_callback_is_a_url_of_the_web(app, client, callback):
    response = app.try_authorize(client, callback=callback)
    assert (response.status, response.code) == (400, "callback_url_invalid")


def test_callback_may_be_so_long(app, client):
    url = app.url + "/" + "x" * (2048 - len(app.url) - 1)
    assert len(url) == 2048
    assert app.try_authorize(client, callback=url).status == 200
    response = app.try_authorize(client, callback=url + "x")
    assert response.code == "callback_url_invalid"
    assert response.json["limit"] == "max_callback_url"


@pytest.mark.parametrize("callback", [
    "http://127.0.0.2/", "https://127.0.0.1/", "http://app.example/x",
    "http://127.0.0.1:1/", "http://user@127.0.0.1:1/"])
def test_callback_is_inside_the_pattern(app, client, callback):
    response = app.try_authorize(client, callback=callback)
    assert response.status in (400, 403)
    assert response.code in ("callback_refused", "callback_url_invalid")
    if "@" not in callback:
        assert (response.status, response.code) == (403, "callback_refused")


def test_callback_is_required(app, client):
    for body in ({}, {"callback": ""}, {"ttl": 5}):
        response = app.try_authorize(client, body)
        assert (response.status, response.code) == (400, "missing_parameter")
        assert response.json["missing"] == ["callback"]
    response = app.try_authorize(client, {"callback": 5})
    assert (response.status, response.code) == (400, "bad_parameter")


@pytest.mark.parametrize("body", ["{", "[]", '"x"', '{"callback":"a",}',
                                  '{"ttl":1,"ttl":2}', '{"ttl":"\\ud800"}'])
def test_body_is_an_object(app, client, body):
    response = app.try_authorize(client, body)
    assert (response.status, response.code) == (400, "bad_request")


@pytest.mark.parametrize("name", [
    "x", "x" * 128, "ü" * 64, "user/42", "a b", "%", "ann@example.com"])
def test_clients_are_named_by_the_application(app, name):
    socket_id = app.authorize(name)
    assert app.authorize(name) == socket_id
    assert app.stack.sql("SELECT client FROM authorizations WHERE "
                         f"socket_id = '{socket_id}'") == [{"client": name}]
    app.withdraw(name)


@pytest.mark.parametrize("name,limit", [
    ("x" * 129, "max_client"), ("ü" * 64 + "x", "max_client"),
    ("a\nb", None), ("\x7f", None), ("\x85", None)])
def test_names_that_are_none(app, name, limit):
    for response in (app.try_authorize(name), app.try_withdraw(name)):
        assert (response.status, response.code) == (400, "bad_parameter")
        assert response.json.get("limit") == limit


def test_unknown_applications_are_all_the_same(app, stack, new_application,
                                               new_token, client):
    """Not known, disabled, expired, with no callbacks."""
    disabled = new_application(enabled=0, wait=False)
    expired = new_application(expires_at="2020-01-01 00:00:00", wait=False)
    mute = new_token()
    stack.wait_policy()
    secrets_ = [secrets.token_hex(16), app.id[:-1] + "!", "x", "x" * 500,
                disabled.id, expired.id, mute]
    answers = set()
    for secret in secrets_:
        path = f"/authorize/{secret}/{client}"
        for method in ("POST", "DELETE"):
            response = app.http.request(
                method, path, None, {"Content-Type": "application/json"},
                f'{{"callback":"{app.url}"}}')
            assert response.status == 403, secret
            answers.add((response.body, *sorted(
                (name, value) for name, value in response.headers.items()
                if name not in ("Date", "Connection", "Upgrade"))))
    assert len(answers) == 1, answers
    assert answers.pop()[0] == UNKNOWN


def test_methods(app, client):
    path = app.client_path(client)
    for method in ("GET", "PUT", "PATCH"):
        response = app.http.request(method, path)
        assert (response.status, response.code) == (
            405, "method_not_allowed")
        assert response.header("Allow") == "POST, DELETE, OPTIONS"
    response = app.http.request("OPTIONS", path)
    assert response.status == 204
    assert response.header("Access-Control-Allow-Methods") == (
        "POST, DELETE, OPTIONS")
    for path in ("/authorize", "/authorize/", f"/authorize/{app.id}",
                 f"/authorize/{app.id}/", f"/authorize/{app.id}/a/b"):
        assert app.http.post(path).status == 404, path


@pytest.mark.options(max_body="1KiB", max_message="512B")
def test_body_may_be_so_large(stack, new_application):
    app = new_application()
    body = f'{{"callback":"{app.url}"}}'
    assert app.try_authorize("a", body + " " * (1024 - len(body))
                             ).status == 200
    response = app.try_authorize("a", body + " " * (1025 - len(body)))
    assert (response.status, response.code) == (413, "body_too_large")


def test_origin_that_is_sent_has_to_be_allowed(stack, new_application):
    app = new_application(origins=("https://shop.example",))
    assert app.try_authorize("a").status == 200
    response = app.try_authorize(
        "a", headers={"Origin": "https://shop.example"})
    assert response.status == 200
    assert response.header("Access-Control-Allow-Origin") == (
        "https://shop.example")
    for response in (
            app.try_authorize("a", headers={"Origin": "https://x.example"}),
            app.try_withdraw("a", headers={"Origin": "https://x.example"})):
        assert (response.status, response.code) == (403, "origin_refused")
        assert response.header("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize("transport", ["websocket", "xhr_streaming", "xhr"])
def test_withdrawing_closes_its_sessions(app, stack, client, transport):
    socket_id = app.authorize(client)
    with connect(app.http, socket_id, transport) as one, \
            connect(app.http, socket_id, transport) as other:
        app.withdraw(client)
        for user in (one, other):
            end = user.closed()
            assert (end.code, end.reason) == GO_AWAY
    assert row_of(stack, socket_id) == {}
    assert not is_known(app, socket_id)
    assert app.try_publish(socket_id, message="x").code == (
        "authorization_unknown")
    response = app.try_withdraw(client)
    assert (response.status, response.code) == (404, "authorization_unknown")
    assert app.authorize(client) != socket_id


def test_other_clients_stay(app, client):
    mine, other = app.authorize(client), app.authorize(client + "-other")
    with connect(app.http, other, "websocket") as user:
        app.withdraw(client)
        assert not is_known(app, mine)
        app.publish(other, "still here")
        assert user.next() == "still here"


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_authorizations_survive_a_restart(new_stack, responder, sig):
    stack = new_stack()
    app = Application(stack, responder)
    ids = {name: app.authorize(name, ttl=0) for name in ("ann", "bob", "eve")}
    app.authorize("short", ttl=1)
    app.withdraw("eve")
    stack.stop_bridge(sig)
    stack.start_bridge()
    for name in ("ann", "bob"):
        assert is_known(app, ids[name])
        assert app.authorize(name) == ids[name]
    assert not is_known(app, ids["eve"])
    with connect(app.http, ids["ann"], "websocket") as user:
        assert app.publish(ids["ann"], "hello")["sessions"] == 1
        assert user.next() == "hello"
    # One whose time is over meanwhile ends as ever.
    stack.wait_until(lambda: stack.sql(
        "SELECT count(*) AS n FROM authorizations") == [{"n": 2}],
        "the end of the short one")


def test_successor_has_what_was_authorized_last(new_stack, responder):
    """While one bridge drains, the other goes on with the same clients."""
    stack = new_stack(options={"drain_timeout": "60s"})
    app = Application(stack, responder)
    ids = {}
    for i in range(50):
        ids[f"client {i}"] = app.authorize(f"client {i}")
    stack.replace_bridge()
    for name, socket_id in ids.items():
        assert app.authorize(name) == socket_id


def test_requests_wait_for_the_successor(new_stack, responder):
    stack = new_stack()
    app = Application(stack, responder)
    socket_id = app.authorize("ann")
    stack.stop_bridge()
    stack.start_bridge(wait=False)      # they wait for it for 2 s only
    exchanges = [
        app.http.begin("POST", app.client_path("ann"), None,
                       {"Content-Type": "application/json"},
                       f'{{"callback":"{app.url}"}}'),
        app.http.begin("POST", app.publish_path(socket_id, None), None,
                       {"Content-Type": "application/json"},
                       '{"message":"kept"}')]
    answers = [exchange.response() for exchange in exchanges]
    for exchange in exchanges:
        exchange.close()
    assert answers[0].json == {"ok": True, "socket_id": socket_id}
    assert answers[1].json == {"ok": True, "sessions": 0, "queued": True}


def test_without_a_bridge_it_is_told(new_stack, responder):
    stack = new_stack()
    app = Application(stack, responder)
    stack.stop_bridge()
    response = app.try_authorize("ann")
    assert (response.status, response.code) == (503, "bridge_unavailable")
    assert response.header("Retry-After")


@pytest.mark.options(max_authorizations="3")
def test_node_has_room_for_so_many(new_application, stack):
    app = new_application()
    ids = [app.authorize(name) for name in ("a", "b", "c")]
    response = app.try_authorize("d")
    assert (response.status, response.code) == (
        503, "too_many_authorizations")
    assert response.json["limit"] == "max_authorizations"
    assert response.header("Retry-After")
    assert app.authorize("a") == ids[0]
    app.withdraw("b")
    app.authorize("d")
    for name in ("a", "c", "d"):
        app.withdraw(name)


# What the administrator says to sqlite3.

@pytest.mark.options(max_held="2")
def test_so_many_may_wait_for_the_database(new_application, stack, client):
    app = new_application()
    # Those that were answered do not wait any more.
    for number in range(4):
        app.authorize(f"{client}-{number}")
        app.withdraw(f"{client}-{number}")
    service = Service(app.http, app.authorize(client))
    with contextlib.ExitStack() as held:
        for _ in range(2):
            held.enter_context(service.session().open("xhr_streaming"))
        for response in (app.try_authorize(client), app.try_withdraw(client)):
            assert (response.status, response.code) == (503, "too_many_held")
            assert response.json["limit"] == "max_held"
            assert int(response.header("Retry-After")) > 0
        assert len(app.sessions(app.socket_ids[client])) == 2


def test_deleting_the_row_withdraws(app, stack, client):
    socket_id = app.authorize(client)
    with connect(app.http, socket_id, "websocket") as user:
        stack.sql("DELETE FROM authorizations WHERE socket_id = "
                  f"'{socket_id}'")
        end = user.closed()
        assert (end.code, end.reason) == GO_AWAY
    assert not is_known(app, socket_id)
    assert app.authorize(client) != socket_id


def test_changing_the_row_holds(app, stack, client):
    socket_id = app.authorize(client)
    stack.sql("UPDATE authorizations SET expires_at = '2020-01-01 00:00:00' "
              f"WHERE socket_id = '{socket_id}'")
    stack.wait_until(lambda: not is_known(app, socket_id), "its end")
    stack.wait_until(lambda: row_of(stack, socket_id) == {},
                     "the end of its row")


def change(stack, app, statement):
    stack.sql(statement.format(id=app.token_id))
    stack.wait_policy()


@pytest.mark.parametrize("off,on,reason", [
    ("UPDATE tokens SET enabled = 0 WHERE id = {id}",
     "UPDATE tokens SET enabled = 1 WHERE id = {id}", "token disabled"),
    ("UPDATE tokens SET expires_at = '2020-01-01 00:00:00' WHERE id = {id}",
     "UPDATE tokens SET expires_at = NULL WHERE id = {id}", "token expired"),
    ("UPDATE token_callbacks SET pattern = 'http://x.example/*' "
     "WHERE token_id = {id}",
     "UPDATE token_callbacks SET pattern = 'http://127.0.0.1:*/*' "
     "WHERE token_id = {id}", "callback refused"),
    ("DELETE FROM token_callbacks WHERE token_id = {id}",
     "INSERT INTO token_callbacks VALUES ({id}, 'http://127.0.0.1:*/*')",
     "callback refused"),
])
def test_what_a_token_may_no_more(new_application, stack, off, on, reason):
    """Its sessions close with 1008, and the id is unknown while it lasts."""
    app = new_application()
    socket_id = app.authorize("ann")
    with connect(app.http, socket_id, "websocket") as user:
        change(stack, app, off)
        end = user.closed()
        assert (end.code, end.reason) == (1008, reason)
    stack.wait_until(lambda: not is_known(app, socket_id), "its being unknown")
    assert app.try_publish(socket_id, message="x").code == (
        "authorization_unknown")
    assert row_of(stack, socket_id)
    change(stack, app, on)
    stack.wait_until(lambda: is_known(app, socket_id), "its coming back")
    assert app.authorize("ann") == socket_id


def test_deleting_the_token_takes_all_along(new_application, stack):
    app = new_application()
    socket_id = app.authorize("ann")
    with connect(app.http, socket_id, "websocket") as user:
        change(stack, app, "DELETE FROM tokens WHERE id = {id}")
        assert user.closed().code in (1008, 3000)
    stack.wait_until(lambda: not is_known(app, socket_id), "its end")
    assert row_of(stack, socket_id) == {}
    response = app.try_authorize("ann")
    assert (response.status, response.body) == (403, UNKNOWN)


def test_without_the_service_there_are_no_routes(new_stack, responder):
    stack = new_stack(options={"services": "relay, channels"})
    app = Application(stack, responder)
    for response in (app.try_authorize("ann"), app.try_withdraw("ann"),
                     app.try_publish("a" * 32, message="x")):
        assert (response.status, response.code) == (404, "not_found")


def test_a_dead_application_makes_nothing_unready(app, stack):
    socket_id = app.authorize("ann", callback=app.url + "/nobody")
    with connect(app.http, socket_id, "websocket") as user:
        user.send("into the void")
        app.wait_for(lambda: any(
            callback.path.endswith("/nobody")
            for callback in app.responder.callbacks), "a callback that fails")
        assert stack.status("/polysocket/health/ready") == 200


def test_limits_are_listed(http):
    limits = http.get("/polysocket/limits").json["limits"]
    for name, value in [("max_client", 128), ("max_callback_url", 2048),
                        ("max_authorizations", 100000),
                        ("kept_messages", 100), ("kept_bytes", 262144),
                        ("kept_time", 60000), ("outbox_messages", 10000)]:
        assert limits[name] == value, name
    assert "callback_timeout" not in limits


def test_what_is_not_committed_does_not_hold(new_stack, responder):
    stack = new_stack()
    app = Application(stack, responder)
    socket_id = app.authorize("ann")
    before = row_of(stack, socket_id)
    away = stack.db_path.with_suffix(".away")
    stack.db_path.rename(away)
    stack.wait_until(lambda: app.http.get("/polysocket/health/ready").status
                     == 503, "the failure")
    for client in ("ann", "ben"):
        response = app.try_authorize(client, ttl=10, events=True)
        assert (response.status, response.code) == (
            503, "database_unavailable")
        assert response.header("Retry-After")
    # The one never was, and the other is as it was.
    assert app.try_withdraw("ben").code == "authorization_unknown"
    assert is_known(app, socket_id)
    away.rename(stack.db_path)
    stack.wait_until(lambda: app.http.get("/polysocket/health/ready").status
                     == 200, "the database")
    assert row_of(stack, socket_id) == before
    with connect(app.http, socket_id, "websocket") as user:
        user.send("hello")
        app.wait_messages("hello")
    assert app.told("event") == []      # nor does it want any
    assert app.authorize("ben") != socket_id
