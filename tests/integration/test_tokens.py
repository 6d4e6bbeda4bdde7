"""Who may what: tokens, origins and targets, and that what an administrator
says to sqlite3 takes effect at once."""

import concurrent.futures
import secrets
import time
import urllib.parse

import pytest

from client import HEARTBEAT, Close, Http, Polysocket
from database import insert, quote

# As in production: who sends no token has no rights.
pytestmark = [pytest.mark.anonymous(None),
              pytest.mark.options(hold_min="100ms")]

SOON = 3        # s; the promise is one, the machine of the tests is busy
SERVICE = "https://page.example"

# A create that may connect ends here at once: nothing listens on this port.
NOWHERE = "ws://127.0.0.1:1/"
ALLOWED = "connect_refused"


def outcome(relay, url=NOWHERE, headers=None, **params):
    """The code of a create."""
    return relay.try_create(url, headers, **params).code


# Where the token stands in a request.

def form(**fields):
    return urllib.parse.urlencode(fields), {
        "Content-Type": "application/x-www-form-urlencoded"}


def in_query(http, token):
    return http.post("/polysocket/create", {"target": NOWHERE}, token=token)


def in_json(http, token):
    return http.post("/polysocket/create", {"target": NOWHERE,
                                            "token": token})


def in_text(http, token):
    return http.post("/polysocket/create",
                     f'{{"target": "{NOWHERE}", "token": "{token}"}}',
                     {"Content-Type": "text/plain"})


def in_form(http, token):
    return http.post("/polysocket/create", *form(target=NOWHERE, token=token))


def in_url_of_get(http, token):
    return http.get("/create", target=NOWHERE, token=token,
                    **{"from": "tests"})


def in_form_of_other_dialect(http, token):
    return http.post("/create", *form(target=NOWHERE, token=token,
                                      **{"from": "tests"}))


def in_header(http, token):
    return http.post("/polysocket/create", {"target": NOWHERE},
                     {"Authorization": f"Bearer {token}"})


def in_header_of_get(http, token):
    return http.get("/create", {"Authorization": f"bearer  {token}"},
                    target=NOWHERE, **{"from": "tests"})


WAYS = [in_query, in_json, in_text, in_form, in_url_of_get,
        in_form_of_other_dialect, in_header, in_header_of_get]


@pytest.mark.parametrize("send", WAYS)
@pytest.mark.parametrize("version", ["1.1", "2"])
def test_token_is_taken_from(send, version, stack, new_token):
    http = Http(stack.port, stack.prefix, version)
    assert send(http, new_token()).code == ALLOWED
    assert send(http, "nobody's").code == "token_unknown"


def test_every_character_of_a_secret_counts(http, new_token):
    every = "".join(map(chr, range(0x21, 0x7f)))
    token = new_token(secret=every)
    for send in (in_query, in_json, in_form, in_url_of_get, in_header):
        assert send(http, token).code == ALLOWED, send
        assert send(http, token[:-1]).code == "token_unknown", send
        assert send(http, token[:-1] + "X").code == "token_unknown", send
        assert send(http, "X" + token[1:]).code == "token_unknown", send


def test_parameter_is_preferred_to_the_header(relay, new_token):
    good = new_token()
    header = {"Authorization": "Bearer nobodys"}
    assert outcome(relay, headers=header, token=good) == ALLOWED
    header = {"Authorization": "Bearer " + good}
    assert outcome(relay, headers=header, token="nobodys") == "token_unknown"
    assert outcome(relay, headers=header, token="") == ALLOWED


def test_body_is_preferred_to_the_query(http, new_token):
    good = new_token()
    for body, query, code in ((good, "nobodys", ALLOWED),
                              ("nobodys", good, "token_unknown")):
        response = http.post("/polysocket/create", {
            "target": NOWHERE, "token": body}, token=query)
        assert response.code == code


@pytest.mark.parametrize("header", [
    "Basic bm9ib2R5Og==", "Bearer", "Bearer ", "{}", "Token {}",
    "Bearer{}", "Bearer {} x"])
def test_other_authorization_is_none(relay, new_token, header):
    response = relay.try_create(NOWHERE, {
        "Authorization": header.format(new_token())})
    relay.check_refusal(response, 403, "token_unknown")


# Tokens that are none.

def test_without_a_token_anonymous_nobody_is_one(relay):
    response = relay.try_create(NOWHERE)
    relay.check_refusal(response, 403, "token_unknown")
    response = relay.try_create(NOWHERE, token="")
    relay.check_refusal(response, 403, "token_unknown")


