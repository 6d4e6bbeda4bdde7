"""Names of targets: resolved on the side, tried one address after another."""

import os
import subprocess
import time

import pytest

from client import Http, Polysocket
from resolver import SILENCE, Resolver
from target import Target

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"],
                                        check=False).returncode != 0,
    reason="a name server of our own needs root")

NAMES = {
    "chat.example.test": ["127.0.0.1"],
    "two.example.test": ["127.0.0.9", "127.0.0.1"],
    "silent.example.test": SILENCE,
}


@pytest.fixture
def server():
    return "lighttpd"


@pytest.fixture
def resolver(tmp_path):
    with Resolver(NAMES, tmp_path) as resolver:
        yield resolver


@pytest.fixture
def relay(new_stack, resolver, authority):
    stack = new_stack(
        start=False, targets=["*://*.example.test:*", "ws://127.0.0.1:*"],
        options={"connect_timeout": "3s", "ca_file": authority.path})
    stack.bridge_wrapper = resolver.wrapper
    stack.start()
    return Polysocket(Http(stack.port))


def url_by_name(target, name):
    return target.url("echo").replace("127.0.0.1", name)


def test_name_is_resolved_and_stays_the_host(relay, target, resolver):
    relay.create(url_by_name(target, "chat.example.test"))
    assert target.connection().header("Host") == (
        f"chat.example.test:{target.port}")
    assert "chat.example.test" in resolver.asked


def test_name_that_is_not_there_is_dns_failure(relay):
    response = relay.try_create("ws://nobody.example.test/")
    assert (response.status, response.code) == (200, "dns_failure")


def test_every_address_of_a_name_is_tried(relay, target):
    assert relay.create(url_by_name(target, "two.example.test")).id


def test_slow_name_holds_up_nobody(relay, target, resolver):
    session = relay.create(target.url("echo"))
    with relay.http.begin("POST", "/polysocket/create", body={
            "target": "ws://silent.example.test/"}) as pending:
        while not resolver.asked:
            time.sleep(0.01)
        begun = time.monotonic()
        for i in range(20):
            session.send(str(i))
            assert session.receive() == [str(i)]
        assert time.monotonic() - begun < 2
        assert relay.create(target.url("echo")).id
        # It has the time of a connection, not that of the resolver.
        response = pending.response()
        assert time.monotonic() - begun < 4.5
    assert response.status == 200
    assert response.code in ("dns_failure", "connect_timeout")


def test_slow_name_does_not_hold_up_the_end(relay, new_stack, resolver):
    stack = new_stack.made[0]
    with relay.http.begin("POST", "/polysocket/create", body={
            "target": "ws://silent.example.test/"}):
        while not resolver.asked:
            time.sleep(0.01)
        begun = time.monotonic()
        stack.stop_bridge()
        assert time.monotonic() - begun < 3, "drain_timeout is 1 s here"


def test_sni_and_certificate_go_by_the_name(relay, authority):
    with Target(tls=authority.context("DNS:*.example.test"),
                name="chat.example.test") as target:
        session = relay.create(target.url("echo"))
        session.send("hello")
        assert session.receive() == ["hello"]
        assert target.connection().sni == "chat.example.test"


def test_name_with_a_final_dot_is_the_same_name(relay, authority):
    with Target(tls=authority.context("DNS:*.example.test"),
                name="chat.example.test.") as target:
        relay.create(target.url("echo"))
        assert target.connection().sni == "chat.example.test"
