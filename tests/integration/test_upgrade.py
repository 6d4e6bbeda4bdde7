"""WebSocket upgrades go to the bridge's own listener, all else to FastCGI."""

import pytest

from client import Http

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket",
           "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


@pytest.mark.parametrize("prefix", ["", "/below/a-prefix"],
                         ids=["root", "prefix"])
def test_upgrade_is_answered_without_any_worker(new_stack, prefix):
    stack = new_stack(prefix=prefix)
    stack.stop_workers()
    http = Http(stack.port, prefix)
    for path in ("/room/listen", "/polysocket/xhr", "/a%2Fb/listen?x=%C3%A9"):
        for upgrade in ("websocket", "WebSocket"):
            response = http.get(path, {**UPGRADE, "Upgrade": upgrade})
            # There is no service yet that takes one.
            assert (response.status, response.code) == (404, "not_found")
            assert response.header("X-Content-Type-Options") == "nosniff"
        assert http.get(path).status in (500, 502, 503)


def test_other_upgrades_are_requests_like_any(http):
    for upgrade in ("h2c", "websockets", "TLS/1.0"):
        response = http.get("/polysocket/xhr", {
            "Connection": "Upgrade", "Upgrade": upgrade}, socket="none.0")
        assert (response.status, response.code) == (403, "socket_unknown")
