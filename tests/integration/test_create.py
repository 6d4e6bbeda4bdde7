"""create: its checks in their order, its answers, what goes upstream."""

import json
import re
import time

import pytest

from client import Polysocketd
from stack import free_port
from target import Target

SLOW = 5        # s; far above any delay of a busy machine in these tests


def refusal(relay, response):
    """The code of a refused create: JSONP's dialect has no other status."""
    if isinstance(relay, Polysocketd):
        assert response.status == 200, response
        assert response.json["ok"] is False
    assert response.json["error"]
    return response.code if response.status == 200 else (
        response.status, response.code)


def expect(relay, status, code):
    return code if isinstance(relay, Polysocketd) else (status, code)


# Parameters.

def test_create_names_all_missing_parameters(http):
    response = http.post("/polysocket/create", {})
    assert (response.status, response.code) == (400, "missing_parameter")
    assert response.json["missing"] == ["target"]
    response = http.get("/create")
    assert (response.status, response.code) == (200, "missing_parameter")
    assert sorted(response.json["missing"]) == ["from", "target"]
    response = http.post("/create", {"target": "ws://127.0.0.1:1/"})
    assert (response.status, response.code) == (200, "missing_parameter")
    assert response.json["missing"] == ["from"]


@pytest.mark.parametrize("url, says", [
    ("http://127.0.0.1/", 'scheme component must be "ws" or "wss"'),
    ("ftp://127.0.0.1/", 'scheme component must be "ws" or "wss"'),
    ("wsx://127.0.0.1/", 'scheme component must be "ws" or "wss"'),
    ("127.0.0.1/path", None),
    ("/path", None),
    ("ws:127.0.0.1", None),
    ("ws:///path", None),
    ("ws://:80/path", None),
    ("ws://127.0.0.1/#part", "expected null fragment component"),
    ("ws://127.0.0.1/path#", "expected null fragment component"),
    ("ws://me@127.0.0.1/", None),
    ("ws://me:secret@127.0.0.1/", None),
    ("ws://127.0.0.1/a\nb", None),
    ("ws://127.0.0.1/a\r\nX-Injected: yes", None),
    ("ws://127.0.0.1/a\x7fb", None),
    ("ws://127.0.0.1/a b", None),
    ("ws://127.0.0.1:0x50/", None),
    ("ws://127.0.0.1:65536/", None),
    ("ws://127.0.0.1:-1/", None),
    ("ws://[::1/", None),
    ("", None),
])
def test_target_must_be_an_absolute_websocket_url(relay, url, says):
    response = relay.try_create(url)
    assert refusal(relay, response) in (
        expect(relay, 400, "target_invalid"),
        *([expect(relay, 400, "missing_parameter")] if url == "" else []))
    if says:
        assert says in response.json["error"]


@pytest.mark.parametrize("query", ["target=%ff", "target=%", "from=%00",
                                   "target=ws://x/&cb="])
def test_malformed_request_is_no_refusal(http, query):
    # Only refusals are 200 in the dialect of JSONP.
    response = http.request("GET", "/create?from=tests&" + query)
    assert (response.status, response.json["ok"]) == (400, False)


def test_scheme_and_host_are_case_insensitive(relay, target):
    relay.create(target.url("echo").replace("ws://127.0.0.1",
                                            "WS://LOCALHOST"))
    assert target.connection().header("Host").lower().startswith("localhost")


def test_path_and_query_of_the_target_go_upstream_unchanged(relay, target):
    relay.create(target.url("echo") + "/a%20b%2Fc?d=%C3%A9&e=1+2&f")
    line = target.connection().request_line
    assert line == "GET /echo/a%20b%2Fc?d=%C3%A9&e=1+2&f HTTP/1.1"


def test_target_without_a_path_is_asked_for_the_root(relay, target):
    relay.create(f"ws://127.0.0.1:{target.port}")
    assert target.connection().request_line == "GET / HTTP/1.1"


PATTERNS = ("ws://127.0.0.1:*/open*", "ws://localhost:*/exact",
            "ws://*.test:81")


@pytest.mark.parametrize("path", [
    "127.0.0.1:{}/closed", "localhost:{}/exact/not", "localhost:{}/Exact",
    "localhost:{}/open", "test:81/", "a.test:82/", "a.test/"])
