"""Applications as their users live them: a page connects and talks with the
application, in two tabs, until it is sent away; by each transport, at the root
and below a prefix, over HTTP/1.1 and HTTP/2."""

import contextlib
import json

import pytest

from client import Close, Http
from sockjs import HTTP_TRANSPORTS, TRANSPORTS, Service, connect

GO_AWAY = Close(3000, "Go away!", True)
WAYS = [*((transport, "1.1") for transport in (*TRANSPORTS, "raw")),
        *((transport, "2") for transport in HTTP_TRANSPORTS)]


@pytest.fixture(params=WAYS, ids=lambda way: "-http".join(way))
def way(request):
    return request.param


@pytest.fixture
def transport(way):
    return way[0]


@pytest.fixture
def http(stack, way):
    return Http(stack.port, stack.prefix, way[1])


@pytest.fixture
def app(new_application):
    return new_application(events=True)


@pytest.fixture
def tab(http, app, transport):
    """Opens one of ann's tabs; returns it and its session's name."""
    with contextlib.ExitStack() as tabs:
        def open_tab():
            before = app.told("session", event="connected")
            tab = tabs.enter_context(
                connect(http, app.socket_ids["ann"], transport))
            app.wait_for(lambda: len(app.told("session", event="connected"))
                         > len(before), "connected")
            return tab, app.told("session", event="connected")[-1]

        yield open_tab


@pytest.mark.parametrize("prefix", ["", "/live/x"], ids=["root", "below"])
def test_a_day_of_ann(http, app, tab, transport, stack):
    ann = app.authorize("ann")
    assert app.sessions(ann) == []

    # She comes, and the application is told.
    one, name = tab()
    assert app.callbacks[-1].json == {"event": "connected", "session": name,
                                      "client": "ann"}
    its, = app.sessions(ann)
    assert its["session"] == name
    assert its["transport"] == ("websocket-raw" if transport == "raw"
                                else transport)
    assert its["connected_at"]

    # They talk. What she sends is signed, and in order.
    one.send("hello")
    one.send("how", "are you")
    app.wait_messages("hello", "how", "are you")
    for callback in app.callbacks:
        callback.check_signature(app.key)
        assert callback.headers["Content-Type"] == "application/json"
    assert app.callbacks[-1].json == {
        "message": "are you", "session": name, "client": "ann"}
    assert app.publish(ann, "well") == {
        "ok": True, "sessions": 1, "queued": False}
    assert app.publish(ann, {"and": ["you", 1, None]})["sessions"] == 1
    assert one.next() == "well"
    assert json.loads(one.next()) == {"and": ["you", 1, None]}

    # A second tab: both hear, one hears.
    two, other = tab()
    assert other != name
    assert {its["session"] for its in app.sessions(ann)} == {name, other}
    assert app.publish(ann, "to both")["sessions"] == 2
    assert app.publish(ann, "to one", session=other)["sessions"] == 1
    assert one.next() == "to both"
    assert two.receive(2) == ["to both", "to one"]
    two.send("from the second")
    app.wait_messages("from the second", session=other)

    # The application closes one of them, and is told that too.
    app.publish(ann, session=name, close={"code": 3001, "reason": "enough"})
    assert one.closed() == Close(3001, "enough", True)
    assert app.wait_event("disconnected", session=name) == {
        "event": "disconnected", "session": name, "client": "ann",
        "code": 3001, "reason": "enough"}
    assert [its["session"] for its in app.sessions(ann)] == [other]
    assert app.try_publish(ann, name, message="x").status == 404

    # She comes again, with the id that she has: to her it is a new session.
    three, third = tab()
    assert third not in (name, other)
    three.send("again")
    app.wait_messages("again", session=third)
    assert app.publish(ann, "welcome")["sessions"] == 2
    assert (two.next(), three.next()) == ("welcome", "welcome")

    # The same client gets the same id; then it is taken from her.
    assert app.authorize("ann") == ann
    app.withdraw("ann")
    assert two.closed() == three.closed() == GO_AWAY
    for session in (other, third):
        gone = app.wait_event("disconnected", session=session)
        assert (gone["code"], gone["reason"]) == (3000, "Go away!")
    assert app.try_publish(ann, message="x").status == 404
    assert Service(http, ann).get("/info").status == 404
    assert app.authorize("ann") != ann
    assert not stack.complaints()


def test_answers_in_the_reply(http, new_application, transport):
    """An application that only answers needs no second call."""
    app = new_application("echo")
    with connect(http, app.authorize("ann"), transport) as ann, \
            connect(http, app.authorize("bob"), transport) as bob:
        ann.send("1", "2")
        bob.send("3")
        assert ann.receive(2) == ["1", "2"]
        assert bob.next() == "3"


def test_what_was_said_before_she_came(http, app, transport):
    ann = app.authorize("ann")
    for number in "12":
        assert app.publish(ann, number) == {
            "ok": True, "sessions": 0, "queued": True}
    assert app.publish(ann, "not kept", store=False) == {
        "ok": True, "sessions": 0, "queued": False}
    with connect(http, ann, transport) as user:
        assert user.receive(2) == ["1", "2"]
        app.publish(ann, "3")
        assert user.next() == "3"
    # They were kept for the first that came, and for nobody else.
    with connect(http, ann, transport) as user:
        app.publish(ann, "4")
        assert user.next() == "4"


@pytest.mark.parametrize("way", [("websocket", "1.1"), ("raw", "1.1")])
def test_a_page_that_is_left(app, tab):
    """What is known of the others depends on the web server, see
    test_sockjs_protocol_close.py."""
    ann = app.authorize("ann")
    user, name = tab()
    user.send("bye")
    user.close()
    gone = app.wait_event("disconnected", session=name)
    assert gone["code"] == 1000
    assert app.messages() == ["bye"]        # which was before it
    assert app.sessions(ann) == []
