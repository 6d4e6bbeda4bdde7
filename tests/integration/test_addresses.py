"""The address policy: what is not open to everybody is not connected to.

The names are answered by a name server of our own, the targets listen on
loopback, and what is refused is refused before any connect: nothing here
leaves the machine.
"""

import itertools
import os
import signal
import subprocess

import pytest

from client import DIALECTS, Http, Polysocket
from conftest import DEFAULTS
from resolver import Resolver
from stack import SERVERS, Stack
from target import Target

ANY = ["*://*:*"]
DNS_FAILURE, REFUSED = "dns_failure", "address_refused"

# As hosts of a URL. One address of loopback is allowed, see stack().
REFUSED_HOSTS = [
    # loopback and what the kernel takes for it
    "127.0.0.2", "127.255.255.254", "[::1]", "0.0.0.0", "[::]",
    # private
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255",
    "192.168.0.1", "192.168.255.255",
    # carrier-grade NAT, link-local, unique-local, site-local
    "100.64.0.1", "100.127.255.255", "169.254.169.254", "[fe80::1]",
    "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]",
    # multicast, broadcast, reserved, this network, protocols, discard
    "224.0.0.1", "239.255.255.255", "[ff02::1]", "255.255.255.255",
    "240.0.0.1", "0.1.2.3", "192.0.0.1", "[100::1]",
    # documentation, benchmarks
    "192.0.2.1", "198.51.100.1", "203.0.113.1", "[2001:db8::1]", "[3fff::1]",
    "198.18.0.1", "[2001:2::1]",
    # IPv4 within IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo
    "[::ffff:127.0.0.2]", "[::ffff:7f00:2]", "[::ffff:10.0.0.1]",
    "[::127.0.0.2]", "[::10.0.0.1]", "[::ffff:0:10.0.0.1]",
    "[64:ff9b::10.0.0.1]", "[64:ff9b::7f00:2]", "[64:ff9b:1::808:808]",
    "[2002:a00:1::1]", "[2002:7f00:2::]", "[2001:0:a00:1::1]",
    # The one that is allowed is not allowed in these forms.
    "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::1]",
    # other spellings of 127.0.0.2, 10.0.0.1 and 169.254.169.254
    "2130706434", "0x7f000002", "017700000002", "0177.0.0.2", "0x7f.2",
    "127.2", "127.0.2", "127.0.0.2.", "2130706434.", "0x7F.0X0.00.2",
    "167772161", "10.1", "012.0.0.1", "0xa9fea9fe", "2852039166",
    "\uff11\uff10.0.0.1", "127\u30020\u30020\u30022",
]
ALLOWED_HOSTS = [
    "127.0.0.1", "2130706433", "0x7f000001", "017700000001", "0177.0.0.1",
    "0x7f.1", "127.1", "127.0.0.1.", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "localhost",
]

# What names lead to, and the code of the create; None: it is connected to.
REFUSED_NAMES = {
    "private": ["10.0.0.1", "172.16.0.1", "192.168.0.1"],
    "loopback": ["127.0.0.2", "::1"],
    "link-local": ["169.254.169.254", "fe80::1"],
    "cgnat": ["100.64.0.1"],
    "unique-local": ["fd00::1"],
    "multicast": ["224.0.0.1", "ff02::1"],
    "unspecified": ["0.0.0.0", "::"],
    "mapped": ["::ffff:127.0.0.2", "::ffff:10.0.0.1"],
    "compatible": ["::127.0.0.1"],
    "translated": ["::ffff:0:127.0.0.1"],
    "6to4": ["2002:7f00:1::1"],
    "nat64": ["64:ff9b::127.0.0.1", "64:ff9b:1::127.0.0.1"],
    "teredo": ["2001:0:7f00:1::1"],
    "documentation": ["192.0.2.1", "2001:db8::1"],
    "many": [f"10.0.0.{i}" for i in range(1, 21)],
}
ALLOWED_NAMES = {
    "plain": ["127.0.0.1"],
    "mapped-loopback": ["::ffff:127.0.0.1"],
    "mixed": ["10.0.0.1", "127.0.0.2", "127.0.0.1", "::1", "fe80::1"],
    # More than are tried: what is refused takes no place from the others.
    "after-many": [*(f"10.0.0.{i}" for i in range(1, 21)), "127.0.0.1"],
}

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"],
                                        check=False).returncode != 0,
    reason="a name server of our own needs root")


@pytest.fixture(params=SERVERS, scope="module")
def server(request):
    return request.param


@pytest.fixture(scope="module")
def resolver(tmp_path_factory):
    names = {f"{name}.example.test": addresses for name, addresses in
             {**REFUSED_NAMES, **ALLOWED_NAMES}.items()}
    with Resolver(names, tmp_path_factory.mktemp("names")) as resolver:
        yield resolver


@pytest.fixture(scope="module")
def stack(server, resolver, authority):
    stack = Stack(server, targets=ANY, options={
        **DEFAULTS, "allow_networks": "127.0.0.1", "ca_file": authority.path})
    stack.bridge_wrapper = resolver.wrapper
    with stack:
        yield stack
    assert not stack.complaints()


@pytest.fixture
def relay(stack, dialect):
    return DIALECTS[dialect](Http(stack.port))