def test_target_that_is_not_allowed_is_refused(relay, target, path,
                                               new_token):
    response = relay.try_create("ws://" + path.format(target.port),
                                token=new_token(targets=PATTERNS))
    assert refusal(relay, response) == expect(relay, 403, "target_refused")
    assert target.accepted == 0


def test_target_that_is_allowed_by_a_pattern_is_reached(relay, target,
                                                        new_token):
    token = new_token(targets=PATTERNS)
    for path in ("127.0.0.1:{}/open", "127.0.0.1:{}/open-echo/more",
                 "localhost:{}/exact"):
        relay.create("ws://" + path.format(target.port), token=token)


def test_scheme_of_the_pattern_counts(relay, target, new_token):
    response = relay.try_create(target.url("echo"), token=new_token(
        targets=["wss://127.0.0.1:*"]))
    assert refusal(relay, response) == expect(relay, 403, "target_refused")


def test_nothing_may_be_relayed_to_unless_it_is_listed(relay, target,
                                                       new_token):
    response = relay.try_create(target.url("echo"),
                                token=new_token(targets=[]))
    assert refusal(relay, response) == expect(relay, 403, "target_refused")
    assert target.accepted == 0


@pytest.mark.options(max_creates_per_second="1")
def test_checks_are_made_in_their_order(relay):
    # Each request would also fail every later check.
    if isinstance(relay, Polysocketd):
        response = relay.http.get("/create", target="http://#")
        assert response.code == "missing_parameter"
    response = relay.try_create("http://elsewhere.invalid/", token="nobody's")
    assert refusal(relay, response) == expect(relay, 400, "target_invalid")
    response = relay.try_create("ws://elsewhere.invalid/", token="nobody's")
    assert refusal(relay, response) == expect(relay, 403, "token_unknown")
    for _ in range(20):     # uses no creation up: it is refused before
        response = relay.try_create("ws://elsewhere.invalid/")
        assert refusal(relay, response) == expect(
            relay, 403, "target_refused")


ANY_INVALID = ("*://127.0.0.1:*", "*://*.invalid:*")


@pytest.mark.options(max_sessions_per_address="1")
def test_limits_come_before_the_name_is_resolved(relay, target, new_token):
    token = new_token(targets=ANY_INVALID)
    session = relay.create(target.url("quiet"), token=token)
    response = relay.try_create("ws://nowhere.invalid/", token=token)
    assert refusal(relay, response) == expect(relay, 429, "connection_limit")
    session.finish()


# Answers.

def test_answer_names_the_socket_and_the_relay(relay, target, stack):
    answer = relay.create(target.url("echo")).answer
    host = f"127.0.0.1:{stack.port}"
    assert answer == {"ok": True, "socket": answer["socket"], "relay": host,
                      "fqdn": host, "polysocketd": host}
    tag, _, secret = answer["socket"].partition(".")
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,32}", tag)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", secret), "128 bits, base64url"


def test_every_socket_is_another(relay, target):
    ids = {relay.create(target.url("quiet")).id for _ in range(20)}
    assert len({i.partition(".")[2] for i in ids}) == 20


def test_relay_is_the_host_that_was_asked(relay, target):
    for host in ("relay.example", "relay.example:8080"):
        answer = relay.create(target.url("echo"), {"Host": host}).answer
        assert answer["relay"] == host


@pytest.mark.options(public_host="tom.example.com")
def test_relay_is_the_configured_public_host(relay, target):
    answer = relay.create(target.url("echo")).answer
    assert {answer[key] for key in ("relay", "fqdn", "polysocketd")} == {
        "tom.example.com"}


@pytest.mark.options(public_host="tom.example.com:8443", wildcard_dns="yes")
def test_wildcard_dns_puts_a_fresh_label_in_front(relay, target):
    seen = set()
    for _ in range(5):
        answer = relay.create(target.url("echo")).answer
        assert answer["relay"] == "tom.example.com:8443"
        assert answer["fqdn"] == answer["polysocketd"]
        label, _, rest = answer["fqdn"].partition(".")
        assert rest == "tom.example.com:8443"
        assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", label)
        seen.add(label)
    assert len(seen) == 5


