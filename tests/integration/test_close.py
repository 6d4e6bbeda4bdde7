"""close: both ways, codes and reasons, and what a receiver is told."""

import pytest

from client import Close, Polysocket


@pytest.fixture
def quiet(relay, target):
    return relay.create(target.url("quiet"))


# By the client.

@pytest.mark.parametrize("code, reason", [
    (1000, ""), (1000, "thanks"), (3000, "lowest"), (4999, "highest"),
    (4000, "é✓𝄞"), (3333, "r" * 123), (3333, "é" * 61 + "r")])
def test_close_reaches_the_target(quiet, target, code, reason):
    quiet.close(code=code, reason=reason)
    assert target.connection().wait_closed() == (code, reason)
    assert quiet.receive() == [Close(code, reason, True)]
    assert quiet.is_gone()


@pytest.mark.parametrize("code", [0, 1, 999, 1001, 1005, 1006, 1007, 1011,
                                  1015, 2000, 2999, 5000, 65536, -1, 10 ** 20,
                                  "x", "1000x", 1000.5])
def test_code_a_client_may_not_use_is_refused(quiet, target, code):
    response = quiet.try_close(code=code, reason="x")
    assert (response.status, response.json["ok"]) == (400, False)
    quiet.send("still open")
    target.connection().wait_for_messages("still open")


@pytest.mark.parametrize("reason", ["r" * 124, "é" * 62])
def test_reason_over_123_bytes_is_refused(quiet, target, reason):
    response = quiet.try_close(code=1000, reason=reason)
    assert response.status == 400
    quiet.send("still open")
    target.connection().wait_for_messages("still open")


def test_close_without_a_code_is_a_normal_one(quiet, target):
    quiet.close()
    assert target.connection().wait_closed() in ((1000, ""), (1005, ""))
    assert quiet.receive()[0].was_clean is True


def test_close_of_polysocketd_by_get_and_jsonp(http, target):
    session = Polysocket(http).create(target.url("quiet"))
    response = http.get("/c/" + session.id, cb="done", code=3001, reason="é")
    assert response.status == 200
    assert response.jsonp("done") == {"ok": True}
    assert target.connection().wait_closed() == (3001, "é")


def test_close_takes_a_form(http, target):
    session = Polysocket(http).create(target.url("quiet"))
    response = http.post("/c/" + session.id, "code=3001&reason=a+b",
                         {"Content-Type": "application/x-www-form-urlencoded"})
    assert (response.status, response.json) == (200, {"ok": True})
    assert target.connection().wait_closed() == (3001, "a b")


def test_what_was_sent_before_the_close_arrives_before_it(quiet, target):
    texts = [f"{i}" for i in range(100)]
    quiet.send(*texts)
    quiet.close(code=1000)
    connection = target.connection()
    connection.wait_closed()
    assert connection.messages == texts


def test_held_receiver_gets_the_close(quiet, parked):
    with parked(quiet) as poll:
        quiet.close(code=3001, reason="bye")
        assert quiet.relay.decode(poll.response().json) == [
            Close(3001, "bye", True)]


def test_waiting_messages_come_before_the_close(quiet, target):
    connection = target.connection()
    connection.do("say", "a", "b")
    connection.do("close-with", "3001", "bye")
    connection.wait_closed()
    assert quiet.receive(3) == ["a", "b", Close(3001, "bye", True)]


def test_nothing_can_be_sent_after_a_close(quiet):
    quiet.close(code=1000)
    response = quiet.try_send("too late")
    assert (response.status, response.code) == (403, "socket_unknown")


def test_closing_an_unknown_socket_is_refused(relay):
    response = relay.try_close("none.AAAAAAAAAAAAAAAAAAAAAA", code=1000)
    assert (response.status, response.code) == (403, "socket_unknown")


def test_second_close_is_refused_or_changes_nothing(quiet, target):
    quiet.close(code=3001, reason="first")
    assert quiet.try_close(code=3002).status in (200, 403)
    assert target.connection().wait_closed() == (3001, "first")


def test_close_names_what_is_missing(http):
    response = http.post("/polysocket/close", {"code": 1000})
    assert (response.status, response.code) == (400, "missing_parameter")
    assert response.json["missing"] == ["socket"]


# By the target.

@pytest.mark.parametrize("code, reason", [
    (1000, ""), (1001, "going away"), (1011, "internal"), (3001, "bye"),
    (4999, "é✓"), (1003, "r" * 123)])
def test_close_of_the_target_reaches_the_client(quiet, target, code, reason):
    connection = target.connection()
    connection.do("close-with", str(code), reason)
    assert quiet.receive() == [Close(code, reason, True)]
    # The handshake is completed with the same code.
    assert connection.wait_closed()[0] == code
    assert quiet.is_gone()


def test_empty_close_frame_is_1005(quiet, target):
    target.connection().do("close-with")
    assert quiet.receive() == [Close(1005, "", True)]


@pytest.mark.parametrize("how", ["drop", "reset"])
def test_connection_lost_without_a_close_frame_is_1006(quiet, target, how):
    target.connection().do(how)
    close, = quiet.receive()
    assert (close.code, close.was_clean) == (1006, False)


def test_target_that_closes_at_once_is_seen_by_the_first_poll(relay, target):
    session = relay.create(target.url("close-with", 3001, "not today"))
    assert session.receive() == [Close(3001, "not today", True)]


def test_send_after_the_target_closed_is_refused(quiet, target, stack):
    connection = target.connection()
    connection.do("close-with", "1000")
    connection.wait_closed()
    stack.wait_until(quiet.is_gone, "403 for a closed socket")


@pytest.mark.options(close_linger="700ms", receiver_grace="10s",
                     first_receiver_grace="10s")
def test_close_event_waits_for_close_linger(stack, relay, target):
    kept = relay.create(target.url("close-with", 3001, "bye"))
    lost = relay.create(target.url("close-with", 3001, "bye"))
    assert kept.receive() == [Close(3001, "bye", True)]
    path, params = relay.receiver("poll", lost.id)
    # HEAD asks without fetching.
    stack.wait_until(lambda: relay.http.request("HEAD", path, params).status
                     == 403, "the end of the linger")


@pytest.mark.options(close_linger="700ms")
def test_target_that_never_answers_the_close_does_not_hold_the_session(
        stack, relay, target):
    session = relay.create(target.url("quiet", answer_close="no"))
    session.close(code=3001, reason="bye")
    close, = session.receive()
    assert close.was_clean is False
    stack.wait_until(session.is_gone, "the session's end")
    target.connection().wait_closed()


def test_target_that_drops_instead_of_answering_is_not_clean(relay, target):
    session = relay.create(target.url("quiet", answer_close="drop"))
    session.close(code=3001, reason="bye")
    assert target.connection().wait_closed() == (3001, "bye")
    close, = session.receive()
    assert (close.code, close.was_clean) == (1006, False)
