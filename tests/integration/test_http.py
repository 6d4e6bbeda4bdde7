"""What every route has in common: paths, methods, bodies, parameters."""

import json
import threading

import pytest

from client import DIALECTS, Http, Polysocket
from fastcgi import Request

NO_STORE = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
UNKNOWN = "none.AAAAAAAAAAAAAAAAAAAAAA"

ROUTES = [      # (path, what Allow lists beside OPTIONS)
    ("/polysocket/create", {"POST"}),
    ("/polysocket/send", {"POST"}),
    ("/polysocket/close", {"POST"}),
    ("/polysocket/jsonp", {"GET", "HEAD", "POST"}),
    ("/polysocket/xhr", {"GET", "HEAD", "POST"}),
    ("/polysocket/xhr-streaming", {"GET", "HEAD", "POST"}),
    ("/polysocket/eventsource", {"GET", "HEAD", "POST"}),
    ("/create", {"GET", "HEAD", "POST"}),
    (f"/s/{UNKNOWN}", {"GET", "HEAD", "POST"}),
    (f"/j/{UNKNOWN}", {"GET", "HEAD", "POST"}),
    (f"/p/{UNKNOWN}", {"GET", "HEAD", "POST"}),
    (f"/x/{UNKNOWN}", {"GET", "HEAD", "POST"}),
    (f"/e/{UNKNOWN}", {"GET", "HEAD", "POST"}),
    (f"/c/{UNKNOWN}", {"GET", "HEAD", "POST"}),
]


@pytest.fixture(params=["", "/below/a-prefix"], ids=["root", "prefix"])
def prefix(request):
    return request.param


@pytest.fixture
def session(http, target):
    return Polysocket(http).create(target.url("quiet"))


def is_error(response, status, code):
    assert (response.status, response.code) == (status, code), response
    assert response.header("Content-Type") == "application/json; charset=utf-8"
    assert response.header("Cache-Control") == NO_STORE
    assert response.header("X-Content-Type-Options") == "nosniff"
    answer = response.json
    assert answer["ok"] is False
    assert len(answer["error"]) > 5
    return True


# Paths.

@pytest.mark.parametrize("path", [
    "/", "/nothing", "/polysocket", "/polysocket/", "/polysocket/nothing",
    "/polysocket/xhr/", "/polysocket/xhr/more", "//polysocket/xhr",
    "/polysocket//xhr", "/Polysocket/xhr", "/polysocket/XHR", "/create/more",
    "/p", "/p/", f"/p/{UNKNOWN}/more", f"/p/{UNKNOWN}/", "/q/x",
    "/polysocket/./xhr/", "/polysocket%2Fxhr", "/%2570olysocket/xhr"])
def test_unknown_path_is_not_found(http, path):
    assert is_error(http.get(path), 404, "not_found")


def test_path_is_not_normalised(http, session):
    # A dot segment may be resolved by the server in front, but nothing
    # below the prefix may be reached under another name.
    for path in ("/polysocket/xhr/..", "/x/../polysocket/nothing"):
        assert http.get(path, socket=session.id).status in (400, 404)


def test_segments_are_percent_decoded_once(http, session):
    tag, _, secret = session.id.partition(".")
    response = http.post(f"/%73/{tag}%2E{secret}", {"d": "x", "t": "t"})
    assert response.status == 201
    response = http.post(f"/s/{tag}%252E{secret}", {"d": "x", "t": "t"})
    assert is_error(response, 403, "socket_unknown")


def test_encoded_slash_stays_inside_its_segment(http, session):
    assert is_error(http.get(f"/p/{UNKNOWN}%2Fmore"), 403, "socket_unknown")
    assert is_error(http.get("/p%2F" + session.id), 404, "not_found")


@pytest.mark.parametrize("bad", ["%", "%4", "%zz", "%4g", "%00", "%ff",
                                 "%c3%28", "%ed%a0%80", "%c0%af"])
