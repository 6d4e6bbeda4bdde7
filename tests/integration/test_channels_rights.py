"""Who may listen and emit: tokens, origins, limits; for requests and for
upgrades."""

import pytest

from channel import Channel

WHATS = ("members", "history", "listen", "emit")


def ask(channel, what, headers=None, **params):
    if what == "emit":
        return channel.try_emit("x", headers, **params)
    if what == "listen":
        params["transport"] = "xhr"
    return channel.http.get(channel.path(what), headers,
                            **channel.params(params))


def refused(response, status, code):
    assert (response.status, response.code) == (status, code), response
    assert response.json["success"] is False and response.json["error"]
    assert "ok" not in response.json


# No token.

@pytest.mark.anonymous(None)
@pytest.mark.parametrize("what", WHATS)
def test_a_request_without_token_is_refused(channel, what):
    refused(ask(channel, what), 403, "token_unknown")


@pytest.mark.anonymous(None)
def test_an_upgrade_without_token_is_told_to_have_one(channel):
    response = channel.try_upgrade()
    refused(response, 401, "token_required")
    assert response.header("WWW-Authenticate").startswith("Bearer")


@pytest.mark.parametrize("what", WHATS)
def test_an_unknown_token_is_refused(channel, what):
    channel.token = "nobody's"
    refused(ask(channel, what), 403, "token_unknown")


def test_an_upgrade_with_an_unknown_token_is_refused(channel):
    channel.token = "nobody's"
    refused(channel.try_upgrade(), 403, "token_unknown")


@pytest.mark.anonymous(None)
@pytest.mark.parametrize("columns", [
    {"enabled": 0}, {"expires_at": "2001-01-01T00:00:00Z"}], ids=str)
def test_a_token_that_is_no_longer_good_is_refused(channel, new_token,
                                                   columns):
    channel.token = new_token(**columns)
    refused(channel.try_upgrade(), 403, "token_unknown")
    refused(ask(channel, "emit"), 403, "token_unknown")


@pytest.mark.anonymous(None)
def test_a_token_comes_as_parameter_or_header(channel, new_token, kind):
    secret = new_token()
    bearer = {"Authorization": f"Bearer {secret}"}
    with channel.join(kind, headers=bearer) as one:
        channel.token = secret
        with channel.join(kind) as two:
            assert channel.emit("x")["delivered"] == 2
            assert one.data() == two.data() == ["x"]
        channel.token = None
        assert channel.try_emit("y", bearer).status == 200
        assert one.data() == ["y"]


# Channels and what may be done with them.

RIGHTS = [
    ((), (), ()),
    ((("*", 1, 1),), WHATS, WHATS),
    ((("*", 0, 1),), WHATS[:3], WHATS[:3]),
    ((("*", 1, 0),), WHATS[3:], WHATS[3:]),
    ((("*", 0, 0),), (), ()),
    ((("here*", 1, 1),), WHATS, ()),
    ((("here*", 0, 1), ("*", 1, 0)), WHATS, WHATS[3:]),
    ((("here", 1, 1),), (), ()),
]


@pytest.mark.parametrize("rights,here,there", RIGHTS, ids=range(len(RIGHTS)))
def test_a_token_may_what_its_rows_say(http, new_token, rights, here, there):
    token = new_token(channels=rights)
    for name, allowed in (("here it is", here), ("there", there)):
        channel = Channel(http, name, token)
        for what in WHATS:
            response = ask(channel, what)
            if what in allowed:
                assert response.status == 200, (name, what, response)
            else:
                refused(response, 403, "channel_refused")
        upgrade = channel.try_upgrade if "listen" not in allowed else None
        if upgrade:
            refused(upgrade(), 403, "channel_refused")
        else:
            with channel.join():
                pass


def test_a_new_row_holds_within_a_second(channel, new_token, stack):
    channel.token = new_token(channels=())
    refused(channel.try_upgrade(), 403, "channel_refused")
    stack.sql("INSERT INTO token_channels (token_id, pattern, may_emit)"
              " SELECT max(id), '*', 1 FROM tokens")
    stack.wait_until(lambda: ask(channel, "emit").status == 200, "the right")

    def joins():
        response = channel.try_upgrade()
        return response.status == 101

    stack.wait_until(joins, "the right of an upgrade")


# Origins.

@pytest.fixture
def shop(channel, new_token):
    channel.token = new_token(origins=("https://shop.example.com",),
                              allow_no_origin=0)
    return channel


@pytest.mark.parametrize("origin,allowed", [
    ("https://shop.example.com", True), ("https://SHOP.example.com", True),
    ("https://evil.example.com", False), ("http://shop.example.com", False),
    ("null", False), (None, False)], ids=str)
def test_an_origin_that_the_token_does_not_allow_is_refused(shop, origin,
                                                            allowed):
    headers = {"Origin": origin} if origin else {}
    for what in WHATS:
        response = ask(shop, what, headers)
        if allowed:
            assert response.status == 200, response
            assert response.header("Access-Control-Allow-Origin") == (
                "https://shop.example.com" if origin.islower() else origin)
        else:
            refused(response, 403, "origin_refused")
            assert response.header("Access-Control-Allow-Origin") is None
    if allowed:
        with shop.join(origin=origin):
            pass
    else:
        refused(shop.try_upgrade(headers), 403, "origin_refused")