def test_token_that_is_unknown_is_refused(relay, new_token):
    good = new_token(secret="a1" + secrets.token_hex(8))
    for token in (good.upper(), good[:-1], good[1:], good + "x", good + " ",
                  " " + good, good + "\t", good + "\xe9", good + good,
                  good + "' OR 1=1 --", "x" * 128, "x" * 129, "x" * 4000,
                  "anonymous", "NULL", "%", "*"):
        response = relay.try_create(NOWHERE, token=token)
        relay.check_refusal(response, 403, "token_unknown")


def test_hash_is_no_secret(relay, new_token, stack):
    new_token(name="hashed")
    text = stack.database.value("SELECT lower(hex(secret_hash)) AS hash"
                                " FROM tokens WHERE name = 'hashed'")
    assert outcome(relay, token=text) == "token_unknown"


def test_secret_may_have_128_characters(relay, new_token):
    token = new_token(secret="x" * 126 + "-1")
    assert outcome(relay, token=token) == ALLOWED
    assert outcome(relay, token=token + "x") == "token_unknown"


@pytest.mark.parametrize("value", [5, True, ["x"], {"x": "y"}])
def test_token_that_is_no_text_is_malformed(http, value):
    response = http.post("/polysocket/create", {"target": NOWHERE,
                                                "token": value})
    assert response.status in (400, 403), response
    assert response.code in ("bad_parameter", "token_unknown")


def test_what_is_no_utf8_is_malformed(http):
    for token in ("%ff", "%00", "a%00b"):
        response = http.request("GET", f"/create?from=x&target=ws://x/&token="
                                f"{token}")
        assert response.status == 400, response


# The order of a create's checks.

def test_checks_come_in_their_order(relay, new_token, stack):
    token = new_token(origins=[SERVICE], targets=["ws://*.invalid"],
                      max_sockets=0, name="ordered-" + secrets.token_hex(4))
    other = {"Origin": "https://other.example"}
    good = {"Origin": SERVICE}
    # What a request has wrong, from the first check to the last.
    for url, sent, headers, status, code in (
            ("", "nobodys", other, 400, "missing_parameter"),
            ("http://x/", "nobodys", other, 400, "target_invalid"),
            (NOWHERE, "nobodys", other, 403, "token_unknown"),
            (NOWHERE, token, other, 403, "origin_refused"),
            (NOWHERE, token, good, 403, "target_refused"),
            ("ws://a.invalid/", token, good, 429, "connection_limit")):
        response = relay.try_create(url or None, headers, token=sent)
        relay.check_refusal(response, status, code)
    change(stack, "UPDATE tokens SET max_sockets = NULL"
                  " WHERE name LIKE 'ordered-%'")
    assert outcome(relay, "ws://a.invalid/", good, token=token) == (
        "dns_failure")


# Origins.

def origin(value):
    return {"Origin": value}


def referer(value):
    return {"Referer": value}


EXACT, BELOW = [SERVICE], ["https://*.page.example"]
NO = "origin_refused"


ORIGINS = [
    (EXACT, origin("https://page.example"), ALLOWED),
    (EXACT, origin("https://PAGE.example"), ALLOWED),
    (EXACT, origin("https://page.example:443"), ALLOWED),
    (EXACT, origin("https://page.example:8443"), NO),
    (EXACT, origin("http://page.example"), NO),
    (EXACT, origin("https://page.example.evil"), NO),
    (EXACT, origin("https://evilpage.example"), NO),
    (EXACT, origin("https://a.page.example"), NO),
    (EXACT, origin("https://other.example"), NO),
    (EXACT, origin("null"), NO),
    (BELOW, origin("https://a.b.page.example"), ALLOWED),
    (BELOW, origin("https://page.example"), NO),
    (["https://page.example:*"], origin("https://page.example:1"), ALLOWED),
    (["*://page.example"], origin("http://page.example"), ALLOWED),
    (["null"], origin("null"), ALLOWED),
    (["null"], origin("https://page.example"), NO),
    (["*"], origin("https://page.example"), ALLOWED),
    (["*"], origin("null"), ALLOWED),
    (["https://a.example", SERVICE], origin(SERVICE), ALLOWED),
    ([], origin(SERVICE), NO),
    ([], origin("null"), NO),
    # Without the header the referer says where the page is from.
    (EXACT, referer("https://page.example/a/b?c#d"), ALLOWED),
    (EXACT, referer("https://page.example"), ALLOWED),
    (EXACT, referer("https://other.example/https://page.example"), NO),
    ([], referer("https://page.example/"), NO),
    (EXACT, {**origin(SERVICE), **referer("https://x.example/")}, ALLOWED),
    (EXACT, {**origin("https://x.example"), **referer(SERVICE)}, NO),
    # A page whose origin cannot be named has one all the same: null.
    (EXACT, origin("nonsense"), NO),
    (EXACT, origin("file://"), NO),
    ([], origin("nonsense"), NO),
    (["*://*:*"], origin("file://"), NO),
    (["null"], origin("file://"), ALLOWED),
    (["*"], origin("file://"), ALLOWED),
    # No page at all.
    (EXACT, {}, ALLOWED),
    ([], {}, ALLOWED),
]


