"""The routes of the service itself, for tests of them."""

import os
import re

import prometheus

LIMITS = "/polysocket/limits"
PROBE = "/polysocket/probe"
METRICS = "/polysocket/metrics"
STATS = "/polysocket/stats"
NO_STORE = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
# A line of the probe.
CHUNK = re.compile(r"chunk (\d+) of 10, (\d+) ms, "
                   r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z")


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


def new_admin(stack):
    secret = os.urandom(8).hex()
    stack.add_token(secret, admin=1)
    stack.wait_policy()
    return secret
