"""GET .../limits, and that each refusal names the limit it is from."""

import re

import pytest

from client import Polysocket
from service import LIMITS, is_refused
from stack import SOURCE

COLUMNS = ("max_sockets", "max_creates_per_minute", "max_messages_per_day",
           "max_bytes_per_day", "max_message_bytes", "max_queue_bytes")


def documented_limits():
    text = (SOURCE / "doc" / "http-api.md").read_text("utf-8")
    section = text.partition("\n## Limits\n")[2].partition("\n## ")[0]
    return {name for line in section.splitlines() if line.startswith("| `")
            for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])}


def test_limits_are_those_that_are_documented(http):
    limits = http.get(LIMITS).json["limits"]
    assert limits.keys() == documented_limits()


@pytest.mark.options(max_message="12345B", hold_max="90s", hold_min="2s",
                     max_events="77", max_sessions_per_address="0")
def test_limits_are_those_in_force(http, new_token):
    limits = http.get(LIMITS).json["limits"]
    assert limits["max_message"] == 12345
    assert (limits["hold_min"], limits["hold_max"]) == (2000, 90000)
    assert limits["max_events"] == 77
    assert limits["max_sessions_per_address"] is None
    assert limits["max_body"] == 1088 * 1024
    assert limits["max_callback"] == 128
    assert [limits[name] for name in COLUMNS] == [None] * 6
    ours = {name: 1000 + i for i, name in enumerate(COLUMNS)}
    limits = http.get(LIMITS, token=new_token(**ours)).json["limits"]
    assert {name: limits[name] for name in COLUMNS} == ours
    assert limits["max_message"] == 12345


def test_limits_follow_the_administrator(http, stack, new_token):
    token = new_token(max_sockets=3)
    assert http.get(LIMITS, token=token).json["limits"]["max_sockets"] == 3
    stack.sql("UPDATE tokens SET max_sockets = 0 WHERE max_sockets = 3")
    stack.wait_policy()
    assert http.get(LIMITS, token=token).json["limits"]["max_sockets"] == 0


def create(http, url, **params):
    return http.post("/polysocket/create", {"target": url, **params})


def refused_by(http, target, name, new_token):
    """The answer to a request that is beyond the limit."""
    url = target.url("quiet")
    return {
        "max_body": lambda: http.post("/polysocket/send", "x" * 3000),
        "max_message": lambda: http.post("/polysocket/send", {
            "socket": "none.0",
            "events": [{"type": "string", "data": "x" * 501}]}),
        "max_events": lambda: http.post("/polysocket/send", {
            "socket": "none.0",
            "events": [{"type": "string", "data": ""}] * 4}),
        "max_callback": lambda: http.get(LIMITS, cb="x" * 129),
        "max_from": lambda: create(http, url, **{"from": "x" * 129}),
        "max_protocols": lambda: create(
            http, url, protocols=[f"{i:x>200}" for i in range(6)]),
        "max_target": lambda: http.get("/create", target=url + "x" * 8192,
                                       **{"from": "x"}),
        "max_reason": lambda: http.post("/polysocket/close", {
            "socket": "none.0", "reason": "x" * 124}),
        "max_parameters": lambda: http.get(
            LIMITS, **{f"p{i}": "" for i in range(129)}),
        "max_depth": lambda: http.post(
            "/polysocket/send", '{"x":' + "[" * 40 + "]" * 40 + "}"),
        "max_sockets": lambda: create(http, url,
                                      token=new_token(max_sockets=0)),
        "max_creates_per_minute": lambda: create(
            http, url, token=new_token(max_creates_per_minute=0)),
        "max_messages_per_day": lambda: create(
            http, url, token=new_token(max_messages_per_day=0)),
        "max_bytes_per_day": lambda: create(
            http, url, token=new_token(max_bytes_per_day=0)),
    }[name]()


@pytest.mark.options(max_body="2KiB", max_message="500B", max_events="3")
@pytest.mark.parametrize("name, status", [
    ("max_body", 413), ("max_message", 413), ("max_events", 400),
    ("max_callback", 400), ("max_from", 400), ("max_protocols", 400),
    ("max_reason", 400), ("max_parameters", 400), ("max_depth", 400),
    ("max_sockets", 429), ("max_creates_per_minute", 429),
    ("max_messages_per_day", 429), ("max_bytes_per_day", 429)])
def test_refusal_names_the_limit(http, target, new_token, name, status):
    response = refused_by(http, target, name, new_token)
    assert response.status == status, response
    assert response.json["limit"] == name, response
    assert name in http.get(LIMITS).json["limits"]


def test_refusal_of_a_long_target_names_the_limit(http, target, new_token):
    response = refused_by(http, target, "max_target", new_token)
    assert response.json["ok"] is False
    assert (response.code, response.json["limit"]) == ("target_invalid",
                                                       "max_target")


@pytest.mark.options(max_message="1KiB", queue_messages="4")
def test_refusals_of_the_bridge_name_the_limit(http, target, new_token):
    relay = Polysocket(http)
    session = relay.create(target.url("quiet"),
                           token=new_token(max_message_bytes=10))
    response = session.try_send("x" * 11)
    assert (response.code, response.json["limit"]) == (
        "message_too_large", "max_message_bytes")
    session.close()
    session = relay.create(target.url("quiet"), token=new_token())
    session.send("x" * 600, more=True)
    response = session.try_send("x" * 600)
    assert (response.code, response.json["limit"]) == (
        "message_too_large", "max_message")
    session.close()


@pytest.mark.options(max_sessions="1")
def test_full_node_names_the_limit(http, target):
    relay = Polysocket(http)
    session = relay.create(target.url("quiet"))
    response = relay.try_create(target.url("quiet"))
    assert is_refused(response, 503, "bridge_full", limit="max_sessions")
    session.finish()


@pytest.mark.options(max_sessions_per_address="1")
def test_full_address_names_the_limit(http, target):
    relay = Polysocket(http)
    session = relay.create(target.url("quiet"))
    response = relay.try_create(target.url("quiet"))
    assert is_refused(response, 429, "connection_limit",
                      limit="max_sessions_per_address")
    session.finish()


@pytest.mark.options(max_creates_per_second="1")
def test_creation_rate_names_the_limit(http, target, stack):
    relay = Polysocket(http)

    def refused():
        response = relay.try_create(target.url("quiet"))
        return response.status == 429 and is_refused(
            response, 429, "rate_limit", limit="max_creates_per_second")

    stack.wait_until(refused, "two creates in a second")


@pytest.mark.options(queue_messages="16", queue_bytes="64KiB",
                     max_message="64KiB", first_receiver_grace="20s")
@pytest.mark.parametrize("name, size, columns", [
    ("queue_messages", 4000, {}),
    ("queue_bytes", 40000, {}),
    ("max_queue_bytes", 4000, {"max_queue_bytes": 20000})])
def test_full_queue_names_the_limit(http, target, new_token, name, size,
                                    columns):
    session = Polysocket(http).create(target.url("deaf"),
                                      token=new_token(**columns))
    for _ in range(6000):
        response = session.try_send("x" * size)
        if response.status != 201:
            break
    assert is_refused(response, 429, "slow_target", limit=name)
