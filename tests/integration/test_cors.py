"""Cross-origin answers and preflight."""

import pytest

from client import Polysocket

pytestmark = pytest.mark.options(hold_min="100ms")

ORIGIN = "https://page.example:8443"


@pytest.fixture
def session(http, target):
    return Polysocket(http).create(target.url("quiet"))


def every_answer(http, session, headers):
    """One of each kind: from the bridge, from the worker, good and bad."""
    yield http.get("/p/" + session.id, headers, ttl=1)
    yield http.post("/s/" + session.id, {"d": "x", "t": "t"}, headers)
    yield http.post("/s/" + session.id, {"d": "x", "t": "?"}, headers)
    yield http.get("/p/none.AAAAAAAAAAAAAAAAAAAAAA", headers)
    yield http.get("/j/" + session.id, headers, cb="cb", ttl=1)
    yield http.post("/polysocket/create", {"target": "x"}, headers)
    yield http.get("/create", headers, target="x", **{"from": "tests"})
    yield http.get("/nothing", headers)
    yield http.request("PUT", "/create", headers=headers)
    yield http.post("/c/" + session.id, {"code": 1000}, headers)


def test_origin_is_allowed_by_name(http, session):
    for response in every_answer(http, session, {"Origin": ORIGIN}):
        assert response.header("Access-Control-Allow-Origin") == ORIGIN
        assert "Origin" in response.header("Vary")
        assert response.header("Access-Control-Allow-Credentials") is None


@pytest.mark.parametrize("kind", ["stream", "events"])
def test_streams_allow_the_origin(session, kind):
    with session.begin(kind, headers={"Origin": ORIGIN}) as exchange:
        assert exchange.header("Access-Control-Allow-Origin") == ORIGIN
        assert "Origin" in exchange.header("Vary")


@pytest.mark.parametrize("origin", ["null", "file://", "nonsense"])
def test_origin_that_cannot_be_named_is_null(http, session, origin):
    response = http.get("/p/" + session.id, {"Origin": origin}, ttl=1)
    assert response.header("Access-Control-Allow-Origin") == "null"


@pytest.mark.parametrize("referer, origin", [
    ("https://page.example:8443/a?b", "https://page.example:8443"),
    ("http://page.example", "http://page.example"),
    ("http://page.example/", "http://page.example")])
def test_origin_is_taken_from_the_referer(http, session, referer, origin):
    for response in every_answer(http, session, {"Referer": referer}):
        assert response.header("Access-Control-Allow-Origin") == origin


def test_origin_header_is_preferred_to_the_referer(http, session):
    response = http.get("/p/" + session.id, {
        "Origin": ORIGIN, "Referer": "https://other.example/"}, ttl=1)
    assert response.header("Access-Control-Allow-Origin") == ORIGIN


def test_without_an_origin_all_are_allowed(http, session):
    for response in every_answer(http, session, {}):
        assert response.header("Access-Control-Allow-Origin") == "*"
        assert response.header("Access-Control-Allow-Credentials") is None


def test_bad_referer_is_no_origin(http, session):
    for referer in ("about:blank", "/path", "x"):
        response = http.get("/p/" + session.id, {"Referer": referer}, ttl=1)
        assert response.header("Access-Control-Allow-Origin") == "*"


@pytest.mark.parametrize("path", [
    "/polysocket/create", "/polysocket/send", "/polysocket/xhr", "/create",
    "/s/any.0", "/p/any.0", "/c/any.0"])
def test_preflight_is_answered(http, path):
    response = http.request("OPTIONS", path, headers={
        "Origin": ORIGIN, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type"})
    assert (response.status, response.body) == (204, b"")
    assert response.header("Access-Control-Allow-Origin") == ORIGIN
    assert "Origin" in response.header("Vary")
    methods = response.header("Access-Control-Allow-Methods").split(", ")
    assert "POST" in methods and "PUT" not in methods
    assert response.header("Access-Control-Allow-Headers").lower() == (
        "content-type")
    assert response.header("Access-Control-Max-Age") == "7200"


def test_preflight_echoes_only_headers_of_the_list(http):
    response = http.request("OPTIONS", "/create", headers={
        "Origin": ORIGIN, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "Content-Type, X-Evil,"
                                          "authorization"})
    allowed = {name.strip().lower() for name in response.header(
        "Access-Control-Allow-Headers").split(",")}
    assert allowed == {"content-type", "authorization"}


def test_preflight_without_request_headers_allows_none(http):
    response = http.request("OPTIONS", "/create", headers={
        "Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
    assert response.status == 204
    assert response.header("Access-Control-Allow-Headers") is None


def test_options_on_an_unknown_path_is_not_found(http):
    assert http.request("OPTIONS", "/nothing").status == 404
