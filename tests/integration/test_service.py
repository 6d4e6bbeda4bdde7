"""Routes of the service itself: health, limits, probe, metrics and stats."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import prometheus
from client import Http, Polysocket
from resolver import SILENCE, Resolver
from stack import SOURCE

HEALTH = ("/polysocket/health/live", "/polysocket/health/ready")
LIMITS = "/polysocket/limits"
PROBE = "/polysocket/probe"
METRICS = "/polysocket/metrics"
STATS = "/polysocket/stats"
ROUTES = (*HEALTH, LIMITS, PROBE, METRICS, STATS)
WITH_JSONP = (*HEALTH, LIMITS, STATS)
FIGURES = (METRICS, STATS)

NO_STORE = ("no-store, no-cache, no-transform, must-revalidate, max-age=0")
CHUNK = re.compile(r"chunk (\d+) of 10, (\d+) ms, "
                   r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z")


@pytest.fixture
def admin(new_token):
    return new_token(admin=1)


def is_refused(response, status, code, **members):
    assert (response.status, response.code) == (status, code), response
    assert response.json["ok"] is False
    for name, value in members.items():
        assert response.json[name] == value, response
    return True


def figures(http, token, **params):
    response = http.get(METRICS, token=token, **params)
    assert response.status == 200, response
    return prometheus.parse(response.text)


def stats(http, token):
    response = http.get(STATS, token=token)
    assert response.status == 200, response
    assert response.json["ok"] is True
    return response.json["stats"]


# What all of them have in common.

@pytest.mark.parametrize("path", ROUTES)
def test_methods(http, admin, path):
    """HEAD is as GET without a body; OPTIONS; anything else is 405."""
    response = http.get(path, token=admin)
    assert response.status == 200
    assert response.header("Cache-Control") == NO_STORE
    assert response.header("X-Content-Type-Options") == "nosniff"
    head = http.request("HEAD", path, {"token": admin})
    assert (head.status, head.body) == (200, b"")
    assert head.header("Content-Type") == response.header("Content-Type")
    preflight = http.request("OPTIONS", path, headers={
        "Origin": "https://page.example",
        "Access-Control-Request-Headers": "authorization"})
    assert (preflight.status, preflight.body) == (204, b"")
    allowed = "GET, HEAD, OPTIONS"
    assert preflight.header("Access-Control-Allow-Methods") == allowed
    assert preflight.header("Access-Control-Allow-Headers") == "authorization"
    assert preflight.header("Access-Control-Max-Age") == "7200"
    for method in ("POST", "PUT", "DELETE"):
        response = http.request(method, path, {"token": admin}, body="")
        assert is_refused(response, 405, "method_not_allowed")
        assert response.header("Allow") == allowed


def test_routes_are_there_whatever_services_are(new_stack):
    stack = new_stack(start=False, prefix="/below",
                      options={"services": "channels"},
                      environment={"POLYSOCKET_SERVICES": "applications"})
    stack.answers = lambda: stack.status("/polysocket/health/live") == 200
    stack.start()
    http = Http(stack.port, stack.prefix)
    token = new_admin(stack)
    assert http.get("/polysocket/xhr").status == 404
    for path in ROUTES:
        assert http.get(path, token=token).status == 200


@pytest.mark.parametrize("path", WITH_JSONP)
def test_jsonp(http, admin, path):
    response = http.get(path, cb="found.it", token=admin)
    assert response.status == 200
    assert response.jsonp("found.it")["ok"] is True
    response = http.get(path, cb="1bad", token=admin)
    assert is_refused(response, 400, "callback_invalid")


@pytest.mark.parametrize("path", (LIMITS, STATS))
def test_jsonp_of_a_refusal(http, path):
    response = http.get(path, callback="cb", token="nobody's")
    assert response.status == 403
    assert response.jsonp("cb")["code"] == "token_unknown"
    response = http.get(path, callback="cb", token="nobody's", status="200")
    assert response.status == 200
    assert response.jsonp("cb")["status"] == 403


@pytest.mark.parametrize("path", (PROBE, METRICS))
def test_text_is_never_jsonp(http, admin, path):
    response = http.get(path, cb="found", token=admin)
    assert response.header("Content-Type").startswith("text/plain")
    assert "found(" not in response.text


@pytest.mark.parametrize("path", ROUTES)
def test_cors(http, admin, path):
    response = http.get(path, token=admin)
    assert response.header("Access-Control-Allow-Origin") == "*"
    origin = "https://page.example"
    response = http.get(path, {"Origin": origin}, token=admin)
    assert response.status == 200
    assert response.header("Access-Control-Allow-Origin") == origin
    assert "Origin" in response.header("Vary")
    assert response.header("Access-Control-Allow-Credentials") is None


@pytest.mark.parametrize("path", (LIMITS, METRICS, STATS))
@pytest.mark.parametrize("header", ({"Origin": "https://evil.example"},
                                    {"Referer": "https://evil.example/x"}))
def test_refused_origin_gets_no_cors_headers(http, new_token, path, header):
    token = new_token(origins=("https://page.example",), admin=1)
    response = http.get(path, header, token=token)
    assert is_refused(response, 403, "origin_refused")
    assert response.header("Access-Control-Allow-Origin") is None
    assert http.get(path, token=token).status == 200
    origin = {"Origin": "https://page.example"}
    assert http.get(path, origin, token=token).status == 200


@pytest.mark.parametrize("path", (LIMITS, METRICS, STATS))
def test_token_that_needs_an_origin(http, new_token, path):
    token = new_token(allow_no_origin=0, admin=1)
    assert is_refused(http.get(path, token=token), 403, "origin_refused")
    origin = {"Origin": "https://page.example"}
    assert http.get(path, origin, token=token).status == 200


@pytest.mark.parametrize("path", (LIMITS, METRICS, STATS))
def test_unknown_token(http, stack, new_token, path):
    assert is_refused(http.get(path, token="nobody's"), 403, "token_unknown")
    token = new_token(admin=1)
    bearer = {"Authorization": f"Bearer {token}"}
    assert http.get(path, bearer).status == 200
    stack.sql("UPDATE tokens SET enabled = 0 WHERE admin = 1")
    stack.wait_policy()
    assert is_refused(http.get(path, bearer), 403, "token_unknown")


def test_health_and_probe_need_no_token(new_stack):
    stack = new_stack(targets=None)
    http = Http(stack.port)
    for path in (*HEALTH, PROBE):
        assert http.get(path).status == 200
    for path in (LIMITS, METRICS, STATS):
        assert is_refused(http.get(path), 403, "token_unknown")


# Health.

def test_ready_names_its_parts(http):
    assert http.get("/polysocket/health/live").json == {"ok": True}
    assert http.get("/polysocket/health/ready").json == {
        "ok": True, "bridge": "ok", "database": "ok"}


def test_bridge_that_is_killed(new_stack):
    stack = new_stack()
    http = Http(stack.port)
    assert http.get("/polysocket/health/ready").status == 200
    stack.stop_bridge(signal.SIGKILL)
    response = http.get("/polysocket/health/ready")
    assert is_refused(response, 503, "bridge_unavailable", part="bridge")
    assert int(response.header("Retry-After")) >= 1
    head = http.request("HEAD", "/polysocket/health/ready")
    assert (head.status, head.body) == (503, b"")
    assert http.get("/polysocket/health/live").json == {"ok": True}
    assert http.get(LIMITS).status == 200       # the worker knows them
    for path in (PROBE, METRICS, STATS):
        token = None if path == PROBE else new_admin(stack)
        response = http.get(path, token=token)
        assert is_refused(response, 503, "bridge_unavailable")
    stack.start_bridge()
    assert http.get("/polysocket/health/ready").status == 200


def new_admin(stack):
    secret = os.urandom(8).hex()
    stack.add_token(secret, admin=1)
    stack.wait_policy()
    return secret


ONE_THREAD = {"processes": "1", "threads": "1"}


def test_bridge_that_drains(new_stack, target):
    """Workers that are connected hear it; a session keeps the bridge up."""
    stack = new_stack(options={**ONE_THREAD, "close_timeout": "8s",
                               "receiver_grace": "6s"})
    http = Http(stack.port)
    token = new_admin(stack)
    session = Polysocket(http).create(target.url("quiet"))
    with http.begin("GET", PROBE) as probe:
        first = probe.line()
        os.kill(stack.bridge_pid, signal.SIGTERM)
        stack.wait_until(lambda: "info: drain: " in stack.log("wsbridge"),
                         "the signal", stack.bridge)
        response = http.get("/polysocket/health/ready")
        assert is_refused(response, 503, "draining", part="bridge")
        assert int(response.header("Retry-After")) >= 1
        assert is_refused(http.get(PROBE), 503, "draining")
        assert figures(http, token).value("polysocket_draining") == 1
        # What was begun ends early, but well.
        assert CHUNK.fullmatch(first)
        lines = list(iter(probe.line, None))
        assert 1 <= len(lines) < 9
        assert all(CHUNK.fullmatch(line) for line in lines)
    assert session.poll()[0].code == 1001
    stack.bridge.wait(5)
    assert stack.bridge.returncode == 0
    stack.bridge = None
    assert http.get("/polysocket/health/live").status == 200


def test_worker_without_a_database(new_stack):
    stack = new_stack(start=False)
    stack.write_config()
    stack.start_workers()
    stack.start_server()
    http = Http(stack.port)
    assert http.get("/polysocket/health/live").json == {"ok": True}
    response = http.get("/polysocket/health/ready")
    assert is_refused(response, 503, "database_unavailable", part="database")
    for path in (LIMITS, METRICS, STATS):
        response = http.get(path, token="x")
        assert is_refused(response, 503, "database_unavailable")
        assert int(response.header("Retry-After")) >= 1
    stack.start_bridge()        # makes the database
    stack.wait_until(
        lambda: http.get("/polysocket/health/ready").status == 200,
        "a worker that reads the database")


def test_database_that_becomes_unusable(new_stack, target):
    stack = new_stack()
    http, token = Http(stack.port), new_admin(stack)
    away = stack.directory / "away.db"
    stack.db_path.rename(away)
    stack.db_path.write_bytes(b"this is no database, whoever put it\n" * 9)

    def ready():
        return http.get("/polysocket/health/ready")

    stack.wait_until(lambda: ready().status == 503, "a failing database")
    session = Polysocket(http).create(target.url("quiet"))
    response = ready()
    assert is_refused(response, 503, "database_unavailable", part="database")
    assert str(stack.directory) not in response.text
    # A worker may have noticed first.
    stack.wait_until(lambda: figures(http, token).value(
        "polysocket_database_up") == 0, "the bridge to notice")
    found = figures(http, token)
    assert found.value("polysocket_records_waiting") >= 1
    assert found.value("polysocket_database_failures_total") >= 1
    session.close()
    away.replace(stack.db_path)
    stack.wait_until(lambda: ready().status == 200, "the database again")
    found = figures(http, token)
    assert found.value("polysocket_database_up") == 1
    assert found.value("polysocket_records_lost_total") == 0
    stack.wait_until(lambda: figures(http, token).value(
        "polysocket_records_waiting") == 0, "all records written")
    assert figures(http, token).value("polysocket_records_written_total") >= 1


# Limits.

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


# The probe.

def read_probe(http, **params):
    """Lines and when they came, in milliseconds."""
    with http.begin("GET", PROBE, params) as exchange:
        assert exchange.head() == 200
        begun = time.monotonic()
        return [(line, (time.monotonic() - begun) * 1000)
                for line in iter(exchange.line, None)], exchange.answer


@pytest.mark.parametrize("params", ({}, {"mode": "stream"}))
def test_probe_comes_chunk_by_chunk(http, params):
    lines, answer = read_probe(http, **params)
    assert answer.getheader("Content-Type") == "text/plain; charset=utf-8"
    assert answer.getheader("X-Accel-Buffering") == "no"
    assert answer.getheader("Cache-Control") == NO_STORE
    numbers, stamps = [], []
    for n, (line, came_ms) in enumerate(lines):
        number, sent_ms, stamp = CHUNK.fullmatch(line).groups()
        numbers.append(int(number))
        stamps.append(stamp)
        assert 0 <= int(sent_ms) - n * 200 < 150
        # Sent and received at the same time: nothing in between buffers.
        assert abs(came_ms - int(sent_ms)) < 150, lines
    assert numbers == list(range(1, 11))
    assert stamps == sorted(stamps)
    now = time.gmtime()
    assert stamps[0][:10] in {time.strftime("%Y-%m-%d", now),
                              time.strftime("%Y-%m-%d",
                                            time.gmtime(time.time() - 9))}


DIRECTIVES = {
    "lighttpd": ("server.stream-response-body = 1",
                 "server.stream-response-body = 0"),
    "apache": ("flushpackets=on", "flushpackets=off"),
}


def test_probe_shows_what_buffers(new_stack, server):
    """Without the directive that is documented the chunks come at once."""
    stack = new_stack(start=False)
    site, (good, bad) = stack.site, DIRECTIVES[server]
    assert good in site(server)
    stack.site = lambda server: site(server).replace(good, bad)
    stack.start()
    lines, _ = read_probe(Http(stack.port))
    times = [came_ms for _, came_ms in lines]
    assert len(times) == 10
    assert times[-1] - times[0] < 900, "they were sent over 1800 ms"


def test_directives_that_mend_it_are_documented():
    text = (SOURCE / "doc" / "operations.md").read_text("utf-8")
    for word in ("/polysocket/probe", "server.stream-response-body = 1",
                 "flushpackets=on", "FcgidOutputBufferSize 0",
                 "X-Accel-Buffering"):
        assert word in text, word


def test_probe_over_http_2(http2):
    with http2.begin("GET", PROBE) as exchange:
        assert exchange.head() == 200
        begun = time.monotonic()
        for n, line in enumerate(iter(exchange.line, None)):
            came_ms = (time.monotonic() - begun) * 1000
            assert CHUNK.fullmatch(line)
            assert abs(came_ms - n * 200) < 250
        assert n == 9


def test_unknown_mode_of_probe(http):
    for mode in ("", "Stream", "x"):
        response = http.get(PROBE, mode=mode)
        assert is_refused(response, 400, "bad_parameter")
    response = http.request("GET", PROBE + "?mode=stream&mode=stream")
    assert is_refused(response, 400, "bad_request")


@pytest.mark.options(max_held="1")
def test_probe_is_held(http, stack, admin):
    with http.begin("GET", PROBE) as first:
        first.line()
        response = http.get(PROBE)
        assert is_refused(response, 503, "too_many_held", limit="max_held")
        assert int(response.header("Retry-After")) >= 1
        assert http.request("HEAD", PROBE).status == 503
        assert figures(http, admin).value("polysocket_held_requests") == 1
    stack.wait_until(lambda: figures(http, admin).value(
        "polysocket_held_requests") == 0, "the end of the probe")
    assert http.get(PROBE).status == 200


# Figures.

@pytest.mark.parametrize("path", FIGURES)
def test_figures_are_for_administrators(http, new_token, path):
    assert is_refused(http.get(path), 403, "admin_required")
    assert is_refused(http.get(path, token=new_token()), 403,
                      "admin_required")
    head = http.request("HEAD", path)
    assert (head.status, head.body) == (403, b"")
    assert http.get(path, token=new_token(admin=1)).status == 200


@pytest.mark.options(metrics_from="127.0.0.2, 127.3.0.0/16, ::1")
@pytest.mark.parametrize("path", FIGURES)
def test_figures_are_for_listed_addresses(stack, path, new_token):
    for source in ("127.0.0.2", "127.3.77.9"):
        http = Http(stack.port, source=source)
        for token in (None, "nobody's", new_token()):
            response = http.get(path, token=token)
            assert response.status == 200, "whatever token it sends"
        # The address is that of a browser: a page needs a token.
        for header in ({"Origin": "https://page.example"},
                       {"Referer": "https://page.example/"}):
            assert is_refused(http.get(path, header), 403, "admin_required")
            response = http.get(path, header, token=new_token(admin=1))
            assert response.status == 200
    response = http.get(STATS, cb="cb")
    assert response.jsonp("cb")["code"] == "admin_required"
    for source in ("127.0.0.1", "127.0.0.3", "127.4.0.1"):
        response = Http(stack.port, source=source).get(path)
        assert is_refused(response, 403, "admin_required")


@pytest.mark.options(metrics_from="127.0.0.1")
def test_listed_address_sees_limits_of_tokens_only(http):
    assert is_refused(http.get(LIMITS, token="nobody's"), 403,
                      "token_unknown")


def test_listed_address_needs_no_database(new_stack):
    stack = new_stack(start=False, options={"metrics_from": "127.0.0.0/8"})
    stack.write_config()
    stack.start_workers()
    stack.start_server()
    response = Http(stack.port).get(METRICS)
    assert is_refused(response, 503, "bridge_unavailable")


def test_listed_addresses_may_change(new_stack):
    stack = new_stack()
    http = Http(stack.port)
    assert http.get(METRICS).status == 403
    stack.write_config(metrics_from="127.0.0.1")
    os.kill(stack.worker_parent_pid, signal.SIGHUP)
    stack.wait_until(lambda: http.get(METRICS).status == 200,
                     "the new configuration")


def test_metrics_are_well_formed(http, admin, new_token, target):
    token = new_token(name='a "name" with \\ and ä')
    session = Polysocket(http).create(target.url("quiet"), token=token)
    response = http.get(METRICS, token=admin)
    assert response.header("Content-Type") == (
        "text/plain; version=0.0.4; charset=utf-8")
    found = prometheus.parse(response.text)
    assert all(name.startswith("polysocket_") for name in found.types)
    assert found.sum("polysocket_token_sockets",
                     token='a "name" with \\ and ä') == 1
    session.finish()
    promtool = shutil.which("promtool")
    if promtool is not None:
        done = subprocess.run([promtool, "check", "metrics"],
                              input=response.body, capture_output=True,
                              timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, b""), done


def documented_metrics():
    """The labels of each, by its name."""
    text = (SOURCE / "doc" / "http-api.md").read_text("utf-8")
    table = text.partition("| name | labels | |\n")[2].partition("\n\n")[0]
    found = {}
    for row in table.splitlines()[1:]:
        names, labels = (re.findall(r"`(\w+)`", cell)
                         for cell in row.split("|")[1:3])
        found.update({"polysocket_" + name: set(labels) for name in names})
    return found


def test_metrics_are_those_that_are_documented(http, admin, target):
    session = Polysocket(http).create(target.url("quiet"))
    found = figures(http, admin)
    session.finish()
    assert found.types.keys() == documented_metrics().keys()
    for name, labels in documented_metrics().items():
        series = [labels for known, labels in found.samples if known == name]
        assert series and all({label for label, _ in one} == labels
                              for one in series), name


def flat(stats):
    """The figures of stats as those of metrics are."""
    found = {}
    for name, value in stats.items():
        for entry in value if isinstance(value, list) else [{"value": value}]:
            labels = {k: v for k, v in entry.items() if k != "value"}
            key = "polysocket_" + name, tuple(sorted(labels.items()))
            assert key not in found
            found[key] = entry["value"]
    return found


@pytest.mark.options(node="figures")
def test_stats_are_the_same_figures(http, admin, target, stack):
    session = Polysocket(http).create(target.url("quiet"))
    session.send("hello")
    target.connection(0).send("back")
    stack.wait_until(lambda: figures(http, admin).value(
        "polysocket_queued_messages", direction="down") == 1, "a message")
    stack.wait_until(lambda: figures(http, admin).value(
        "polysocket_records_waiting") == 0, "records written")
    before = figures(http, admin).samples
    between = flat(stats(http, admin))
    after = figures(http, admin).samples
    assert between.keys() == before.keys()
    # One comes and goes with each answer, to close its descriptor.
    timers = ("polysocket_timers", ())
    assert between.pop(timers) >= 1
    for key, value in between.items():
        assert before[key] <= value <= after[key], key
    of_stats = "polysocket_requests_total", (("type", "stats"),)
    moved = {key for key in between if before[key] != after[key]}
    assert of_stats in moved
    assert between[of_stats] == before[of_stats] + 1
    # Nothing else can have happened but a record that was written meanwhile.
    assert moved <= {of_stats, ("polysocket_records_written_total", ())}
    session.finish()


def open_sessions(found, **labels):
    return found.sum("polysocket_sessions", kind="relay", state="open",
                     **labels)


@pytest.mark.options(node="life")
def test_figures_follow_what_lives_in_channels(http, admin, stack, channel):
    def value(name, **labels):
        return figures(http, admin).value("polysocket_" + name, **labels)

    def becomes(name, wanted, **labels):
        stack.wait_until(lambda: value(name, **labels) == wanted,
                         f"{name} being {wanted}")

    becomes("channels", 0)
    events, deliveries = (value(name) for name in (
        "events_total", "event_deliveries_total"))
    ids = value("emit_ids")
    with channel.join() as one, channel.join("events") as two:
        assert value("channels") == 1
        assert value("channel_members", joined="yes") == 2
        channel.emit("x", id="known")
        channel.emit("x", id="known")
        assert value("emit_ids") == ids + 1
        with http.begin("POST", channel.path("emit"),
                        {"require-ack": "true"},
                        {"Content-Type": "application/json"},
                        '"ack me"') as exchange:
            event = one.events(2)[1]
            assert value("emits_waiting") == 1
            one.ack(event.event_id)
            two.ack(two.events(2)[1].event_id)
            assert exchange.response().status == 200
        assert value("emits_waiting") == 0
        becomes("channel_log_entries", 0)
        assert value("events_total") == events + 2
        assert value("event_deliveries_total") == deliveries + 4
    becomes("channels", 0)
    becomes("channel_members", 0, joined="yes")


@pytest.mark.options(node="life")
def test_figures_follow_what_lives(http, admin, target, stack, new_token):
    token = new_token(name="counted")
    relay = Polysocket(http)
    start = figures(http, admin)
    sessions = [relay.create(target.url("quiet"), token=token)
                for _ in range(5)]
    found = figures(http, admin)
    assert open_sessions(found) == 5
    assert open_sessions(found, receiver="no") == 5
    assert found.value("polysocket_sessions_total") == start.value(
        "polysocket_sessions_total") + 5
    assert found.value("polysocket_remote_addresses") == 1
    assert found.sum("polysocket_token_sockets", token="counted") == 5
    # Used.
    sessions[0].send("one", "three")
    sessions[0].send(b"\0\1")
    target.connection(1).send("down!")
    assert sessions[1].receive() == ["down!"]
    found = figures(http, admin)
    for name, up, down in (("messages", 3, 1), ("message_bytes", 10, 5)):
        for direction, value in (("up", up), ("down", down)):
            name_total = f"polysocket_{name}_total"
            assert found.value(name_total, direction=direction) - start.value(
                name_total, direction=direction) == value
    assert found.sum("polysocket_token_messages_today", token="counted") == 4
    assert found.sum("polysocket_token_bytes_today", token="counted") == 15
    # Received, and waiting.
    with sessions[2].begin(timeout=20000):
        stack.wait_until(lambda: open_sessions(
            figures(http, admin), receiver="yes") == 1, "a receiver")
        found = figures(http, admin)
        assert found.value("polysocket_held_requests") == 1
        assert found.value("polysocket_open_requests") == 2
        target.connection(3).send("waits")
        stack.wait_until(lambda: figures(http, admin).value(
            "polysocket_queued_bytes", direction="down") == 5, "its bytes")
    # Closed by the client, by the target, killed by the administrator.
    sessions[0].finish()
    target.connection(1).send_close()
    sessions[1].receive()
    number = int(start.value("polysocket_sessions_total")) + 3
    stack.wait_until(lambda: stack.sql(
        "UPDATE sessions SET close_requested = 1 "
        f"WHERE id LIKE '%-{number}' RETURNING id"), "the session's row")
    stack.wait_until(lambda: open_sessions(figures(http, admin)) == 2,
                     "a closed session")
    stack.sql("UPDATE tokens SET enabled = 0 WHERE name = 'counted'")
    stack.wait_until(lambda: open_sessions(figures(http, admin)) == 0,
                     "no session open")
    for session in sessions[2:]:
        session.try_poll()
    stack.wait_until(lambda: figures(http, admin).sum(
        "polysocket_sessions") == 0, "no session left")
    found = figures(http, admin)
    for name in ("queued_messages", "queued_bytes", "held_requests",
                 "remote_addresses", "unsent_bytes", "names_resolving"):
        assert found.sum("polysocket_" + name) == 0, name
    assert found.value("polysocket_open_requests") == 1     # this one
    assert found.sum("polysocket_token_sockets", token="counted") == 0
    for name in ("messages", "message_bytes"):
        name = f"polysocket_{name}_total"
        assert found.sum(name) > start.sum(name), "totals only grow"


@pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"],
                                        check=False).returncode != 0,
    reason="a name server of our own needs root")
def test_names_that_are_being_resolved_are_counted(new_stack, tmp_path):
    with Resolver({"silent.example.test": SILENCE}, tmp_path) as resolver:
        stack = new_stack(start=False, targets=["ws://*.example.test:*"])
        stack.bridge_wrapper = resolver.wrapper
        stack.start()
        http, token = Http(stack.port), new_admin(stack)

        def connecting(n):
            found = figures(http, token)
            return n == found.value("polysocket_names_resolving") == found.sum(
                "polysocket_sessions", state="connecting")

        assert connecting(0)
        begun = [http.begin("POST", "/polysocket/create", body={
            "target": "ws://silent.example.test/"}) for _ in range(3)]
        stack.wait_until(lambda: connecting(3), "three names")
        for exchange in begun:
            exchange.close()


@pytest.mark.options(node="refused")
def test_tokens_are_listed_up_to_a_bound(new_stack, target):
    """Beyond 500 in use they are summed up, and none is left out."""
    stack = new_stack(server="lighttpd", options={
        "max_creates_per_second": "1000", "max_sessions_per_address": "1000",
        "first_receiver_grace": "10m"})
    n = 503
    numbers = ("WITH RECURSIVE n(i) AS (VALUES (10) UNION ALL"
               f" SELECT i + 1 FROM n WHERE i < 9 + {n}) ")
    stack.sql(f"{numbers} INSERT INTO tokens (id, name, secret, admin)"
              " SELECT i, 't' || i, 's' || i, 1 FROM n",
              f"{numbers} INSERT INTO token_targets"
              " SELECT i, 'ws://127.0.0.1:*' FROM n")
    stack.wait_policy()
    relay = Polysocket(Http(stack.port))
    for i in range(10, 10 + n):
        relay.create(target.url("quiet"), token=f"s{i}").send("hello")
    for name, total in (("sockets", n), ("messages_today", n),
                        ("bytes_today", 5 * n)):
        name = f"polysocket_token_{name}"
        found = figures(relay.http, "s10")
        assert found.sum(name) == total
        assert len([key for key in found.samples if key[0] == name]) == 501
        assert found.value(name, id="", token="others") > 0


def test_refusals_are_counted(http, admin, stack, target, new_token):
    relay = Polysocket(http)
    start = figures(http, admin)
    # What has no tag of a living bridge a worker refuses alone.
    for socket_id in ("none.0", f"{stack.bridge_tag()}.0"):
        assert http.get("/polysocket/xhr", socket=socket_id).status == 403
    assert relay.try_create(target.url("quiet"),
                            token=new_token(targets=())).status == 403
    assert relay.try_create(target.url("quiet"),
                            token=new_token(max_sockets=0)).status == 429
    found = figures(http, admin)
    for code in ("socket_unknown", "target_refused", "connection_limit"):
        assert found.value("polysocket_refusals_total", code=code) == (
            start.value("polysocket_refusals_total", code=code) + 1), code
    for kind, n in (("refuse", 1), ("create", 1), ("receive", 1)):
        assert found.value("polysocket_requests_total", type=kind) == (
            start.value("polysocket_requests_total", type=kind) + n), kind


@pytest.mark.options(node="abcd")
def test_figures_tell_who_they_are_of(http, admin, stack):
    found = figures(http, admin)
    tag = re.search(r"is ready \(tag (\w+)\)", stack.log("wsbridge")).group(1)
    (labels,) = [dict(labels) for name, labels in found.samples
                 if name == "polysocket_info"]
    assert (labels["node"], labels["tag"]) == ("abcd", tag)
    started = found.value("polysocket_start_time_seconds")
    assert 0 <= time.time() - started < 3600


def test_a_new_bridge_counts_anew(new_stack, target):
    """But knows what a token has used of its day."""
    stack = new_stack()
    http, token = Http(stack.port), new_admin(stack)
    session = Polysocket(http).create(target.url("quiet"))
    session.send("hello")
    stack.wait_until(lambda: stack.database.value(
        "SELECT coalesce(sum(messages_up), 0) FROM token_usage") == 1,
        "usage that was written")
    stack.stop_bridge(signal.SIGKILL)
    stack.start_bridge()
    found = figures(http, token)
    assert found.value("polysocket_sessions_total") == 0
    assert found.sum("polysocket_messages_total") == 0
    assert open_sessions(found) == 0
    assert found.sum("polysocket_token_sockets") == 0
    assert found.sum("polysocket_token_messages_today",
                     token="anonymous") == 1


# The reader of this format, which would not be worth much if it took all.

GOOD = ('# HELP a_total Help with \\\\ and \\n.\n# TYPE a_total counter\n'
        'a_total{x="1",y="\\"\\\\\\n"} 1\na_total{x="2",y=""} 2.5e3\n'
        '# HELP b Help.\n# TYPE b gauge\nb -1\n')


def test_reader_takes_what_is_good():
    found = prometheus.parse(GOOD)
    assert found.value("a_total", x="1", y='"\\\n') == 1
    assert found.value("a_total", x="2", y="") == 2500
    assert found.value("b") == -1
    assert found.sum("a_total") == 2501


@pytest.mark.parametrize("old, new", [
    ("b -1\n", "b -1"),                             # no end
    ("b -1\n", "\nb -1\n"),                         # an empty line
    ("# HELP b Help.\n", ""),                       # no help
    ("# TYPE b gauge\n", ""),                       # no type
    ("# TYPE b gauge", "# TYPE b"),
    ("# TYPE b gauge", "# TYPE b guage"),
    ("# TYPE b gauge", "# TYPE b gauge\n# TYPE b gauge"),
    ("# HELP b Help.", "# HELP b "),
    ("# HELP b Help.", "# HELP b \\x"),
    ("b -1", "b -1\nb -1"),                         # twice
    ("b -1", "c -1"),                               # another's
    ("b -1", "b"), ("b -1", "b x"), ("b -1", "b  1"), ("b -1", "b 1 "),
    ("b -1", "b{} {} 1"), ("b -1", 'b{x="1"}1'),
    ('x="1"', 'x="1",x="2"'), ('x="1"', "x='1'"), ('x="1"', 'x="\\q"'),
    ('x="1"', '__x="1"'), ('x="1"', '1x="1"'), ('x="1",', 'x="1"'),
    ('x="2",y=""', 'x="1",y="\\"\\\\\\n"'),         # the same labels
    ("a_total counter", "a_total gauge"), ("b gauge", "b counter"),
    ("2.5e3", "-1"),                                # of a counter
    ("b -1\n", 'b -1\na_total{x="3",y=""} 1\n'),    # in two parts
])
def test_reader_refuses_what_is_not(old, new):
    assert old in GOOD
    with pytest.raises(prometheus.FormatError):
        prometheus.parse(GOOD.replace(old, new, 1))
