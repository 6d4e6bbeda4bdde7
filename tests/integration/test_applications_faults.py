"""Parts that are killed or restarted under the users of an application."""

import contextlib
import os
import signal

import pytest

from sockjs import HTTP_TRANSPORTS, TRANSPORTS, connect

ALL = (*TRANSPORTS, "raw")
# A receiver that has gone is missed with the next heartbeat at the latest.
SOON = {"heartbeat_interval": "500ms", "receiver_grace": "2s"}


@pytest.fixture
def parts(new_stack, new_application):
    """A stack of its own with an application, and somebody there by each
    transport, who has said so."""
    stack = new_stack(options=SOON)
    app = new_application("echo", stack, events=True)
    ids = {transport: app.authorize(transport) for transport in ALL}
    with contextlib.ExitStack() as clients:
        users = {transport: clients.enter_context(
            connect(app.http, ids[transport], transport))
            for transport in ALL}
        for transport, user in users.items():
            user.send("hello")
            assert user.next() == "hello"
        yield stack, app, users


def test_web_server_killed_ends_sessions_and_loses_nothing(parts):
    stack, app, users = parts
    app.will_answer(500, 500, 500)
    for transport in HTTP_TRANSPORTS:       # where a send is answered
        users[transport].send("last words")
    stack.stop_server(signal.SIGKILL)
    for transport in users:
        app.wait_event("disconnected", client=transport)
        assert app.told("event", client=transport) == ["connected",
                                                       "disconnected"]
    for transport in HTTP_TRANSPORTS:
        said = app.messages(client=transport)
        assert said[0] == "hello" and set(said[1:]) == {"last words"}
    stack.start_server()
    stack.wait_until(stack.answers, "the server")
    for transport in users:
        # Those of before may have come again by themselves.
        with connect(app.http, app.socket_ids[transport], transport) as user:
            user.send("again")
            assert user.next() == "again"


def test_workers_killed_are_not_noticed(parts):
    stack, app, users = parts
    old = stack.worker_pids
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    stack.wait_workers(len(old), without=old)
    for transport, user in users.items():
        app.publish(app.socket_ids[transport], "still there?")
        assert user.next() == "still there?"
        user.send("yes")
        assert user.next() == "yes"
    assert not app.told("event", event="disconnected")
