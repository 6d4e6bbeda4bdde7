"""Requests to channels that are refused before a channel is asked: names,
methods, parameters, bodies, tokens, origins; and the last ones that are not.
"""

import json
import urllib.parse

import pytest

from channel import CLIENT_ID, UPGRADE, Channel
from client import Http
from test_http import FORM, JSON, NO_STORE

WHATS = ("emit", "listen", "history", "members")
NDJSON = {"Content-Type": "application/x-ndjson"}
LIMITS = "/polysocket/limits"


def refused(response, status, code, limit=None):
    assert (response.status, response.code) == (status, code), response
    assert response.header("Content-Type") == "application/json; charset=utf-8"
    assert response.header("Cache-Control") == NO_STORE
    assert response.header("X-Content-Type-Options") == "nosniff"
    answer = response.json
    assert answer["success"] is False and "ok" not in answer
    assert len(answer["error"]) > 5
    assert answer.get("limit") == limit
    return True


def emit(channel, body="1", headers=None, **params):
    return channel.http.request("POST", channel.path("emit"),
                                channel.params(params), headers or JSON, body)


def ask(channel, what, **params):
    """By GET, so that nothing but a right is missing."""
    if what == "listen":
        params["transport"] = "xhr"
    if what == "emit":
        params["x"] = "1"
    return channel.http.get(channel.path(what), None,
                            **channel.params(params))


# Names and paths.

@pytest.mark.parametrize("name, code, limit", [
    ("x" * 129, "name_invalid", "max_channel"),
    ("%C3%A9" * 64 + "x", "name_invalid", "max_channel"),
    ("a%01", "name_invalid", None), ("a%7F", "name_invalid", None),
    ("%C2%85", "name_invalid", None),
    ("%FF", "bad_request", None),
    ("polysocket", "name_reserved", None), ("create", "name_reserved", None),
    ("authorize", "name_reserved", None)])
@pytest.mark.parametrize("what", WHATS)
def test_what_is_no_name_is_told_why(http, what, name, code, limit):
    response = http.get(f"/{name}/{what}", x="1")
    if code == "bad_request":       # nobody knows yet what it is of
        assert (response.status, response.code) == (400, code)
    else:
        refused(response, 400, code, limit)


@pytest.mark.parametrize("name", ["x" * 128, "%C3%A9" * 64, "a%2Fb", "Create",
                                  "%C2%A0"])
def test_a_name_of_128_bytes_is_one(http, name):
    response = http.get(f"/{name}/members")
    assert response.status == 200, response


@pytest.mark.parametrize("path", ["/a/emits", "/a/emit/x", "/a/b/emit",
                                  "/emit", "/a/emit/", "/a/Emit"])
def test_other_paths_are_no_channel(http, path):
    response = http.get(path, x="1")
    assert (response.status, response.code) == (404, "not_found")


@pytest.mark.parametrize("word", ["s", "j", "x", "p", "e", "c"])
def test_routes_of_the_relay_stay_its_own(http, word):
    response = http.get(f"/{word}/emit", d="d", t="t", cb="f")
    assert response.status == 403, response
    answer = response.jsonp("f") if word in "scj" else response.json
    assert answer["code"] == "socket_unknown"


@pytest.mark.options(services="relay")
@pytest.mark.parametrize("what", WHATS)
def test_a_service_that_is_off_is_not_there(channel, what):
    refused(ask(channel, what), 404, "not_found")
    response = channel.http.post(channel.path(what), "1", JSON)
    refused(response, 404, "not_found")


@pytest.mark.environment(POLYSOCKET_SERVICES="relay")
def test_a_virtual_host_may_switch_it_off(channel):
    refused(ask(channel, "members"), 404, "not_found")
    refused(channel.try_upgrade(), 404, "not_found")


# Methods.

@pytest.mark.parametrize("what, methods, allow", [
    ("emit", ("PUT", "DELETE", "PATCH"), "GET, HEAD, POST, OPTIONS"),
    ("listen", ("PUT", "DELETE"), "GET, HEAD, POST, OPTIONS"),
    ("history", ("POST", "PUT"), "GET, HEAD, OPTIONS"),
    ("members", ("POST", "DELETE"), "GET, HEAD, OPTIONS")])
