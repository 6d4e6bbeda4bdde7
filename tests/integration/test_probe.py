"""The probe: whether something in between holds a stream up."""

import time

import pytest

from client import Http
from service import CHUNK, NO_STORE, PROBE, figures, is_refused
from stack import SOURCE


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