def test_create_answers_jsonp_when_asked(http, target):
    url = target.url("echo")
    for response in (
            http.get("/create", cb="made", target=url, **{"from": "t"}),
            http.get("/create", callback="made", target=url, **{"from": "t"}),
            http.post("/create", {"target": url, "from": "t", "cb": "made"}),
            http.post("/polysocket/create", {"target": url, "cb": "made"})):
        assert response.status == 200
        assert response.jsonp("made")["ok"] is True


def test_refusal_by_jsonp_is_wrapped(http):
    response = http.get("/create", cb="made", target="http://x/",
                        **{"from": "t"})
    assert response.status == 200
    answer = response.jsonp("made")
    assert (answer["ok"], answer["code"]) == (False, "target_invalid")


@pytest.mark.options(connect_timeout="3s")
def test_answer_comes_after_the_handshake(http, relay, target):
    # While the target has not answered there is no answer here either, and
    # when there is, the target has.
    with relay.http.begin("POST", "/polysocket/create", body={
            "target": target.url("stall")}) as pending:
        target.wait_for(lambda: target.connections, "the handshake")
        assert pending.stalled(0.3)
    session = relay.create(target.url("echo"))
    assert target.connection(1).opened
    session.close()


@pytest.mark.options(connect_timeout="400ms")
def test_stalled_handshake_times_out(relay, target):
    begun = time.monotonic()
    response = relay.try_create(target.url("stall"))
    assert (response.status, response.code) == (200, "connect_timeout")
    assert 0.3 < time.monotonic() - begun < SLOW
    target.connections[0].wait_closed()


@pytest.mark.options(connect_timeout="15s")
def test_connect_timeout_is_the_only_one(relay, target):
    """libwebsockets gives a handshake 5 s, where it is told nothing else."""
    relay.create(target.url("late", 6)).finish()


def test_closed_port_is_connect_refused(relay):
    response = relay.try_create(f"ws://127.0.0.1:{free_port()}/")
    assert (response.status, response.code) == (200, "connect_refused")
    assert response.json["ok"] is False and response.json["error"]


def test_unknown_name_is_dns_failure(relay, new_token):
    response = relay.try_create("ws://nowhere.invalid/",
                                token=new_token(targets=ANY_INVALID))
    assert (response.status, response.code) == (200, "dns_failure")


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 500, 503])
def test_rejected_handshake_tells_the_status(relay, target, status):
    other = target.url("echo")
    response = relay.try_create(target.url("refuse", status, "no", other))
    assert (response.status, response.code) == (200, "handshake_rejected")
    assert response.json["ok"] is False
    assert response.json["status"] == status
    assert target.accepted == 1, "a redirect is not followed"


def test_wrong_accept_key_is_handshake_rejected(relay, target):
    response = relay.try_create(target.url("wrong-accept"))
    assert (response.status, response.code) == (200, "handshake_rejected")


def test_target_that_hangs_up_is_no_success(relay, target):
    response = relay.try_create(target.url("hangup"))
    assert response.status == 200
    assert response.code in ("handshake_rejected", "connect_refused")


def test_failed_create_leaves_nothing_behind(relay, target):
    relay.try_create(target.url("refuse", 403))
    target.connections[0].wait_closed()


def test_ipv6_target_is_reached(relay):
    with Target("::1") as target:
        session = relay.create(target.url("echo"))
        session.send("six")
        assert session.receive() == ["six"]
        assert target.connection().header("Host") == f"[::1]:{target.port}"


def test_resolving_a_name_reaches_the_target(relay, target):
    relay.create(target.url("echo").replace("127.0.0.1", "localhost"))
    assert target.connection().header("Host") == f"localhost:{target.port}"


# What goes upstream.

def test_upstream_request_says_who_asks(relay, target):
    relay.create(target.url("echo"), {"Origin": "https://page.example:8443"})
    connection = target.connection()
    assert connection.header("Origin") == "https://page.example:8443"
    assert connection.header("Host") == f"127.0.0.1:{target.port}"
    assert re.fullmatch(r"polysocket/\d[\w.+~-]*",
                        connection.header("User-Agent"))
    assert connection.header("Sec-WebSocket-Version") == "13"
    assert connection.header("Cookie") is None
    for name in ("Origin", "Host", "User-Agent"):
        assert sum(n.lower() == name.lower()
                   for n, _ in connection.headers) == 1