def test_other_methods_are_refused(channel, what, methods, allow):
    for method in methods:
        response = channel.http.request(method, channel.path(what))
        refused(response, 405, "method_not_allowed")
        assert response.header("Allow") == allow
    response = channel.http.request("OPTIONS", channel.path(what))
    assert (response.status, response.body) == (204, b"")
    assert response.header("Access-Control-Allow-Methods") == allow


@pytest.mark.parametrize("what, params, type_", [
    ("emit", {"x": "1"}, "application/json"),
    ("listen", {"transport": "xhr"}, "application/json"),
    ("listen", {"cb": "f"}, "javascript"),
    ("listen", {"transport": "eventsource"}, "text/event-stream"),
    ("history", {}, "application/json"), ("members", {}, "application/json")])
def test_head_tells_what_get_would(channel, what, params, type_):
    response = channel.http.request("HEAD", channel.path(what), params)
    assert (response.status, response.body) == (200, b"")
    assert type_ in response.header("Content-Type")
    assert channel.members() == []


@pytest.mark.parametrize("what, params, status", [
    ("emit", {}, 400), ("emit", {"x": "1", "clients": "0"}, 400),
    ("listen", {}, 426), ("listen", {"transport": "xhr", "since": "a",
                                     "presence": "1"}, 400),
    ("listen", {"transport": "xhr", "client": "client_a", "key": "a"}, 403),
    ("members", {"token": "nobody"}, 403)])
def test_head_is_refused_as_get_is(channel, what, params, status):
    response = channel.http.request("HEAD", channel.path(what), params)
    assert (response.status, response.body) == (status, b"")


# Emitting: the payload.

@pytest.mark.parametrize("body", [b"", b" \n", b"null", b" null ", b"{}",
                                  b"[]", b"{ }", b"[\n]"])
def test_nothing_is_no_payload(channel, body):
    response = emit(channel, body)
    refused(response, 400, "no_payload")
    assert response.text.startswith(
        '{"success":false,"error":"No payload provided."')


@pytest.mark.parametrize("params", [
    {}, {"clients": "2"}, {"require-ack": "1"}, {"min-acks": "1"},
    {"id": "a"}, {"cb": "f", "status": "400"}], ids=str)
def test_control_parameters_are_no_payload(channel, params):
    response = channel.http.get(channel.path("emit"), **params)
    answer = response.jsonp("f") if "cb" in params else response.json
    assert response.status == 400
    assert answer == {"success": False, "error": "No payload provided.",
                      "code": "no_payload"}


@pytest.mark.parametrize("params", [
    {"callback": "f"}, {"callback": "no name"}, {"status": "200"},
    {"": "x"}, {"from": "a"}, {"since": "evt_"}], ids=str)
def test_any_other_parameter_is_payload(channel, params):
    response = channel.http.get(channel.path("emit"), **params)
    assert (response.status, response.json["success"]) == (200, True)


@pytest.mark.parametrize("body", [
    b"{", b"nul", b"[1,]", b"{'a':1}", b"{a:1}", b"01", b"1.", b'"a', b"1 2",
    b'"\xff"', b'"\n"', b'"\\ud800"', b"NaN", b"\xef\xbb\xbf1", b"1\x00"])
def test_bad_json_is_refused(channel, body):
    refused(emit(channel, body), 400, "bad_request")
    refused(emit(channel, b"1\n" + body, NDJSON), 400, "bad_request")


@pytest.mark.parametrize("levels, good", [(31, True), (32, True),
                                          (33, False), (100000, False)])
def test_nesting_is_limited(channel, levels, good):
    response = emit(channel, "[" * levels + "]" * levels)
    if good:
        assert response.status == 200, response
    else:
        refused(response, 400, "bad_request", "max_depth")


@pytest.mark.parametrize("type_, good", [
    ("application/json", True), ("text/plain;charset=UTF-8", True),
    ("Application/JSON", True), ("", True), ("text/html", False),
    ("multipart/form-data", False), ("application/ndjson", False)])
def test_a_payload_is_json_by_its_type(channel, type_, good):
    response = emit(channel, "1", {"Content-Type": type_})
    if good:
        assert response.status == 200, response
    else:
        refused(response, 400, "bad_request")


@pytest.mark.parametrize("form, good", [
    ("a=1", True), ("clients=5&a=1", False), ("token=nobody&a=1", False),
    ("", False), ("&&", False), ("id=x", False), ("a=%FF", False)])
