"""Routes of the service itself: what they have in common, and health."""

import os
import signal

import pytest

from client import Http, Polysocket
from service import (
    CHUNK, LIMITS, METRICS, NO_STORE, PROBE, STATS, figures, is_refused,
    new_admin)

HEALTH = ("/polysocket/health/live", "/polysocket/health/ready")
ROUTES = (*HEALTH, LIMITS, PROBE, METRICS, STATS)
WITH_JSONP = (*HEALTH, LIMITS, STATS)


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
