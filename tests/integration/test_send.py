"""send: all or nothing, in order, types, base64, limits, continuation."""

import base64

import pytest

from client import Polysocket


@pytest.fixture
def quiet(relay, target):
    return relay.create(target.url("quiet"))


@pytest.fixture
def polysocket(http, target):
    """A session of the dialect with several events a request."""
    return Polysocket(http).create(target.url("quiet"))


def post_events(session, events):
    return session.relay.http.post("/polysocket/send", {
        "socket": session.id, "events": events})


# What is accepted.

def test_messages_reach_the_target_in_order(quiet, target):
    texts = [f"message {i}" for i in range(50)]
    quiet.send(*texts)
    target.connection().wait_for_messages(*texts)


def test_requests_reach_the_target_in_order(quiet, target):
    for i in range(30):
        quiet.send(str(i))
    target.connection().wait_for_messages(*map(str, range(30)))


@pytest.mark.parametrize("message", [
    "", "plain", "é✓𝄞", "\x00\x01\x1f\x7f", "\u2028\u2029</script>",
    '"\\/', "\ufeffx", "\uffff", b"", b"\x00", bytes(range(256))], ids=repr)
def test_message_arrives_as_it_was_sent(quiet, target, message):
    quiet.send(message)
    target.connection().wait_for_messages(message)


def test_text_and_binary_keep_their_types(quiet, target):
    quiet.send("text", b"text")
    target.connection().wait_for_messages("text", b"text")


def test_frames_to_the_target_are_masked(quiet, target):
    quiet.send("a", "b" * 200, "c" * 70000)
    connection = target.connection()
    connection.wait_for(lambda c: len(c.messages) == 3)
    assert connection.violations == []


def test_polysocket_text_may_be_called_string_or_text(polysocket, target):
    events = [{"type": "string", "data": "a"}, {"type": "text", "data": "b"},
              {"type": "binary", "data": "Yw=="}]
    response = post_events(polysocket, events)
    assert (response.status, response.body) == (201, b"")
    target.connection().wait_for_messages("a", "b", b"c")


@pytest.mark.parametrize("kind, data, message", [
    ("t", "a", "a"), ("text", "a", "a"),
    ("b", "Yw==", b"c"), ("binary", "Yw==", b"c")])
@pytest.mark.parametrize("how", ["get", "json", "form", "query"])
def test_polysocketd_types_have_two_names(http, target, how, kind, data,
                                          message):
    session = Polysocket(http).create(target.url("quiet"))
    path = "/s/" + session.id
    if how == "get":
        response = http.get(path, d=data, t=kind)
    elif how == "json":
        response = http.post(path, {"d": data, "t": kind})
    elif how == "query":
        response = http.post(path, "", d=data, t=kind)
    else:
        response = http.post(
            path, f"d={data.replace('=', '%3D')}&t={kind}",
            {"Content-Type": "application/x-www-form-urlencoded"})
    assert (response.status, response.body) == (201, b"")
    target.connection().wait_for_messages(message)


def test_send_by_jsonp_answers_the_callback(http, target):
    session = Polysocket(http).create(target.url("quiet"))
    response = http.get("/s/" + session.id, cb="sent", d="line 1\nline 2/é",
                        t="t")
    assert response.status == 201
    assert response.jsonp("sent") == {"ok": True}
    target.connection().wait_for_messages("line 1\nline 2/é")


def test_form_body_decodes_plus_and_percent(http, target):
    session = Polysocket(http).create(target.url("quiet"))
    response = http.post("/s/" + session.id, "t=t&d=a+b%2Bc%C3%A9%26",
                         {"Content-Type": "application/x-www-form-urlencoded"})
    assert response.status == 201
    target.connection().wait_for_messages("a b+cé&")


def test_no_events_are_accepted(polysocket):
    assert post_events(polysocket, []).status == 201


@pytest.mark.parametrize("data, bytes_", [
    ("", b""), ("+/8=", b"\xfb\xff"), ("-_8=", b"\xfb\xff"),
    ("AAECAw==", b"\x00\x01\x02\x03"), ("AAEC", b"\x00\x01\x02")])
def test_base64_may_use_either_alphabet(http, target, data, bytes_):
    session = Polysocket(http).create(target.url("quiet"))
    post = post_events(session, [{"type": "binary", "data": data}])
    assert post.status == 201, post
    target.connection().wait_for_messages(bytes_)