def test_origin_header_is_preferred_to_the_parameter(relay, target):
    relay.create(target.url("echo"), {"Origin": "https://page.example"},
                 origin="https://liar.example")
    assert target.connection().header("Origin") == "https://page.example"


def test_origin_parameter_counts_without_the_header(relay, target):
    relay.create(target.url("echo"), origin="https://flash.example")
    assert target.connection().header("Origin") == "https://flash.example"


def test_origin_is_taken_from_the_referer(relay, target):
    relay.create(target.url("echo"),
                 {"Referer": "https://page.example:8443/a/b?c=d"})
    assert target.connection().header("Origin") == "https://page.example:8443"


def test_no_origin_is_invented(relay, target):
    relay.create(target.url("echo"))
    assert target.connection().header("Origin") is None


def test_origin_parameter_cannot_inject_a_header(http, target):
    response = http.post("/polysocket/create", {
        "target": target.url("echo"), "origin": "https://a\r\nX-Evil: yes"})
    assert response.status == 400
    assert target.accepted == 0


# Subprotocols.

@pytest.mark.parametrize("protocols", [["chat.v2", "chat.v1"],
                                       "chat.v2,chat.v1",
                                       "chat.v2, chat.v1"])
def test_subprotocols_are_offered_and_the_chosen_one_is_told(
        http, target, protocols):
    response = http.post("/polysocket/create", {
        "target": target.url("echo", protocol="chat.v1"),
        "protocols": protocols})
    assert response.json["ok"] is True
    assert response.json["protocol"] == "chat.v1"
    offered = target.connection().header("Sec-WebSocket-Protocol")
    assert re.split(r",\s*", offered) == ["chat.v2", "chat.v1"]


def test_subprotocols_in_a_query_are_a_comma_list(http, target):
    response = http.get("/create", target=target.url("echo", protocol="first"),
                        protocols="b,a", **{"from": "t"})
    assert response.json["protocol"] == "b"


def test_without_a_choice_no_protocol_is_told(relay, target):
    answer = relay.create(target.url("echo"), protocols="a,b").answer
    assert "protocol" not in answer


def test_without_subprotocols_none_is_offered(relay, target):
    relay.create(target.url("echo"))
    assert target.connection().header("Sec-WebSocket-Protocol") is None


def test_subprotocol_that_was_not_offered_is_a_rejected_handshake(
        relay, target):
    response = relay.try_create(target.url("echo", protocol="other"),
                                protocols="a,b")
    assert (response.status, response.code) == (200, "handshake_rejected")


@pytest.mark.parametrize("protocols", ["a b", "a,,b", "a\r\nX: y", "é",
                                       "a,a", 5, [1], [["a"]]])
def test_subprotocols_must_be_distinct_tokens(http, target, protocols):
    response = http.post("/polysocket/create", {
        "target": target.url("echo"), "protocols": protocols})
    assert response.status == 400
    assert target.accepted == 0


# permessage-deflate.

def test_messages_are_compressed_where_the_target_takes_it(relay, target):
    session = relay.create(target.url("echo", deflate="yes"))
    texts = ["squeeze me " * 500, "", "again and " * 500, "short"]
    session.send(*texts)
    session.send(b"\x00" * 5000)
    assert session.receive(5) == [*texts, b"\x00" * 5000]
    connection = target.connection()
    assert "permessage-deflate" in connection.header(
        "Sec-WebSocket-Extensions")
    assert connection.n_compressed >= 1


def test_messages_are_plain_where_the_target_does_not_compress(relay, target):
    session = relay.create(target.url("echo"))
    session.send("plain " * 500)
    assert session.receive() == ["plain " * 500]
    assert target.connection().n_compressed == 0


@pytest.mark.options(upstream_deflate="no")
def test_compression_can_be_switched_off(relay, target):
    session = relay.create(target.url("echo", deflate="yes"))
    session.send("plain " * 500)
    assert session.receive() == ["plain " * 500]
    connection = target.connection()
    assert connection.header("Sec-WebSocket-Extensions") is None
    assert connection.n_compressed == 0


# The token, until there are any.

def test_polysocket_dialect_does_not_need_from(http, target):
    response = http.post("/polysocket/create", {"target": target.url()})
    assert json.loads(response.text)["ok"] is True