def test_a_form_is_as_a_query_is(channel, form, good):
    response = emit(channel, form, FORM)
    assert response.json["success"] is good, response


def test_a_parameter_of_the_query_is_no_payload_of_a_form(channel):
    refused(emit(channel, "id=x", FORM, a="1"), 400, "no_payload")


@pytest.mark.options(max_message="100B", max_body="2KiB", max_events="3")
def test_sizes_end_at_their_limits(channel, new_token):
    assert emit(channel, json.dumps("x" * 98)).status == 200
    assert emit(channel, " " * 200 + json.dumps("x" * 98)).status == 200
    refused(emit(channel, json.dumps("x" * 99)), 413, "message_too_large",
            "max_message")
    refused(channel.http.get(channel.path("emit"), x="x" * 93), 413,
            "message_too_large", "max_message")
    assert channel.http.get(channel.path("emit"), x="x" * 92).status == 200
    refused(emit(channel, " " * 2049), 413, "body_too_large", "max_body")
    channel.token = new_token(max_message_bytes=10)
    assert emit(channel, json.dumps("x" * 8)).status == 200
    refused(emit(channel, json.dumps("x" * 9)), 413, "message_too_large",
            "max_message_bytes")


@pytest.mark.options(max_message="100B", max_events="3")
@pytest.mark.parametrize("body, code, limit", [
    (b"", "no_payload", None), (b"\n \r\n\n", "no_payload", None),
    (b"1\nnull\n", "no_payload", None), (b"1\n2\n3\n4", "too_many_events",
                                         "max_events"),
    (b"1\n" + b"2" * 101, "message_too_large", "max_message"),
    (b"[1\n2]", "bad_request", None), (b"1 2", "bad_request", None)])
def test_all_of_a_batch_is_checked(channel, body, code, limit):
    response = emit(channel, body, NDJSON)
    refused(response, 413 if code == "message_too_large" else 400, code,
            limit)
    assert channel.history() == []


@pytest.mark.options(max_events="3")
@pytest.mark.parametrize("body, count", [
    (b"1", 1), (b"1\n2\n3", 3), (b"\n1\n\r\n2 \r\n 3\n\n\n", 3),
    (b"{}\n[]\n", 2)])
def test_a_batch_has_as_many_events_as_lines(channel, body, count):
    response = emit(channel, body, NDJSON)
    assert response.status == 200, response
    assert len(set(response.json["eventIDs"])) == count


# Emitting: to whom, and how often.

@pytest.mark.parametrize("clients, limit", [
    ("0", None), ("-1", None), ("-0", None), ("1.5", None), ("1e3", None),
    ("1,2", None), ("0x10", None), ("", None), (" ", None), (",", None),
    ("client_a,", None), (",client_a", None), ("client_a,,client_b", None),
    ("1000001", "max_clients_number"), ("9" * 30, "max_clients_number"),
    (",".join(["client_a"] * 1025), "max_clients"),
    ("client_" + "x" * 16384, "max_clients")])
def test_clients_is_a_number_or_a_list(channel, clients, limit):
    response = emit(channel, urllib.parse.urlencode(
        {"clients": clients, "x": "1"}), FORM)
    refused(response, 400, "bad_parameter", limit)


@pytest.mark.parametrize("clients, status, code", [
    ("1", 400, "not_enough_clients"), ("1000000", 400, "not_enough_clients"),
    ("001", 400, "not_enough_clients"), ("client_12345678", 404,
                                         "clients_unknown"),
    (" client_1 , x ", 404, "clients_unknown"),
    (",".join(["client_1234567"] * 1024), 404, "clients_unknown")])
def test_who_is_not_there_is_told(channel, clients, status, code):
    response = emit(channel, urllib.parse.urlencode(
        {"clients": clients, "x": "1"}), FORM)
    refused(response, status, code)


def test_too_few_clients_are_told_in_the_words_of_the_specification(channel):
    response = emit(channel, clients=3)
    assert response.json["error"] == "Not enough clients to target."


@pytest.mark.parametrize("params", [
    {"require-ack": "yes"}, {"require-ack": "2"}, {"require-ack": ""},
    {"min-acks": "0"}, {"min-acks": "-1"}, {"min-acks": "1000001"},
    {"min-acks": "one"}, {"min-acks": ""}, {"id": ""}, {"id": "x" * 65},
    {"id": "a\x01"}, {"id": "\u2028"}], ids=ascii)
