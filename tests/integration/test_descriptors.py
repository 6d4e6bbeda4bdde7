"""A bridge that has no descriptor left: what cannot be done is refused, what
is there goes on, and all is well when there are some again."""

import contextlib
import json
import os
import resource

import pytest

from application import Application, Responder
from client import Http
from sockjs import Service, connect, messages_of
from test_outbox import wait_empty

AGAIN = {"callback_backoff": "10ms", "receiver_grace": "60s"}


@pytest.fixture
def responder():
    with Responder() as responder:
        yield responder


@contextlib.contextmanager
def no_descriptors(stack):
    """None that is not in use now."""
    pid = stack.bridge_pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    looks = []

    def take_the_rest():
        # Those of requests that are over are closed a moment later.
        looks.append({int(name) for name in os.listdir(f"/proc/{pid}/fd")})
        # The first that is free bounds what is given out.
        free = next(n for n in range(len(looks[-1]) + 1)
                    if n not in looks[-1])
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, before[1]))
        return looks[-3:] == [looks[-1]] * 3

    stack.wait_until(take_the_rest, "the end of descriptors", stack.bridge)
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_nothing_is_mixed_up_without_descriptors(new_stack, responder):
    stack = new_stack(options=AGAIN)
    application = Application(stack, responder, "echo")
    with connect(application.http, application.authorize("eve"),
                 "websocket") as eve:
        eve.send("before")
        assert eve.next() == "before"
        others = [Service(application.http, application.authorize(f"{i}"))
                  .session() for i in range(8)]
        for other in others:
            assert other.xhr().text == "o\n"
        with no_descriptors(stack):
            # Its connection is there, and so is that to the application.
            eve.send("meanwhile")
            assert eve.next() == "meanwhile"
            # A worker that is disconnected leaves some for others.
            answers = [other.try_send(json.dumps([f"try {i}"]))
                       for i, other in enumerate(others)]
            statuses = [answer.status for answer in answers]
            assert statuses[0] >= 500, answers[0]
        stack.wait_until(
            lambda: Http(stack.port).get(
                "/polysocket/health/ready").status == 200,
            "descriptors", stack.bridge)
        for i, other in enumerate(others):
            expected = [f"try {i}"] if statuses[i] == 204 else []
            other.send(f"again {i}")
            expected.append(f"again {i}")
            heard = []
            while len(heard) < len(expected):
                heard += messages_of(other.xhr().text)
            assert heard == expected, statuses
        eve.send("after")
        assert eve.next() == "after"
        wait_empty(stack)


def test_applications_are_called_when_there_are_descriptors(new_stack,
                                                            responder):
    stack = new_stack(options={**AGAIN, "callback_timeout": "1s"})
    application = Application(stack, responder, "echo")
    with connect(application.http, application.authorize("eve"),
                 "websocket") as eve:
        with no_descriptors(stack):
            eve.send("hello")
            stack.wait_until(
                lambda: stack.sql("SELECT 1 FROM outbox WHERE attempts > 0"),
                "an attempt that failed", stack.bridge)
            assert application.callbacks == []
        assert eve.next() == "hello"
        wait_empty(stack)
