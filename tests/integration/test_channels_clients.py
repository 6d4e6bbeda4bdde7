"""Clients that others wrote listen to a channel as they are."""

import json
import shutil
import struct
import subprocess

import pytest

from client import TIMEOUT_S
from rawsocket import TEXT, RawSocket, client_frame

NODE = r"""
const WebSocket = require("ws");
const socket = new WebSocket(process.argv[1], { origin: process.argv[2] });
const say = frame => socket.send(JSON.stringify(frame));
socket.on("message", (data, isBinary) => {
  if (isBinary) throw new Error("a binary message");
  const frame = JSON.parse(data);
  console.log(data.toString());
  if (frame.type === "CONNECTED") say({ type: "PRESENCE",
    payload: { name: "node" } });
  if (frame.requires_ack) say({ type: "ACK",
    payload: { eventID: frame.eventID } });
  if (frame.type === "DATA" && frame.payload === "bye") socket.close(4002);
});
socket.on("close", (code, reason) => console.log(JSON.stringify({
  type: "closed", code, reason: reason.toString() })));
"""


def node_has(module):
    return shutil.which("node") and subprocess.run(
        ["node", "-e", f"require('{module}')"], capture_output=True,
        check=False).returncode == 0


@pytest.fixture
def listen_url(stack, channel):
    return f"ws://127.0.0.1:{stack.port}{channel.path('listen')}"


@pytest.fixture
def program():
    started = []

    def start(command):
        started.append(subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.mark.skipif(not node_has("ws"), reason="no ws for Node.js")
def test_ws_of_node(channel, listen_url, program):
    with channel.join() as witness:
        node = program(["node", "-e", NODE, listen_url,
                        "https://page.example.com"])
        lines = (json.loads(line) for line in node.stdout)
        connected = next(lines)
        assert connected["payload"]["members"][0]["clientID"] == witness.id
        client = connected["clientID"]
        assert witness.next("PRESENCE:JOINED").payload["clientID"] == client
        assert witness.next("PRESENCE:UPDATED").payload == {
            "clientID": client, "presence": {"name": "node"}}
        answer = channel.emit("acked", require_ack="true", clients=client)
        assert answer["acked"] == [client]
        channel.emit("bye")
        kinds = []
        for frame in lines:
            kinds.append(frame["type"])
        assert kinds == ["PRESENCE:UPDATED", "DATA", "ACK-RECEIVED", "DATA",
                         "closed"]
        assert (frame["code"], node.wait(TIMEOUT_S)) == (4002, 0)
        assert witness.find("PRESENCE:LEFT").payload == {"clientID": client}


def test_curl_listens_by_eventsource(channel, stack, program):
    curl = program(["curl", "-s", "-N", "-H", "Accept: text/event-stream",
                    stack.url + channel.path("listen")])
    lines = (json.loads(line[6:]) for line in curl.stdout
             if line.startswith("data: "))
    assert next(lines)["type"] == "CONNECTED"
    channel.emit({"hello": "curl"})
    assert next(lines)["payload"] == {"hello": "curl"}


def test_curl_emits(channel, stack):
    with channel.join() as member:
        url = stack.url + channel.path("emit")
        for command, payload in (
                (["--json", '{"hello": "world"}', url], {"hello": "world"}),
                (["-d", "hello=world", url], {"hello": "world"}),
                ([url + "?hello=world&n=1"], {"hello": "world", "n": "1"})):
            done = subprocess.run(["curl", "-s", *command],
                                  capture_output=True, check=True)
            assert json.loads(done.stdout)["delivered"] == 1
            assert member.data() == [payload]


# A browser that speaks HTTP/2 to the web server asks for a WebSocket within
# that connection (RFC 8441), where the server says that it may.

H2_DATA, H2_HEADERS, H2_SETTINGS = 0, 1, 4
H2_END_HEADERS, H2_ACK = 4, 1
H2_CONNECT_PROTOCOL = struct.pack("!HI", 8, 1)


def h2_frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack(
        "!BBI", kind, flags, stream) + payload


def h2_field(name, value):
    """Literal, never indexed, not Huffman coded; shorter than 127 bytes."""
    assert len(name) < 127 and len(value) < 127
    return (b"\x10" + bytes([len(name)]) + name.encode()
            + bytes([len(value)]) + value.encode())


def h2_take(raw, kind):
    """The payload of the next frame of a kind that is no acknowledgement."""
    while True:
        head = raw.read(9)
        payload = raw.read(int.from_bytes(head[:3], "big"))
        if head[3] == kind and not (kind == H2_SETTINGS and head[4]):
            return payload


def h2_find(raw, text):
    data = b""
    while text not in data:
        data += h2_take(raw, H2_DATA)


def test_a_websocket_over_http2(channel, stack):
    with RawSocket(("127.0.0.1", stack.port)) as raw:
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(H2_SETTINGS))
        offered = H2_CONNECT_PROTOCOL in h2_take(raw, H2_SETTINGS)
        assert offered is (stack.server == "lighttpd")
        if not offered:
            return      # a browser makes a connection of HTTP/1.1 then
        raw.send(h2_frame(H2_SETTINGS, H2_ACK) + h2_frame(
            H2_HEADERS, H2_END_HEADERS, 1, b"".join(
                h2_field(name, value) for name, value in (
                    (":method", "CONNECT"), (":protocol", "websocket"),
                    (":scheme", "http"), (":authority", "localhost"),
                    (":path", channel.path("listen")),
                    ("sec-websocket-version", "13")))))
        assert h2_take(raw, H2_HEADERS)[:1] == b"\x88"      # :status 200
        h2_find(raw, b'"type":"CONNECTED"')
        said = b'{"type":"EMIT","payload":"by HTTP/2"}'
        raw.send(h2_frame(H2_DATA, 0, 1, client_frame(TEXT, said)))
        h2_find(raw, b'"payload":"by HTTP/2"')
        assert len(channel.members()) == 1
    stack.wait_until(lambda: not channel.members(), "its leaving")