def test_other_values_are_refused(channel, params):
    limit = "max_id" if params.get("id", "").startswith("xx") else None
    refused(emit(channel, "1", **params), 400, "bad_parameter", limit)


@pytest.mark.parametrize("params", [
    {"require-ack": "true"}, {"require-ack": "1"}, {"require-ack": "false"},
    {"require-ack": "0"}, {"min-acks": "1"}, {"min-acks": "1000000"},
    {"id": "x" * 64}, {"id": "\u00e9" * 64}], ids=ascii)
def test_these_values_are_taken(channel, params):
    response = emit(channel, "1", **params)
    assert (response.status, response.json["delivered"]) == (200, 0)


def test_a_parameter_of_control_is_there_once(channel):
    for query in ("clients=1&clients=1", "id=a&id=a", "token=a&token=a",
                  "require-ack=1&require-ack=0"):
        response = channel.http.get(channel.path("emit") + "?x=1&" + query)
        refused(response, 400, "bad_request")


def test_the_header_of_an_id_is_checked_as_the_parameter_is(channel):
    for value, good in (("x" * 64, True), ("x" * 65, False),
                        ("a\u0085", False)):
        response = emit(channel, "1", {**JSON, "Idempotency-Key": value})
        assert response.json["success"] is good, response
    # The parameter is the one that counts.
    response = emit(channel, "1", {**JSON, "Idempotency-Key": "x" * 65},
                    id="once")
    assert response.status == 200


@pytest.mark.parametrize("params", [{"require-ack": "1"}, {"min-acks": "1"}],
                         ids=str)
def test_a_batch_cannot_wait_for_acknowledgements(channel, params):
    refused(emit(channel, "1\n2\n", NDJSON, **params), 400, "bad_parameter")
    assert emit(channel, "1\n", NDJSON, **{"require-ack": "0"}).status == 200


# Listening.

@pytest.mark.parametrize("params, headers", [
    ({}, {}), ({}, {"Accept": "*/*"}), ({}, {"Accept": "application/json"}),
    ({"transport": "websocket"}, {}), ({"transport": ""}, {}),
    ({"transport": "XHR"}, {"Accept": "text/event-stream"})], ids=str)
def test_who_does_not_say_how_to_listen_is_told_of_websockets(
        server, channel, params, headers):
    response = channel.try_listen(headers, **params)
    refused(response, 426, "upgrade_required")
    if server == "apache":      # lighttpd passes no such header on
        assert "websocket" in response.headers.get_all("Upgrade")


@pytest.mark.parametrize("presence, limit", [
    ("[]", None), ("1", None), ("null", None), ("{", None), ("{}x", None),
    ('"{}"', None), ('{"a":"\\ud800"}', None),
    (json.dumps({"a": "x" * 4089}), "max_presence")])
def test_presence_is_an_object(channel, presence, limit):
    response = channel.try_listen(transport="xhr", presence=presence)
    refused(response, 400, "bad_parameter", limit)
    assert channel.members() == []


def test_presence_has_4096_bytes_without_its_space(channel):
    for space in ("", " " * 100):
        presence = '{"a":' + space + json.dumps("x" * 4088) + "}"
        response = channel.try_listen(transport="xhr", presence=presence)
        assert response.status == 200, response


@pytest.mark.parametrize("params", [
    {"from": "x" * 129}, {"from": "a\x01"}, {"hold": "long"},
    {"transport": "xhr", "presence": "1"}], ids=ascii)
def test_other_parameters_of_listening_are_checked(channel, params):
    limit = "max_from" if params.get("from", "").startswith("x") else None
    response = channel.try_listen(**{"transport": "xhr", **params})
    refused(response, 400, "bad_parameter", limit)


@pytest.mark.parametrize("name, query", [
    ("a", "presence=[]"), ("a", "presence={"), ("a", "presence=%FF"),
    ("a", "presence={}&presence={}"), ("a", "since=a&since=a"),
    ("a", "token=a&token=a"), ("a", "presence={%22a%22:%22" + "x" * 4089
                               + "%22}"),
    ("a", "from=%1B"), ("a", "from=%E2%80%AE"), ("a", "from=" + "x" * 129),
    ("a", "from=" + "%C3%A9" * 65), ("a", "token=nobody"), ("x" * 129, ""),
    ("authorize", ""), ("%7F", "")], ids=lambda value: value[:30])