# What is refused, with nothing of the request applied.

@pytest.mark.parametrize("bad, code", [
    ({"type": "blob", "data": "x"}, "unknown_type"),
    ({"type": "heartbeat", "data": "x"}, "unknown_type"),
    ({"type": "String", "data": "x"}, "unknown_type"),
    ({"type": 1, "data": "x"}, None),
    ({"data": "x"}, None),
    ({"type": "string"}, None),
    ({"type": "string", "data": 5}, None),
    ({"type": "string", "data": None}, None),
    ({"type": "string", "data": ["x"]}, None),
    ({"type": "binary", "data": "Yw="}, "bad_base64"),
    ({"type": "binary", "data": "Yw"}, "bad_base64"),
    ({"type": "binary", "data": "Yw==="}, "bad_base64"),
    ({"type": "binary", "data": "Yw==YQ=="}, "bad_base64"),
    ({"type": "binary", "data": "Y w="}, "bad_base64"),
    ({"type": "binary", "data": "YWJj\n"}, "bad_base64"),
    ({"type": "binary", "data": "Y*=="}, "bad_base64"),
    ({"type": "binary", "data": "===="}, "bad_base64"),
    ({"type": "binary", "data": "Yx=="}, "bad_base64"),
    ("x", None), (5, None), (None, None), ([], None),
])
def test_one_bad_event_refuses_the_whole_request(polysocket, target, bad,
                                                 code):
    good = {"type": "string", "data": "good"}
    for events in ([good, bad], [bad, good], [good, bad, good]):
        response = post_events(polysocket, events)
        assert response.status == 400, response
        assert response.json["ok"] is False
        assert code is None or response.code == code
    polysocket.send("the only one")
    target.connection().wait_for_messages("the only one")


@pytest.mark.parametrize("events", ["x", 5, {}, None, {"0": {}}])
def test_events_must_be_an_array(polysocket, events):
    assert post_events(polysocket, events).status == 400


def test_send_names_what_is_missing(http):
    response = http.post("/polysocket/send", {})
    assert (response.status, response.code) == (400, "missing_parameter")
    assert sorted(response.json["missing"]) == ["events", "socket"]
    response = http.post("/s/none.0", {})
    assert (response.status, response.code) == (400, "missing_parameter")
    assert "d" in response.json["missing"]


@pytest.mark.parametrize("kind, data, code", [
    ("x", "a", "unknown_type"), ("string", "a", "unknown_type"),
    ("b", "Yw", "bad_base64"), ("b", "é", "bad_base64")])
def test_bad_polysocketd_send_is_refused(http, target, kind, data, code):
    session = Polysocket(http).create(target.url("quiet"))
    for response in (http.get("/s/" + session.id, d=data, t=kind),
                     http.post("/s/" + session.id, {"d": data, "t": kind})):
        assert (response.status, response.code) == (400, code)
    session.send("the only one")
    target.connection().wait_for_messages("the only one")


def test_unknown_socket_is_refused(relay, quiet):
    tag, _, secret = quiet.id.partition(".")
    flipped = secret[:-4] + ("AAAA" if secret[-4:] != "AAAA" else "BBBB")
    for socket in (f"{tag}.{flipped}", f"zz.{secret}", secret, tag + ".",
                   quiet.id + "A", "none.0", "xyz"):
        response = relay.try_send(socket, ["hello"])
        assert (response.status, response.code) == (403, "socket_unknown")


def test_closed_socket_is_refused(quiet):
    quiet.finish()
    response = quiet.try_send("too late")
    assert (response.status, response.code) == (403, "socket_unknown")


# Limits: just below, just above.

SMALL = pytest.mark.options(max_message="1000B", max_events="5",
                            max_body="8KiB")


@SMALL
@pytest.mark.parametrize("below, above", [
    ("x" * 1000, "x" * 1001),
    ("é" * 500, "é" * 500 + "x"),
    (b"\x00" * 1000, b"\x00" * 1001)], ids=["text", "utf8", "binary"])
def test_message_over_the_limit_is_too_large(quiet, target, below, above):
    response = quiet.try_send(above)
    assert (response.status, response.code) == (413, "message_too_large")
    quiet.send(below)
    target.connection().wait_for_messages(below)