def test_origin_must_be_one_of_the_token(http, new_token, stack):
    relay = Polysocket(http)
    tokens = {}
    for patterns, _, _ in ORIGINS:
        if tuple(patterns) not in tokens:
            tokens[tuple(patterns)] = new_token(origins=patterns, wait=False)
    stack.wait_policy()
    for patterns, headers, expected in ORIGINS:
        found = outcome(relay, headers=headers, token=tokens[tuple(patterns)])
        assert found == expected, (patterns, headers)


@pytest.mark.parametrize("patterns", [[], EXACT, ["*"], ["null"]])
def test_no_origin_needs_allow_no_origin(http, new_token, patterns):
    relay = Polysocket(http)
    token = new_token(origins=patterns, allow_no_origin=0)
    assert outcome(relay, token=token) == NO
    assert (outcome(relay, headers=origin(SERVICE), token=token) == ALLOWED
            ) == (patterns in (EXACT, ["*"]))


@pytest.mark.parametrize("allow_no_origin", [0, 1])
def test_origin_that_a_request_claims_must_be_allowed(relay, new_token,
                                                      allow_no_origin):
    token = new_token(origins=EXACT, allow_no_origin=allow_no_origin)
    for headers, claimed, expected in (
            ({}, SERVICE, ALLOWED),
            ({}, "https://other.example", NO),
            # It is heard only where the header is not there.
            (origin(SERVICE), "https://other.example", ALLOWED),
            (origin("https://other.example"), SERVICE, NO),
            (referer("https://other.example/"), SERVICE, NO),
            (referer(SERVICE + "/"), SERVICE, ALLOWED),
            (referer(SERVICE + "/"), "https://other.example", NO)):
        assert outcome(relay, headers=headers, token=token,
                       origin=claimed) == expected, (headers, claimed)


