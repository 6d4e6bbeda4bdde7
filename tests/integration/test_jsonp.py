"""JSONP: the callback's form, the escaping, errors a script tag can see."""

import json

import pytest

from client import Polysocket

JAVASCRIPT = ("application/javascript; charset=utf-8",
              "text/javascript; charset=utf-8")     # lighttpd's name for it


@pytest.fixture
def session(http, target):
    return Polysocket(http).create(target.url("quiet"))


@pytest.mark.parametrize("callback", [
    "cb", "$", "_", "A.b.c", "jQuery123_456", "a" * 128, "$.fn.x", "a..b"])
def test_callback_is_called(http, session, target, callback):
    target.connection().send("hello")
    response = http.get("/j/" + session.id, cb=callback)
    assert response.status == 200
    assert response.header("Content-Type") in JAVASCRIPT
    assert response.jsonp(callback)["messages"][0]["data"] == "hello"


@pytest.mark.parametrize("callback", [
    "", "1a", ".a", "a b", "a(b)", "a-b", "a;b", "alert(1)//", "é",
    "a[0]", "a" * 129, "<script>", "a\n", "\u2028"])
def test_bad_callback_is_refused_in_plain_json(http, session, callback):
    for path, name in (("/j/" + session.id, "cb"),
                       ("/j/" + session.id, "callback"),
                       ("/create", "cb"), ("/s/" + session.id, "cb")):
        response = http.get(path, **{name: callback})
        assert response.status == 400
        assert response.header("Content-Type") == (
            "application/json; charset=utf-8")
        assert response.code in ("callback_invalid",
                                 *(["missing_parameter"] if not callback
                                   else []))


def test_what_could_end_a_script_is_escaped(http, session, target):
    text = "\u2028 \u2029 </script> <!-- -->"
    target.connection().send(text)
    response = http.get("/j/" + session.id, cb="cb")
    for forbidden in ("\u2028", "\u2029", "</"):
        assert forbidden not in response.text
    assert response.jsonp("cb")["messages"][0]["data"] == text


def test_error_is_wrapped_with_its_status(http):
    response = http.get("/j/none.AAAAAAAAAAAAAAAAAAAAAA", cb="cb")
    assert response.status == 403
    assert response.header("Content-Type") in JAVASCRIPT
    answer = response.jsonp("cb")
    assert (answer["ok"], answer["code"]) == (False, "socket_unknown")
    assert "status" not in answer


@pytest.mark.parametrize("path, params, status, code", [
    ("/j/none.AAAAAAAAAAAAAAAAAAAAAA", {}, 403, "socket_unknown"),
    ("/polysocket/jsonp", {}, 400, "missing_parameter"),
    ("/s/none.AAAAAAAAAAAAAAAAAAAAAA", {"d": "x", "t": "t"}, 403,
     "socket_unknown"),
    ("/s/none.AAAAAAAAAAAAAAAAAAAAAA", {"d": "x", "t": "?"}, 400,
     "unknown_type"),
    ("/c/none.AAAAAAAAAAAAAAAAAAAAAA", {"code": 5}, 400, None)])
def test_status_200_makes_errors_visible_to_a_script(http, path, params,
                                                     status, code):
    response = http.get(path, cb="cb", **params)
    assert response.status == status
    response = http.get(path, cb="cb", status=200, **params)
    assert response.status == 200
    answer = response.jsonp("cb")
    assert (answer["ok"], answer["status"]) == (False, status)
    assert code is None or answer["code"] == code


def test_status_200_changes_no_success(http, session, target):
    response = http.get("/s/" + session.id, cb="cb", status=200, d="x", t="t")
    assert response.status in (200, 201)
    assert response.jsonp("cb")["ok"] is True
    target.connection().send("hello")
    response = http.get("/j/" + session.id, cb="cb", status=200)
    assert "status" not in response.jsonp("cb")


def test_polysocket_errors_are_wrapped_too(http):
    response = http.get("/polysocket/jsonp", socket="none.0", callback="cb")
    assert response.status == 403
    assert response.jsonp("cb")["ok"] is False


def test_jsonp_is_one_line(http, session, target):
    target.connection().send("a\nb")
    response = http.get("/j/" + session.id, cb="cb")
    assert "\n" not in response.text.rstrip("\n")
    assert json.loads(response.text[7:].rstrip().removesuffix(");"))
