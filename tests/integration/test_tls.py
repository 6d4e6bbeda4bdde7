"""wss:// targets: who is trusted, what name is asked for."""

import subprocess

import pytest

from certificates import Authority
from client import Http, Polysocket
from target import Target


@pytest.fixture
def relay(new_stack, authority):
    """A relay that trusts the tests' own authority."""
    stack = new_stack(options={"ca_file": authority.path})
    return Polysocket(Http(stack.port))


def test_certificates_are_verified(relay, authority, tmp_path):
    """One stack for all cases: right, wrong name, expired, unknown CA."""
    stranger = Authority(str(tmp_path), "stranger")
    right = authority.context()
    for name in ("localhost", "127.0.0.1"):
        with Target(tls=right, name=name) as target:
            session = relay.create(target.url("echo", deflate="yes"))
            session.send("secret", b"\x00" * 70000)
            assert session.receive(2) == ["secret", b"\x00" * 70000]
            if name == "localhost":
                assert target.connection().sni == name
            assert target.connection().header("Host") == (
                f"{name}:{target.port}")
            session.close(code=3001, reason="bye")
            assert target.connection().wait_closed() == (3001, "bye")
    for context in (authority.context("DNS:elsewhere.example"),
                    authority.context(days=-1),
                    stranger.context()):
        with Target(tls=context, name="localhost") as target:
            response = relay.try_create(target.url("echo"))
            assert (response.status, response.code) == (200, "tls_error")
            assert response.json["error"]
            assert target.connections == [], "no request was sent"
    # The address is not a name of the certificate.
    with Target(tls=authority.context("DNS:localhost")) as target:
        assert relay.try_create(target.url("echo")).code == "tls_error"
    # And a target that speaks no TLS at all.
    with Target() as target:
        url = target.url("echo").replace("ws://", "wss://")
        assert relay.try_create(url).code == "tls_error"


def test_system_store_is_trusted_by_default(http, authority):
    """It does not know the tests' authority."""
    with Target(tls=authority.context(), name="localhost") as target:
        response = Polysocket(http).try_create(target.url("echo"))
        assert (response.status, response.code) == (200, "tls_error")


def test_ca_file_that_is_missing_is_an_error(new_stack, tmp_path):
    stack = new_stack(start=False)
    stack.make_database()
    stack.write_config(ca_file=tmp_path / "missing.pem")
    done = subprocess.run([stack.wsbridge, "--config", stack.conf_path,
                           "--check"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "missing.pem" in done.stderr