@pytest.mark.parametrize("what", WHATS)
def test_a_preflight_is_answered_without_token(channel, what):
    response = channel.http.request(
        "OPTIONS", channel.path(what), None, {
            "Origin": "https://example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers":
                "content-type, idempotency-key, last-event-id"})
    assert response.status == 204
    assert response.header("Access-Control-Allow-Origin") == (
        "https://example.com")
    allowed = response.header("Access-Control-Allow-Headers").lower()
    assert "idempotency-key" in allowed and "last-event-id" in allowed
    methods = response.header("Access-Control-Allow-Methods")
    assert ("POST" in methods) == (what in ("emit", "listen"))


@pytest.mark.parametrize("what,methods", [
    ("members", ("POST", "DELETE", "PUT")),
    ("history", ("POST", "DELETE")), ("listen", ("PUT", "DELETE")),
    ("emit", ("PUT", "DELETE", "PATCH"))])
def test_other_methods_are_not_allowed(channel, what, methods):
    for method in methods:
        response = channel.http.request(method, channel.path(what))
        refused(response, 405, "method_not_allowed")
        assert "GET" in response.header("Allow")


# Limits.

def test_max_sockets_bounds_the_members_of_a_token(channel, new_token, kind):
    channel.token = new_token(max_sockets=2)
    with channel.join(kind), channel.join():
        for response in (channel.try_upgrade(), ask(channel, "listen")):
            refused(response, 429, "connection_limit")
            assert int(response.header("Retry-After")) >= 1
            assert response.json["limit"] == "max_sockets"
        assert channel.emit("x")["delivered"] == 2
        assert len(channel.ids()) == 2


def test_max_creates_bounds_the_joins_of_a_minute(channel, new_token):
    channel.token = new_token(max_creates_per_minute=2)
    for _ in range(2):
        with channel.join():
            pass
    for response in (channel.try_upgrade(), ask(channel, "listen")):
        refused(response, 429, "rate_limit")
        assert response.json["limit"] == "max_creates_per_minute"
        assert 1 <= int(response.header("Retry-After")) <= 61


@pytest.mark.options(max_sessions_per_address="2")
def test_an_address_has_its_limit(channel, stack):
    with channel.join() as one, channel.join():
        refused(channel.try_upgrade(), 429, "connection_limit")
        refused(ask(channel, "listen"), 429, "connection_limit")
        one.close()
        stack.wait_until(lambda: len(channel.ids()) == 1, "the other")
        with channel.join():
            pass


@pytest.mark.options(max_sessions="2")
def test_a_node_has_its_limit(channel):
    with channel.join(), channel.join():
        refused(channel.try_upgrade(), 503, "bridge_full")
        refused(ask(channel, "listen"), 503, "bridge_full")


def test_an_emit_has_the_size_of_the_token(channel, new_token):
    secret = new_token(max_message_bytes=100)
    channel.token = secret
    refused(channel.try_emit("x" * 99), 413, "message_too_large")
    assert channel.try_emit("x" * 90).status == 200


@pytest.mark.options(max_message="10KiB")
def test_an_emit_has_the_size_of_the_node(channel):
    refused(channel.try_emit("x" * 10240), 413, "message_too_large")
    with channel.join() as member:
        channel.emit("x" * 10238)
        assert member.data() == ["x" * 10238]


def test_messages_of_a_day_are_counted_and_bounded(channel, new_token, stack):
    channel.token = new_token(max_messages_per_day=10)
    with channel.join() as member:
        for i in range(5):      # each up once and down once
            channel.emit(i)
            assert member.data() == [i]
        refused(channel.try_emit("x"), 429, "daily_limit")


def test_presence_and_pings_are_not_counted(channel, new_token, stack):
    channel.token = new_token(max_messages_per_day=3)
    with channel.join() as one, channel.join() as two:
        for i in range(10):
            two.set_presence({"i": i})
            assert one.find("PRESENCE:UPDATED").payload["presence"] == {"i": i}
        channel.emit("x")
        assert one.data() == two.data() == ["x"]


# Records.

def test_a_member_is_a_row_of_the_records(channel, stack, kind):
    where = f"kind = 'channel' AND subject = '{channel.name}'"

    def row(columns):
        return stack.sql(f"SELECT {columns} FROM sessions WHERE {where}")

    with channel.join(kind, headers={"Origin": "https://a.example"}) as member:
        for i in range(3):
            channel.emit({"i": i})
        member.data(3)
        stack.wait_until(lambda: row("id"), "its row")
        found, = row("token_id, origin, remote_addr, closed_at")
        assert found == {"token_id": 1, "origin": "https://a.example",
                         "remote_addr": "127.0.0.1", "closed_at": None}
        assert member.id not in str(row("*"))


@pytest.mark.parametrize("change,reason", [
    ("UPDATE tokens SET enabled = 0", "token disabled"),
    ("DELETE FROM tokens", "token deleted")])
def test_a_token_that_ends_takes_its_members_along(channel, new_token, stack,
                                                   kind, change, reason):
    channel.token = new_token()
    with channel.join(kind) as member:
        stack.sql(f"{change} WHERE id = (SELECT max(id) FROM tokens)")
        assert member.closed()[:2] == (1008, reason)
