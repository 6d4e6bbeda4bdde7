"""Limits on sessions, their creation and what is held."""

import time

import pytest

from client import DIALECTS, Http, Polysocket, Polysocketd


@pytest.fixture
def relay_from(stack, dialect):
    """Makes relays whose requests come from an address of 127.0.0.0/8."""
    return lambda source: DIALECTS[dialect](Http(stack.port, source=source))


def is_refused(relay, response, status, code):
    if isinstance(relay, Polysocketd):
        assert (response.status, response.json["ok"]) == (200, False)
    else:
        assert response.status == status
    assert response.code == code, response
    return True


@pytest.mark.options(max_sessions_per_address="3")
def test_sessions_of_one_address_are_limited(relay_from, target):
    relay = relay_from("127.0.0.2")
    sessions = [relay.create(target.url("quiet")) for _ in range(3)]
    for _ in range(3):
        response = relay.try_create(target.url("quiet"))
        assert is_refused(relay, response, 429, "connection_limit")
    assert target.accepted == 3
    # Other addresses are not concerned, and a place that is free is given.
    other = relay_from("127.0.0.3").create(target.url("quiet"))
    sessions.pop().finish()
    sessions.append(relay.create(target.url("quiet")))
    for session in (*sessions, other):
        session.finish()


@pytest.mark.options(max_sessions_per_address="3")
def test_failed_create_takes_no_place(relay_from, target):
    relay = relay_from("127.0.0.4")
    for _ in range(6):
        response = relay.try_create(target.url("refuse", 403))
        assert response.code == "handshake_rejected"
    relay.create(target.url("quiet")).finish()


@pytest.mark.options(max_sessions_per_address="3", connect_timeout="10s")
def test_simultaneous_creates_do_not_overshoot(relay_from, target):
    relay = relay_from("127.0.0.5")
    begun = [relay.http.begin("POST", "/polysocket/create",
                              body={"target": target.url("quiet")})
             for _ in range(20)]
    answers = [exchange.response() for exchange in begun]
    codes = [answer.code for answer in answers if answer.status != 200]
    assert codes == ["connection_limit"] * 17
    for exchange, answer in zip(begun, answers):
        exchange.close()
        if answer.status == 200:
            response = relay.http.post("/c/" + answer.json["socket"], {})
            assert response.status == 200
            relay.http.get("/p/" + answer.json["socket"])


@pytest.mark.options(max_sessions="3")
def test_sessions_of_the_node_are_limited(relay_from, target):
    relays = [relay_from(f"127.0.0.{i}") for i in range(10, 15)]
    sessions = [relay.create(target.url("quiet")) for relay in relays[:3]]
    response = relays[3].try_create(target.url("quiet"))
    assert is_refused(relays[3], response, 503, "bridge_full")
    if not isinstance(relays[3], Polysocketd):
        assert int(response.header("Retry-After")) >= 1
    sessions.pop().finish()
    sessions.append(relays[4].create(target.url("quiet")))
    for session in sessions:
        session.finish()


@pytest.mark.options(max_creates_per_second="5")
def test_creation_rate_is_limited_by_address(relay_from, target, stack):
    relay = relay_from("127.0.0.20")
    # A fresh second, so that 5 fit into it.
    responses = [relay.try_create(target.url("quiet")) for _ in range(15)]
    refused = [r for r in responses if r.json["ok"] is False]
    assert 5 <= len(refused) <= 10
    assert is_refused(relay, refused[0], 429, "rate_limit")
    if not isinstance(relay, Polysocketd):
        assert int(refused[0].header("Retry-After")) >= 1
    relay_from("127.0.0.21").create(target.url("quiet"))
    stack.wait_until(lambda: relay.try_create(target.url("quiet"))
                     .json["ok"], "the next second")


@pytest.mark.options(max_held="3", hold_default="10s", receiver_grace="20s")
def test_held_requests_are_limited(http, target, stack):
    relay = Polysocket(http)
    sessions = [relay.create(target.url("quiet")) for _ in range(5)]
    held = stack.until_held(
        lambda: [session.begin() for session in sessions[:3]], 3)
    begun = time.monotonic()
    response = sessions[3].try_poll()
    assert time.monotonic() - begun < 5, "answered at once"
    assert response.json == {"ok": True, "events": [{"type": "heartbeat"}]}
    assert int(response.header("Retry-After")) >= 1
    for kind in ("stream", "events"):
        response = sessions[3].try_poll(kind=kind)
        assert (response.status, response.code) == (503, "too_many_held")
        assert int(response.header("Retry-After")) >= 1
    # What need not be held is answered as ever, and so is who replaces.
    target.connection(4).send("here already")
    assert sessions[4].receive() == ["here already"]
    with sessions[0].begin() as replacing:
        assert held[0].response().json["events"] == [{"type": "heartbeat"}]
        target.connection(0).send("for the second")
        assert "for the second" in replacing.response().text
    with sessions[3].stream() as stream:
        target.connection(3).send("there is room again")
        assert stream.receive() == ["there is room again"]
    for exchange in held:
        exchange.close()
    for session in sessions:
        session.close()


@pytest.mark.options(max_probes="2")
def test_probes_are_limited(http, stack):
    probes = [http.begin("GET", "/polysocket/probe") for _ in range(2)]
    for probe in probes:
        assert probe.head() == 200
    response = http.get("/polysocket/probe")
    assert (response.status, response.code) == (503, "too_many_held")
    assert response.json["limit"] == "max_probes"
    assert int(response.header("Retry-After")) >= 1
    # One that is over makes room for another.
    assert probes[0].response().status == 200
    stack.wait_until(lambda: http.get("/polysocket/probe").status == 200,
                     "room for a probe")
    probes[1].close()