@SMALL
def test_too_large_message_applies_nothing_of_its_request(polysocket, target):
    response = polysocket.try_send("small", "x" * 1001)
    assert (response.status, response.code) == (413, "message_too_large")
    polysocket.send("after")
    target.connection().wait_for_messages("after")


@SMALL
def test_events_of_a_request_are_limited(polysocket, target):
    response = polysocket.try_send(*"abcdef")
    assert (response.status, response.code) == (400, "too_many_events")
    polysocket.send(*"abcde")
    target.connection().wait_for_messages(*"abcde")


@SMALL
def test_body_over_the_limit_is_too_large(http, polysocket):
    def body(size):
        head = f'{{"socket":"{polysocket.id}","events":[],"x":"'
        return head + "x" * (size - len(head) - 2) + '"}'

    headers = {"Content-Type": "application/json"}
    response = http.post("/polysocket/send", body(8193), headers)
    assert (response.status, response.code) == (413, "body_too_large")
    assert http.post("/polysocket/send", body(8192), headers).status == 201


def test_message_of_the_default_limit_passes(quiet, target):
    message = "x" * (1 << 20)
    quiet.send(message)
    target.connection().wait_for_messages(message)
    assert quiet.try_send(message + "x").status == 413


# Continuation.

@pytest.fixture
def part(http, target):
    """Sends a part by the dialect that has continuation."""
    session = Polysocket(http).create(target.url("quiet"))

    def send(data, more=None, kind="t", how=http.get):
        if how == http.get:
            return how("/s/" + session.id, d=data, t=kind, more=more)
        body = {"d": data, "t": kind}
        return how("/s/" + session.id,
                   {**body, "more": more} if more else body)

    return send


@pytest.mark.parametrize("method", ["get", "post"])
def test_parts_are_joined_to_one_message(http, part, target, method):
    how = getattr(http, method)
    assert part("one ", 1, how=how).status == 201
    assert part("two ", 1, how=how).status == 201
    connection = target.connection()
    assert connection.messages == []
    assert part("three", how=how).status == 201
    connection.wait_for_messages("one two three")
    assert part("alone", how=how).status == 201
    connection.wait_for_messages("one two three", "alone")


def test_binary_parts_are_decoded_before_they_are_joined(part, target):
    assert part("AQ==", 1, "b").status == 201
    assert part("AgM=", 1, "b").status == 201
    assert part("", None, "b").status == 201
    target.connection().wait_for_messages(b"\x01\x02\x03")


def test_last_event_of_a_request_with_more_is_kept(http, polysocket, target):
    def send(*events, **params):
        return http.post("/polysocket/send", {
            "socket": polysocket.id, **params, "events": [
                {"type": kind, "data": data} for kind, data in events]})

    assert send(("string", "a"), ("string", "b"), more=1).status == 201
    connection = target.connection()
    connection.wait_for_messages("a")
    # A part of the other type is refused and changes nothing.
    assert send(("binary", "YQ==")).status == 400
    assert send(("string", "c"), ("binary", "ZA==")).status == 201
    connection.wait_for_messages("a", "bc", b"d")


def test_more_0_ends_a_message(part, target):
    assert part("one ", 1).status == 201
    assert part("two", 0).status == 201
    target.connection().wait_for_messages("one two")


def test_bad_part_leaves_the_kept_ones_alone(part, target):
    assert part("AQ==", 1, "b").status == 201
    assert part("A", 1, "b").code == "bad_base64"
    assert part("Ag==", None, "b").status == 201
    target.connection().wait_for_messages(b"\x01\x02")


@SMALL
def test_joined_size_is_bounded(part, target):
    assert part("x" * 600, 1).status == 201
    response = part("x" * 401, 1)
    assert (response.status, response.code) == (413, "message_too_large")
    assert part("x" * 400).status == 201
    target.connection().wait_for_messages("x" * 1000)


def test_base64_of_the_reference_is_what_python_makes(polysocket, target):
    blob = bytes(range(256)) * 3
    events = [{"type": "binary",
               "data": encode(blob).decode("ascii")}
              for encode in (base64.b64encode, base64.urlsafe_b64encode)]
    assert post_events(polysocket, events).status == 201
    target.connection().wait_for_messages(blob, blob)