def test_an_upgrade_is_refused_as_a_request_is(http, name, query):
    path = f"/{name}/listen?transport=xhr&{query}"
    upgrade, request = http.get(path, UPGRADE), http.get(path)
    refused(upgrade, request.status, request.code,
            request.json.get("limit"))


@pytest.mark.parametrize("params, status, code", [
    ({"client": "client_a"}, 400, "missing_parameter"),
    ({"key": "a"}, 400, "missing_parameter"),
    ({"client": "client_a", "key": ""}, 400, "missing_parameter"),
    ({"client": "client_a", "key": "a"}, 403, "key_unknown"),
    ({"client": "client_a", "key": "a.b"}, 403, "key_unknown"),
    ({"client": "client_a", "key": "aabcdef." + "x" * 22}, 403,
     "key_unknown"),
    ({"client": "client_a", "key": "x" * 500}, 403, "key_unknown"),
    ({"client": "client_" + "x" * 500, "key": "a.b"}, 403, "key_unknown"),
    ({"client": "client_a", "key": "a.b", "ack": "-1"}, 400,
     "bad_parameter"),
    ({"client": "client_a", "key": "a.b", "ack": "x"}, 400,
     "bad_parameter")], ids=lambda value: str(value)[:60])
def test_who_goes_on_says_whom(channel, params, status, code):
    refused(channel.try_listen(transport="xhr", **params), status, code)
    if "ack" not in params:
        response = channel.http.request("POST", channel.path("listen"),
                                        params, JSON, '{"type":"PONG"}')
        refused(response, status, code)


def test_a_key_is_good_for_its_member_and_channel_alone(channel):
    elsewhere = Channel(channel.http, channel.name + "-else")
    with channel.join("poll", pongs=False) as member:
        known = {"client": member.id, "key": member.connected.payload["key"]}
        for where, status in ((channel, 200), (elsewhere, 403)):
            response = where.http.request("HEAD", where.path("listen"),
                                          {"transport": "xhr", **known})
            assert response.status == status
            response = where.try_say(**known, frame={"type": "PONG"})
            assert response.status == status
            assert response.json["success"] is (status == 200)
        refused(elsewhere.try_listen(transport="xhr", **known), 403,
                "key_unknown")


def test_a_key_of_this_bridge_that_nobody_has_is_unknown(channel):
    with channel.join("poll") as member:
        key = member.connected.payload["key"]
        assert CLIENT_ID.fullmatch(member.id)
        for client, wrong in ((member.id, key[:-1] + "!"), ("client_x", key),
                              (member.id, key.partition(".")[0] + ".x")):
            refused(channel.try_say(client, wrong, {"type": "PONG"}), 403,
                    "key_unknown")
            response = channel.try_listen(transport="xhr", client=client,
                                          key=wrong)
            refused(response, 403, "key_unknown")


@pytest.mark.parametrize("last, gap", [
    ("evt_12345678", True), ("garbage", True), ("/1/evt_12345678", True),
    ("a.b/c/evt_12345678", True), ("a.b/-1/evt_12345678", True),
    ("a.b/1", True), ("x" * 500 + "/1/", True), ("a.b/1/", False),
    ("a.b/1/evt_12345678", True), ("a.b/1/" + "x" * 500, True)],
    ids=lambda value: str(value)[:20])
def test_an_event_source_that_nobody_knows_is_a_new_member(channel, last,
                                                           gap):
    with channel.join("events", headers={"Last-Event-ID": last}) as member:
        if gap:
            assert member.next("ERROR").payload["code"] == "HISTORY_GAP"
        channel.emit("x")
        assert member.data() == ["x"]


@pytest.mark.options(max_message="100B")
@pytest.mark.parametrize("body, status, code, limit", [
    (b"", 400, "bad_request", None), (b"[]", 400, "bad_request", None),
    (b"null", 400, "bad_request", None), (b"{", 400, "bad_request", None),
    (b'{"a":"\xff"}', 400, "bad_request", None),
    (b'{}{}', 400, "bad_request", None),
    (b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", 400, "bad_request",
     "max_depth"),
    (b'{"a":"' + b"x" * 93 + b'"}', 413, "message_too_large",
     "max_message")])
def test_what_a_member_says_is_an_object(channel, body, status, code, limit):
    refused(channel.try_say("client_a", "a.b", body), status, code, limit)


# History.