def test_bad_encoding_in_the_path_is_refused(http, server, bad):
    for path in (f"/p/{bad}", f"/{bad}/x", f"/polysocket/xhr{bad}"):
        response = http.get(path)
        if response.code is None and server == "apache":
            # Apache itself refuses malformed escapes and NUL.
            assert response.status in (400, 404)
        else:
            assert is_error(response, 400, "bad_request")


@pytest.mark.parametrize("bad", ["%", "%4", "%zz", "%00", "a%00b", "%ff",
                                 "%c3%28", "%ed%a0%80"])
def test_bad_encoding_in_a_parameter_is_refused(http, session, bad):
    for query in (f"socket={session.id}&x={bad}", f"socket={bad}",
                  f"socket={session.id}&{bad}=x"):
        response = http.request("GET", "/polysocket/xhr?" + query)
        assert is_error(response, 400, "bad_request")
    response = http.post("/s/" + session.id, f"t=t&d={bad}", FORM)
    assert is_error(response, 400, "bad_request")


@pytest.mark.parametrize("word", ["polysocket", "create", "s", "j", "x", "p",
                                  "e", "c", "authorize", "publish"])
def test_reserved_word_is_no_socket_id(http, word):
    assert is_error(http.get("/p/" + word), 400, "name_reserved")
    response = http.get("/polysocket/xhr", socket=word)
    assert is_error(response, 400, "name_reserved")


def test_unknown_parameters_are_ignored(http, session, target):
    response = http.post("/s/" + session.id, {"d": "x", "t": "t", "y": [{}]},
                         z="1")
    assert response.status == 201
    target.connection().wait_for_messages("x")


# Methods.

@pytest.mark.parametrize("path, allowed", ROUTES)
def test_wrong_method_is_told_the_right_ones(http, path, allowed):
    for method in ("PUT", "DELETE", "PATCH", "GET"):
        if method in allowed:
            continue
        response = http.request(method, path)
        assert is_error(response, 405, "method_not_allowed")
        assert set(response.header("Allow").split(", ")) == {
            "OPTIONS", *allowed}


def test_wrong_method_on_an_unknown_path_is_not_found(http):
    assert is_error(http.request("DELETE", "/nothing"), 404, "not_found")


def test_head_answers_as_get_without_effect(http, session, target):
    target.connection().send("kept")
    response = http.request("HEAD", "/polysocket/xhr", {"socket": session.id})
    assert (response.status, response.body) == (200, b"")
    assert response.header("Content-Type") == "application/json; charset=utf-8"
    assert response.header("Cache-Control") == NO_STORE
    assert session.receive() == ["kept"]
    response = http.request("HEAD", "/polysocket/xhr", {"socket": UNKNOWN})
    assert (response.status, response.body) == (403, b"")


def test_head_creates_no_session(http, target):
    response = http.request("HEAD", "/create", {
        "target": target.url("echo"), "from": "tests"})
    assert (response.status, response.body) == (200, b"")
    Polysocket(http).create(target.url("echo"))
    assert target.accepted == 1


def test_head_sends_and_closes_nothing(http, session, target):
    http.request("HEAD", "/s/" + session.id, {"d": "x", "t": "t"})
    http.request("HEAD", "/c/" + session.id, {"code": 1000})
    session.send("only this")
    target.connection().wait_for_messages("only this")


# Bodies.

@pytest.mark.parametrize("content_type", [
    "application/json", "application/json; charset=utf-8",
    "Application/JSON", "text/plain", "text/plain;charset=UTF-8"])
def test_json_is_taken_by_either_type(http, session, target, content_type):
    body = json.dumps({"socket": session.id, "events": [
        {"type": "string", "data": "é"}]}, ensure_ascii=False)
    response = http.post("/polysocket/send", body,
                         {"Content-Type": content_type})
    assert response.status == 201
    target.connection().wait_for_messages("é")