def cors(response):
    return [name for name in response.headers
            if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("headers", [origin("https://other.example"),
                                     referer("https://other.example/x"), {}])
def test_refused_origin_gets_no_cors_headers(relay, new_token, headers):
    token = new_token(origins=EXACT, allow_no_origin=0)
    response = relay.try_create(NOWHERE, headers, token=token)
    relay.check_refusal(response, 403, "origin_refused")
    assert cors(response) == []
    response = relay.try_create(NOWHERE, origin(SERVICE), token=token)
    assert response.header("Access-Control-Allow-Origin") == SERVICE


@pytest.mark.parametrize("refused", ["token_unknown", "target_refused"])
def test_other_refusals_tell_the_page(relay, new_token, refused):
    token = new_token(origins=EXACT, targets=[])
    response = relay.try_create(
        NOWHERE, origin(SERVICE),
        token=token if refused == "target_refused" else "nobodys")
    relay.check_refusal(response, 403, refused)
    assert response.header("Access-Control-Allow-Origin") == SERVICE


def test_refused_origin_in_jsonp(http, new_token):
    token = new_token(origins=EXACT)
    response = http.get("/create", referer("https://other.example/"), cb="f",
                        target=NOWHERE, token=token, **{"from": "tests"})
    assert response.status == 200
    answer = response.jsonp("f")
    assert (answer["ok"], answer["code"]) == (False, "origin_refused")
    assert cors(response) == []


# Targets.

def test_rights_of_one_token_are_not_those_of_another(relay, new_token,
                                                      target):
    mine = new_token(origins=["https://mine.example"],
                     targets=[target.url("mine")])
    yours = new_token(origins=["https://yours.example"],
                      targets=[target.url("yours")])
    for token, owner in ((mine, "mine"), (yours, "yours")):
        for host in ("mine", "yours"):
            for path in ("mine", "yours"):
                response = relay.try_create(
                    target.url(path), origin(f"https://{host}.example"),
                    token=token)
                if host != owner:
                    relay.check_refusal(response, 403, "origin_refused")
                elif path != owner:
                    relay.check_refusal(response, 403, "target_refused")
                else:
                    assert response.json["ok"] is True, response
    assert target.accepted == 2


# What an administrator says takes effect within a second.

def change(stack, *statements):
    """Runs them, and checks that all workers heard of it in time."""
    before = processes(stack)
    stack.sql(*statements)
    begun = time.monotonic()
    stack.wait_policy()
    assert time.monotonic() - begun < SOON
    assert processes(stack) == before, "without a restart"


def processes(stack):
    return stack.bridge_pid, stack.worker_parent_pid, stack.worker_pids


def outcomes(relay, n=12, **request):
    """Those of many creates at once, so that every worker process has one."""
    with concurrent.futures.ThreadPoolExecutor(n) as threads:
        return set(threads.map(lambda _: outcome(relay, **request), range(n)))


def four(test):
    """Several worker processes; the web server makes no difference."""
    test = pytest.mark.parametrize("server", ["lighttpd"], indirect=True)(test)
    return pytest.mark.options(processes="4")(test)


MINE = "(SELECT id FROM tokens WHERE name = :me)"


@four
@pytest.mark.parametrize("made, statement, before, after", [
    ({}, "UPDATE tokens SET enabled = 0 WHERE name = :me",
     ALLOWED, "token_unknown"),
    ({"enabled": 0}, "UPDATE tokens SET enabled = 1 WHERE name = :me",
     "token_unknown", ALLOWED),
    ({}, "UPDATE tokens SET expires_at = 'now' WHERE name = :me",
     ALLOWED, "token_unknown"),
    ({"expires_at": "2020-01-01"},
     "UPDATE tokens SET expires_at = datetime('now', '+1 hour')"
     " WHERE name = :me", "token_unknown", ALLOWED),
    ({"expires_at": "2020-01-01"},
     "UPDATE tokens SET expires_at = NULL WHERE name = :me",
     "token_unknown", ALLOWED),
    ({}, "DELETE FROM tokens WHERE name = :me", ALLOWED, "token_unknown"),
    ({}, "UPDATE tokens SET secret = 'another' || name WHERE name = :me",
     ALLOWED, "token_unknown"),
    ({}, "UPDATE tokens SET name = 'renamed' WHERE name = :me",
     ALLOWED, ALLOWED),
    ({"targets": []},
     f"INSERT INTO token_targets VALUES ({MINE}, 'ws://127.0.0.1:1')",
     "target_refused", ALLOWED),
    ({}, f"DELETE FROM token_targets WHERE token_id = {MINE}",
     ALLOWED, "target_refused"),
    ({"targets": ["ws://127.0.0.1:1"]},
     "UPDATE token_targets SET pattern = 'ws://127.0.0.1:2'"
     f" WHERE token_id = {MINE}", ALLOWED, "target_refused"),
    ({"origins": []},
     f"INSERT INTO token_origins VALUES ({MINE}, '{SERVICE}')",
     "origin_refused", ALLOWED),
    ({}, f"DELETE FROM token_origins WHERE token_id = {MINE}",
     ALLOWED, "origin_refused"),
    ({"origins": EXACT},
     "UPDATE token_origins SET pattern = 'https://other.example'"
     f" WHERE token_id = {MINE}", ALLOWED, "origin_refused"),
    ({}, "UPDATE tokens SET max_sockets = 0 WHERE name = :me",
     ALLOWED, "connection_limit"),
    ({"max_sockets": 0}, "UPDATE tokens SET max_sockets = NULL"
     " WHERE name = :me", "connection_limit", ALLOWED),
    ({}, "UPDATE tokens SET max_creates_per_minute = 0 WHERE name = :me",
     ALLOWED, "rate_limit"),
    ({}, "UPDATE tokens SET max_bytes_per_day = 0 WHERE name = :me",
     ALLOWED, "daily_limit"),
    ({}, "UPDATE tokens SET note = 'nothing that matters' WHERE name = :me",
     ALLOWED, ALLOWED),
])
def test_statement_takes_effect_at_once(stack, http, new_token, made,
                                        statement, before, after):
    relay = Polysocket(http)
    name = "t-" + secrets.token_hex(6)
    request = {"token": new_token(**made, name=name),
               "headers": origin(SERVICE)}
    assert outcomes(relay, **request) == {before}
    change(stack, statement.replace(":me", quote(name)))
    assert outcomes(relay, **request) == {after}


@four
def test_new_token_takes_effect_at_once(stack, http):
    relay = Polysocket(http)
    assert outcomes(relay, token="brand-new") == {"token_unknown"}
    change(stack, insert("tokens", {"name": "brand-new",
                                    "secret": "brand-new"}),
           "INSERT INTO token_targets SELECT id, 'ws://127.0.0.1:*' FROM"
           " tokens WHERE name = 'brand-new'")
    try:
        assert outcomes(relay, token="brand-new") == {ALLOWED}
    finally:
        change(stack, "DELETE FROM tokens WHERE name = 'brand-new'")


@four
def test_changed_secret_takes_effect_at_once(stack, http, new_token):
    relay = Polysocket(http)
    old = new_token(name="changing")
    change(stack, "UPDATE tokens SET secret = 'x' || name"
                  " WHERE name = 'changing'")
    assert outcomes(relay, token=old) == {"token_unknown"}
    assert outcomes(relay, token="xchanging") == {ALLOWED}


@four
def test_anonymous_comes_and_goes(stack, http):
    relay = Polysocket(http)
    assert outcomes(relay) == {"token_unknown"}
    change(stack, "INSERT INTO tokens (name) VALUES ('anonymous')")
    try:
        assert outcomes(relay) == {"target_refused"}
        change(stack, "INSERT INTO token_targets SELECT id,"
                      " 'ws://127.0.0.1:1' FROM tokens"
                      " WHERE name = 'anonymous'")
        assert outcomes(relay) == {ALLOWED}
        assert outcomes(relay, headers=origin(SERVICE)) == {"origin_refused"}
        # Who sends a token that is none is not anonymous instead.
        assert outcomes(relay, token="nobodys") == {"token_unknown"}
        change(stack, "UPDATE tokens SET enabled = 0"
                      " WHERE name = 'anonymous'")
        assert outcomes(relay) == {"token_unknown"}
    finally:
        change(stack, "DELETE FROM tokens WHERE name = 'anonymous'")
    assert outcomes(relay) == {"token_unknown"}


@four
def test_token_expires_by_itself(stack, http, new_token):
    relay = Polysocket(http)
    token = new_token(name="mortal")
    change(stack, "UPDATE tokens SET expires_at = datetime('now',"
                  " '+2 seconds') WHERE name = 'mortal'")
    stack.wait_until(lambda: outcome(relay, token=token) == "token_unknown",
                     "the token's end", timeout=2 + SOON)
    assert stack.database.value("SELECT datetime('now') >= expires_at FROM"
                                " tokens WHERE name = 'mortal'") == 1
    assert outcomes(relay, token=token) == {"token_unknown"}


def test_statement_that_is_refused_changes_nothing(stack, http, new_token):
    relay = Polysocket(http)
    token = new_token(targets=["ws://127.0.0.1:1"])
    with pytest.raises(Exception, match="there is no token"):
        stack.sql("INSERT INTO token_targets VALUES (99999, 'ws://x')")
    assert outcome(relay, token=token) == ALLOWED


# What it means for sessions that are open.

ENDS = [
    ("UPDATE tokens SET enabled = 0 WHERE name = 'ending'", "token disabled"),
    ("DELETE FROM tokens WHERE name = 'ending'", "token deleted"),
    ("UPDATE tokens SET expires_at = 'now' WHERE name = 'ending'",
     "token expired"),
    ("UPDATE tokens SET expires_at = datetime('now', '+1 second')"
     " WHERE name = 'ending'", "token expired"),
    ("UPDATE sessions SET close_requested = 1 WHERE token_id ="
     " (SELECT id FROM tokens WHERE name = 'ending')",
     "closed by administrator"),
]


@pytest.mark.parametrize("statement, reason", ENDS)
def test_sessions_are_closed_with_a_reason(stack, relay, target, new_token,
                                           parked, statement, reason):
    token, other = new_token(name="ending"), new_token()
    waiting, idle = (relay.create(target.url("quiet"), token=token)
                     for _ in range(2))
    spared = relay.create(target.url("quiet"), token=other)
    with parked(waiting) as poll, parked(spared) as its_poll:
        wait_recorded(stack, 2)
        stack.sql(statement)
        begun = time.monotonic()
        event, = relay.decode(poll.response().json)
        assert time.monotonic() - begun < SOON + 1
        assert event == Close(1008, reason, True)
        assert idle.receive() == [event]
        for i in range(2):
            assert target.connection(i).wait_closed() == (1008, reason)
        # Nobody else is meant.
        target.connection(2).send("still here")
        assert relay.decode(its_poll.response().json) == ["still here"]
    spared.finish()
    assert waiting.is_gone() and idle.is_gone()


def wait_recorded(stack, n, token="ending"):
    """Until the database has so many sessions of a token that live."""
    stack.wait_until(lambda: stack.database.value(
        "SELECT count(*) FROM live_sessions"
        f" WHERE token = {quote(token)}") == n, f"{n} rows")


def test_one_session_may_be_closed_by_its_name(stack, relay, target,
                                               new_token):
    token = new_token(name="ending")
    sessions = [relay.create(target.url("quiet") + f"/{i}", token=token)
                for i in range(3)]
    wait_recorded(stack, 3)
    stack.sql("UPDATE sessions SET close_requested = 1 WHERE id = (SELECT id"
              " FROM live_sessions WHERE subject ="
              f" '{target.url('quiet')}/1')")
    assert sessions[1].receive() == [
        Close(1008, "closed by administrator", True)]
    for i in (0, 2):
        assert sessions[i].poll(timeout=100) == [HEARTBEAT]
        sessions[i].finish()


def test_messages_come_before_the_end(stack, relay, target, new_token):
    session = relay.create(target.url("quiet"),
                           token=new_token(name="ending"))
    target.connection().send("the last word")
    stack.wait_until(lambda: stack.database.values(
        "SELECT messages_down FROM live_sessions WHERE subject ="
        f" '{target.url('quiet')}'") == [1], "the message")
    stack.sql(ENDS[0][0])
    assert session.receive(2) == ["the last word",
                                  Close(1008, "token disabled", True)]


@pytest.mark.parametrize("server", ["lighttpd"], indirect=True)
@pytest.mark.parametrize("statement, reason", ENDS)
def test_creates_that_wait_are_ended_too(stack, relay, target, new_token,
                                         statement, reason):
    params = {"target": target.url("stall"), "from": "tests-v1",
              "token": new_token(name="ending")}
    with begin_create(relay, params) as pending:
        target.wait_for(lambda: target.connections, "the handshake")
        wait_recorded(stack, 1)
        stack.sql(statement)
        begun = time.monotonic()
        relay.check_refusal(pending.response(), 403, (
            "socket_unknown" if "administrator" in reason
            else "token_unknown"))
        assert time.monotonic() - begun < SOON + 1


@pytest.mark.parametrize("server", ["lighttpd"], indirect=True)
def test_connection_of_a_create_that_is_ended_goes(stack, http, target,
                                                   new_token):
    relay = Polysocket(http)
    params = {"target": target.url("stall"), "token": new_token(name="ending")}
    with begin_create(relay, params):
        target.wait_for(lambda: target.connections, "the handshake")
        stack.sql("DELETE FROM tokens WHERE name = 'ending'")
        target.connections[0].wait_for(lambda c: c.ended, "the end", SOON)


def begin_create(relay, params):
    if relay.name == "polysocketd":
        return relay.http.begin("GET", "/create", params)
    return relay.http.begin("POST", "/polysocket/create", body=params)


def test_token_that_is_enabled_again_may_go_on(stack, relay, target,
                                               new_token):
    token = new_token(name="ending")
    session = relay.create(target.url("quiet"), token=token)
    change(stack, "UPDATE tokens SET enabled = 0 WHERE name = 'ending'")
    assert session.receive() == [Close(1008, "token disabled", True)]
    change(stack, "UPDATE tokens SET enabled = 1 WHERE name = 'ending'")
    session = relay.create(target.url("echo"), token=token)
    session.send("hello")
    assert session.receive() == ["hello"]


@pytest.mark.parametrize("statement", [
    "UPDATE tokens SET secret = 'changed-' || name WHERE name = 'lasting'",
    "UPDATE tokens SET name = 'renamed' WHERE name = 'lasting'",
    "UPDATE tokens SET max_sockets = 0 WHERE name = 'lasting'",
    "DELETE FROM token_origins WHERE token_id ="
    " (SELECT id FROM tokens WHERE name = 'lasting')",
    "DELETE FROM token_targets WHERE token_id ="
    " (SELECT id FROM tokens WHERE name = 'lasting')",
])
def test_open_sessions_outlive_other_changes(stack, relay, target, new_token,
                                             statement):
    session = relay.create(target.url("echo"), token=new_token(
        name="lasting"))
    change(stack, statement)
    session.send("hello")
    assert session.receive() == ["hello"]
    session.finish()