def test_the_history_s_number_of_events_is_clamped(channel):
    for limit in ("0", "-1", "1", "1000", "1001", "9" * 30):
        assert channel.history(limit=limit) == []
    for limit in ("", "x", "1.5"):
        response = channel.http.get(channel.path("history"), limit=limit)
        refused(response, 400, "bad_parameter")


@pytest.mark.parametrize("since", ["evt_12345678", "x", "evt_" + "x" * 500])
def test_any_text_may_be_the_id_of_an_event(channel, since):
    response = channel.http.get(channel.path("history"), since=since)
    assert response.status == 200, response


# Tokens and origins.

RIGHTS = [("emit", 1), ("listen", 2), ("history", 2), ("members", 2)]


@pytest.mark.parametrize("what, right", RIGHTS)
def test_a_channel_is_for_whom_it_is_granted(channel, new_token, what, right):
    def status(*channels):
        channel.token = new_token(channels=channels)
        response = ask(channel, what, hold="1000")
        if response.status != 200:
            refused(response, 403, "channel_refused")
        return response.status

    name, other = channel.name, int(right != 1)
    assert status() == 403
    assert status((name, 1, 1)) == 200
    assert status((name, 1 - other, other)) == 200
    assert status((name, other, 1 - other)) == 403
    assert status((name + "x", 1, 1), ("x*", 1, 1)) == 403
    assert status((name[:3] + "*", 1 - other, other), (name, 0, 0)) == 200


@pytest.mark.parametrize("what, right", RIGHTS)
def test_a_page_is_of_an_origin_that_is_granted(channel, new_token, what,
                                                right):
    channel.token = new_token(origins=("https://good.example",))
    params = channel.params({"transport": "xhr", "x": "1"})
    response = channel.http.get(channel.path(what),
                                {"Origin": "https://bad.example"}, **params)
    refused(response, 403, "origin_refused")
    assert response.header("Access-Control-Allow-Origin") is None
    response = channel.http.get(channel.path(what),
                                {"Origin": "https://good.example"}, **params)
    assert response.status == 200
    assert response.header("Access-Control-Allow-Origin") == \
        "https://good.example"


def test_refusals_of_a_token_are_counted(stack, channel, new_token):
    channel.token = new_token(channels=(), origins=("https://a.example",))
    number = stack.database.value("SELECT max(id) FROM tokens")
    for what in WHATS:
        refused(ask(channel, what), 403, "channel_refused")
    response = channel.http.get(channel.path("members"),
                                {"Origin": "https://b.example"},
                                **channel.params({}))
    refused(response, 403, "origin_refused")
    stack.wait_until(lambda: stack.database.value(
        "SELECT sum(refused) FROM token_usage WHERE token_id = "
        f"{number}") == 5, "all five being counted")


@pytest.mark.parametrize("what", WHATS)
def test_the_wrong_token_is_told_in_jsonp_too(stack, channel, what):
    response = Http(stack.port).get(channel.path(what), cb="f", x="1",
                                    token="nobody", status="200")
    assert response.status == 200
    answer = response.jsonp("f")
    assert (answer["success"], answer["code"], answer["status"]) == (
        False, "token_unknown", 403)


def test_what_others_sent_is_fit_for_a_script(channel):
    text = "</script>\u2028\u2029"
    channel.emit(text)
    with channel.join("ws", presence={"name": text}):
        for what in ("members", "history", "listen"):
            response = channel.http.get(channel.path(what), cb="f")
            assert "<\\/script>\\u2028\\u2029" in response.text
            assert "</" not in response.text
            response.jsonp("f")


def test_a_callback_is_a_name(channel):
    for what in WHATS:
        response = channel.http.get(channel.path(what), cb="1x", x="1")
        refused(response, 400, "callback_invalid")


# Limits.

@pytest.mark.parametrize("name, value", [
    ("max_channel", 128), ("max_presence", 4096), ("max_clients", 1024),
    ("max_clients_number", 1000000), ("max_id", 64),
    ("history_events", 1000), ("ping_interval", 25000),
    ("ping_timeout", 60000), ("ack_timeout", 5000)])
def test_the_limits_of_channels_are_listed(http, name, value):
    assert http.get(LIMITS).json["limits"][name] == value


@pytest.mark.options(history_events="0")
def test_no_history_is_no_limit_of_none(http):
    assert http.get(LIMITS).json["limits"]["history_events"] == 0