def codes(relay, hosts, target):
    """What becomes of a create for each host, at the target's port."""
    return {host: relay.try_create(f"ws://{host}:{target.port}/echo").code
            for host in hosts}


def test_hosts_that_are_not_public_are_refused(relay, target):
    assert codes(relay, REFUSED_HOSTS, target) == dict.fromkeys(
        REFUSED_HOSTS, REFUSED)
    assert target.accepted == 0


def test_host_that_is_allowed_is_so_in_every_spelling(relay, target):
    assert codes(relay, ALLOWED_HOSTS, target) == dict.fromkeys(ALLOWED_HOSTS)
    assert target.accepted == len(ALLOWED_HOSTS)


def test_names_of_addresses_that_are_not_public_are_refused(relay, target):
    hosts = [f"{name}.example.test" for name in REFUSED_NAMES]
    assert codes(relay, hosts, target) == dict.fromkeys(hosts, REFUSED)
    assert target.accepted == 0


def test_address_that_is_allowed_is_taken_from_among_others(relay, target):
    hosts = [f"{name}.example.test" for name in ALLOWED_NAMES]
    assert codes(relay, hosts, target) == dict.fromkeys(hosts)
    assert target.accepted == len(hosts)
    assert [target.connection(i).header("Host") for i in range(len(hosts))
            ] == [f"{host}:{target.port}" for host in hosts]


def test_name_without_an_address_is_another_failure(relay):
    response = relay.try_create("ws://nobody.example.test/")
    assert response.json == {
        "ok": False, "code": DNS_FAILURE,
        "error": "the target's name cannot be resolved"}


def test_refusal_is_an_answer_like_any_other(relay):
    response = relay.try_create("ws://private.example.test/")
    assert response.status == 200
    assert response.json == {
        "ok": False, "code": REFUSED,
        "error": "the target's address may not be reached"}


def test_tls_goes_by_the_name(relay, authority):
    with Target(tls=authority.context("DNS:mixed.example.test"),
                name="mixed.example.test") as target:
        session = relay.create(target.url("echo"))
        session.send("hello")
        assert session.receive() == ["hello"]
        assert target.connection().sni == "mixed.example.test"
        assert target.connection().header("Host") == (
            f"mixed.example.test:{target.port}")


def test_name_is_not_asked_again_for_the_connection(relay, resolver, target):
    """The answer is good once; whoever asked again would get another."""
    resolver.names["rebind.example.test"] = itertools.chain(
        [["127.0.0.1"]], itertools.repeat(["127.0.0.2"]))
    with Target("127.0.0.2", target.port) as inside:
        url = f"ws://rebind.example.test:{target.port}/echo"
        session = relay.create(url)
        session.send("hello")
        assert session.receive() == ["hello"]
        assert relay.try_create(url).code == REFUSED
        assert (target.accepted, inside.accepted) == (1, 0)


def test_name_is_not_asked_again_when_its_first_address_fails(
        relay, resolver, target):
    """127.0.0.1 refuses the port; the next answer would be the target."""
    resolver.names["retry.example.test"] = itertools.chain(
        [["127.0.0.1", "10.0.0.1"]], itertools.repeat(["127.0.0.2"]))
    with Target("127.0.0.2") as inside:
        response = relay.try_create(
            f"ws://retry.example.test:{inside.port}/echo")
        assert response.code == "connect_refused"
        assert inside.accepted == 0


def test_redirect_to_an_address_is_not_followed(relay, target):
    with Target("127.0.0.2") as inside:
        response = relay.try_create(target.url(
            "refuse", "302", "", inside.url("echo")))
        assert response.code == "handshake_rejected"
        assert inside.accepted == 0


def test_rights_are_looked_at_first(stack, relay, new_token, target):
    token = new_token(stack, targets=["wss://*:*"])
    response = relay.try_create("ws://10.0.0.1/", token=token)
    assert response.code == "target_refused"


def test_nothing_local_is_reached_as_shipped(new_stack, target, dialect):
    stack = new_stack(targets=ANY, options={"allow_networks": None})
    hosts = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0"]
    assert codes(DIALECTS[dialect](Http(stack.port)), hosts,
                 target) == dict.fromkeys(hosts, REFUSED)
    assert target.accepted == 0


def test_network_is_allowed_and_taken_back_by_a_reload(new_stack, target):
    stack = new_stack(targets=ANY, options={"allow_networks": "127.0.0.2"})
    relay = Polysocket(Http(stack.port))
    url = target.url("echo")

    def reload(networks):
        stack.write_config(allow_networks=networks)
        stack.bridge.send_signal(signal.SIGHUP)

    assert relay.try_create(url).code == REFUSED
    reload("10.0.0.0/8, 127.0.0.0/8")
    stack.wait_until(lambda: relay.try_create(url).code is None, "the network")
    session = relay.create(url)
    # One that is no network leaves the old ones.
    reload("127.0.0.1/8")
    stack.wait_until(lambda: "allow_networks" in stack.log("wsbridge"),
                     "the reason in the log")
    assert relay.try_create(url).code is None
    reload(None)
    stack.wait_until(lambda: relay.try_create(url).code == REFUSED,
                     "the refusal")
    # What is connected stays so.
    session.send("hello")
    assert session.receive() == ["hello"]