@pytest.mark.parametrize("content_type", [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=UTF-8"])
def test_form_is_taken(http, target, content_type):
    body = "target=" + target.url("echo").replace(":", "%3A")
    response = http.post("/polysocket/create", body,
                         {"Content-Type": content_type})
    assert response.json["ok"] is True


def test_body_wins_over_the_query(http, session, target):
    response = http.post("/polysocket/xhr", {"socket": session.id,
                                             "timeout": 1},
                         socket=UNKNOWN, timeout="1000000")
    assert response.status == 200
    response = http.post("/s/" + session.id, "d=body&t=t", FORM, d="query",
                         t="x")
    assert response.status == 201
    target.connection().wait_for_messages("body")


def test_query_and_body_complete_each_other(http, session, target):
    response = http.post("/s/" + session.id, {"d": "x"}, t="t")
    assert response.status == 201
    target.connection().wait_for_messages("x")


@pytest.mark.parametrize("body", [
    "", "{", "[]", '"x"', "5", "null", "{'socket':1}", '{"a":1,}',
    '{"a":1}}', '{"a":1} x', '{"a":01}', '{"a":"\x01"}', '{"a":NaN}',
    '{"a":"\\ud800"}', '{"a":"\\udc00\\ud800"}', '{"a":"\\x"}', "{a:1}",
    b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}', b'{"\xc3":1}', '{"a":/**/1}',
    b"\xef\xbb\xbf{}"], ids=repr)
def test_bad_json_is_refused(http, session, body):
    if isinstance(body, str):
        body = body.encode("latin-1")
    # Good in every other respect, so that nothing else can be the reason.
    if body.startswith(b'{"a"'):
        head = (f'{{"socket":"{session.id}","events":[],'.encode("ascii"))
        body = head + body[1:]
    response = http.post("/polysocket/send", body, JSON)
    if body == b"":
        assert response.status == 400
    else:
        assert is_error(response, 400, "bad_request")


def nested(levels):
    """An object with a value so that the body is `levels` deep."""
    return "[" * (levels - 1) + "]" * (levels - 1)


@pytest.mark.parametrize("levels, status", [(31, 201), (32, 201), (33, 400),
                                            (1000, 400), (100000, 400)])
def test_nesting_is_limited(http, session, levels, status):
    body = f'{{"socket":"{session.id}","events":[],"x":{nested(levels)}}}'
    response = http.post("/polysocket/send", body, JSON)
    assert response.status == status
    if status == 400:
        assert is_error(response, 400, "bad_request")


@pytest.mark.parametrize("body, headers", [
    ('{{"socket":"{0}","events":[],"socket":"{0}"}}', JSON),
    ('{{"socket":"{0}","socket":"x","events":[]}}', JSON),
    ('{{"socket":"{0}","events":[],"events":[]}}', JSON),
    ('{{"socket":"{0}","events":[],"\\u0073ocket":"{0}"}}', JSON),
    ('{{"socket":"{0}","events":[{{"type":"string","type":"binary",'
     '"data":""}}]}}', JSON),
    ("socket={0}&socket={0}&timeout=1", FORM),
])
def test_duplicate_fields_of_a_body_are_refused(http, session, body, headers):
    path = "/polysocket/" + ("xhr" if headers is FORM else "send")
    response = http.post(path, body.format(session.id), headers)
    assert (response.status, response.json["ok"]) == (400, False)


def test_duplicate_query_parameters_are_refused(http, session):
    response = http.request("GET", "/polysocket/xhr?timeout=1&socket="
                            f"{session.id}&socket={session.id}")
    assert (response.status, response.json["ok"]) == (400, False)


def test_wrong_type_of_a_field_is_refused(http, session):
    for socket in (5, None, [session.id], {"id": session.id}, True):
        response = http.post("/polysocket/send",
                             {"socket": socket, "events": []})
        assert response.status == 400


@pytest.mark.parametrize("wrong", ["22", "5", "-5", "x", "17x", "1e1",
                                   "99999999999999999999"])
def test_body_that_is_not_as_long_as_it_says_is_refused(stack, session,
                                                        target, wrong):
    # No web server passes such a thing on; the worker checks all the same.
    body = b'{"d":"x","t":"t"}'
    for length, status in ((wrong, (400, 413)), (str(len(body)), (201,))):
        with Request(stack.fcgi_socket, "POST",
                     f"{stack.prefix}/s/{session.id}",
                     CONTENT_TYPE="application/json",
                     CONTENT_LENGTH=length) as request:
            assert request.body(body).response().status in status
    target.connection().wait_for_messages("x")


def test_request_that_is_cut_off_in_its_body_has_no_effect(http, session,
                                                           target):
    body = b'{"d":"x","t":"t"}'
    with http.begin("POST", "/s/" + session.id, body=body,
                    headers={**JSON, "Content-Length": "100"}) as exchange:
        exchange.half_close()
    session.send("only this")
    target.connection().wait_for_messages("only this")


def test_chunked_body_is_taken(http, session, target):
    body = b'11\r\n{"d":"x","t":"t"}\r\n0\r\n\r\n'
    with http.begin("POST", "/s/" + session.id, body=body, headers={
            **JSON, "Content-Length": None,
            "Transfer-Encoding": "chunked"}) as exchange:
        assert exchange.response().status == 201
    target.connection().wait_for_messages("x")


# Answers.

def test_every_answer_forbids_caching_and_sniffing(http, session):
    responses = [
        http.get("/polysocket/xhr", socket=session.id, timeout=1),
        http.get("/polysocket/jsonp", socket=session.id, timeout=1,
                 callback="cb"),
        http.post("/s/" + session.id, {"d": "x", "t": "t"}),
        http.get("/s/" + session.id, d="x", t="t", cb="cb"),
        http.get("/create", target="x", **{"from": "t"}),
        http.post("/c/" + session.id, {"code": 1000}),
        http.get("/nothing"),
        http.request("PUT", "/create"),
    ]
    for response in responses:
        assert response.header("Cache-Control") == NO_STORE, response
        assert response.header("X-Content-Type-Options") == "nosniff"


def test_requests_at_the_same_time_do_not_mix(stack, target):
    # More at once than there are worker threads.
    sessions = [Polysocket(Http(stack.port, stack.prefix)).create(
        target.url("echo")) for _ in range(20)]
    failures = []

    def converse(i):
        try:
            for n in range(10):
                sessions[i].send(f"{i}.{n}")
                assert sessions[i].receive() == [f"{i}.{n}"]
        except Exception as error:      # reported by the main thread
            failures.append(error)

    threads = [threading.Thread(target=converse, args=(i,))
               for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("dialect", DIALECTS, indirect=True)
def test_errors_are_the_same_over_http_2(http2, dialect):
    relay = DIALECTS[dialect](http2)
    response = relay.try_send(UNKNOWN, ["x"])
    assert is_error(response, 403, "socket_unknown")
    assert is_error(http2.get("/nothing"), 404, "not_found")
    assert is_error(http2.request("PUT", "/create"), 405,
                    "method_not_allowed")


def test_prefix_is_part_of_every_path(stack, prefix, session):
    if not prefix:
        return
    bare = Http(stack.port)
    assert bare.get("/polysocket/xhr", socket=session.id).status == 404
    assert bare.get(prefix[:-1] + "/polysocket/xhr",
                    socket=session.id).status == 404


# Services.

SERVICE_PATHS = ["/polysocket/create", "/polysocket/xhr", "/create",
                 f"/p/{UNKNOWN}", f"/s/{UNKNOWN}"]


def test_service_that_is_switched_off_is_not_found(new_stack):
    stack = new_stack(start=False, options={"services": "channels"})
    stack.answers = lambda: stack.status("/polysocket/xhr") == 404
    http = Http(stack.start().port)
    for path in SERVICE_PATHS:
        assert is_error(http.post(path, {}), 404, "not_found")


def test_server_switches_a_service_off_for_itself(new_stack):
    stack = new_stack(start=False,
                      environment={"POLYSOCKET_SERVICES": "channels"})
    stack.answers = lambda: stack.status("/polysocket/xhr") == 404
    http = Http(stack.start().port)
    for path in SERVICE_PATHS:
        assert is_error(http.post(path, {}), 404, "not_found")


@pytest.mark.environment(POLYSOCKET_SERVICES="relay, channels")
def test_server_leaves_the_services_it_names(http, target):
    assert Polysocket(http).create(target.url("echo")).id
