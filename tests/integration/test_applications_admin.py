"""What an administrator changes of applications with sqlite3, on what lives."""

import signal
import subprocess

import pytest

from application import Answer, Application
from database import quote
from sockjs import Service, connect

SOON_S = 5      # within a second, and the machine may be slow
GONE = "c[3000,\"Go away!\"]"


def overview(application, view, columns):
    """Of the application in a view for people."""
    name = application.stack.database.value(
        f"SELECT name FROM tokens WHERE id = {application.token_id}")
    return application.stack.sql(f"SELECT {columns} FROM {view} WHERE"
                                 f" application = {quote(name)}")


def test_who_is_deleted_from_authorizations_is_sent_away(new_application,
                                                         stack):
    application = new_application()
    socket_id = application.authorize("ann")
    other = application.authorize("bob")
    with Service(application.http, socket_id).socket() as ann, \
            Service(application.http, other).socket() as bob:
        stack.sql("DELETE FROM authorizations WHERE client = 'ann'")
        assert ann.text() == GONE
        assert application.http.get(f"/{socket_id}/info").status == 404
        assert application.publish(other, "still there")["sessions"] == 1
        assert bob.text() == 'a["still there"]'
        assert overview(application, "authorization_overview",
                        "client, sessions") == [
            {"client": "bob", "sessions": 1}]


def test_a_callback_that_is_changed_is_called(new_application, stack):
    application = new_application()
    moved = new_application()
    socket_id = application.authorize("ann")
    stack.sql("UPDATE authorizations SET events = 1, callback ="
              f" {quote(moved.url)} WHERE socket_id = {quote(socket_id)}")

    def is_heard():
        with connect(application.http, socket_id, "xhr_streaming") as user:
            user.send("hello")
        return moved.told("event", client="ann")

    stack.wait_until(is_heard, "the new callback", stack.bridge, SOON_S)
    moved.wait_event("connected", client="ann")
    moved.wait_for(lambda: "hello" in moved.messages(), "what was said")


def test_authorizations_end_when_they_are_to(new_application, stack):
    application = new_application()
    socket_id = application.authorize("ann")
    with Service(application.http, socket_id).socket() as ann:
        stack.sql("UPDATE authorizations SET expires_at = datetime('now')")
        assert ann.text() == GONE
    stack.wait_until(
        lambda: not stack.sql("SELECT * FROM authorizations WHERE socket_id"
                              f" = {quote(socket_id)}"),
        "the end of the row", stack.bridge, SOON_S)


def test_authorizations_go_with_their_token(new_application, stack):
    application = new_application()
    socket_id = application.authorize("ann")
    with Service(application.http, socket_id).socket() as ann:
        stack.sql("DELETE FROM tokens WHERE id ="
                  f" {application.token_id}")
        assert ann.text().startswith("c[")
    assert application.http.get(f"/{socket_id}/info").status == 404
    assert stack.sql("SELECT * FROM authorizations WHERE token_id ="
                     f" {application.token_id}") == []


@pytest.mark.options(callback_backoff="10ms", callback_retry="0s")
def test_what_is_dead_is_sent_again_when_it_is_made_ready(new_application,
                                                          stack):
    application = new_application()
    application.will_answer(500, 500)
    with connect(application.http, application.authorize(),
                 "xhr_streaming") as user:
        user.send("first")
        user.send("second")

    def dead():
        return overview(application, "outbox_overview",
                        "dead, ready, last_error")

    stack.wait_until(lambda: dead() and dead()[0]["dead"] == 2,
                     "two dead callbacks", stack.bridge)
    assert dead()[0]["ready"] == 0 and "500" in dead()[0]["last_error"]
    n_before = len(application.callbacks)
    stack.sql("UPDATE outbox SET state = 'ready' WHERE token_id ="
              f" {application.token_id}")
    application.wait_for(lambda: len(application.callbacks) == n_before + 2,
                         "both again")
    again = application.callbacks[n_before:]
    assert [callback.json["message"] for callback in again] == [
        "first", "second"]
    assert ({callback.id for callback in again}
            == {callback.id for callback in application.callbacks[:n_before]})
    stack.wait_until(lambda: not dead(), "an empty outbox", stack.bridge)


def test_applications_hear_of_those_a_killed_bridge_has_left(new_stack,
                                                             new_application):
    stack = new_stack()
    application = new_application(stack=stack, events=True)
    socket_id = application.authorize("ann")
    with Service(application.http, socket_id).socket():
        session = application.wait_event("connected", client="ann")["session"]
        stack.stop_bridge(signal.SIGKILL)
    stack.start_bridge()
    end = application.wait_event("disconnected", client="ann")
    assert end == {"event": "disconnected", "session": session,
                   "client": "ann", "code": 1006,
                   "reason": "bridge restarted"}
    assert stack.sql("SELECT kind, subject, close_code, close_reason FROM"
                     " sessions") == [
        {"kind": "application", "subject": "ann", "close_code": 1006,
         "close_reason": "bridge restarted"}]


def shell(stack, command):
    subprocess.run(["sqlite3", "-cmd", ".timeout 10000", stack.db_path,
                    command], check=True)


def test_a_backup_is_restored_while_users_talk(new_stack, responder):
    """Who is connected stays, goes on, and what the backup has is sent; so
    do those stay whom it does not have."""
    stack = new_stack(options={"callback_backoff": "10ms"})
    application = Application(stack, responder)
    ids = {name: application.authorize(name) for name in ("ann", "cid")}

    def taken():
        return [callback.json["message"] for callback in application.callbacks
                if callback.status == 204]

    with connect(application.http, ids["ann"], "websocket") as user:
        takes = application.behaviour
        application.behaviour = lambda callback: Answer(500)
        user.send("in the backup")
        stack.wait_until(lambda: stack.sql("SELECT 1 FROM outbox"), "its row")
        backup = stack.directory / "backup.db"
        shell(stack, f".backup '{backup}'")
        application.authorize("ann", ttl=5000)
        ids["ben"] = application.authorize("ben")
        application.withdraw("cid")
        user.send("since")
        shell(stack, f".restore '{backup}'")
        stack.wait_until(lambda: "it is told" in stack.log("wsbridge"),
                         "the bridge to notice")
        application.behaviour = takes
        user.send("afterwards")
        application.wait_for(lambda: "afterwards" in taken(), "the last")
        assert taken()[0] == "in the backup"
        rows = ("SELECT client, socket_id, unixepoch(expires_at)"
                " - unixepoch(renewed_at) AS ttl FROM authorizations"
                " ORDER BY client")
        stack.wait_until(lambda: len(stack.sql(rows)) == 3, "all rows")
        found = {row["client"]: row for row in stack.sql(rows)}
        assert {name: row["socket_id"] for name, row in found.items()} == ids
        assert found["ann"]["ttl"] == 5000
    for socket_id in ids.values():
        stack.wait_until(lambda: application.http.get(
            f"/{socket_id}/info").status == 200, "a socket id")
