"""Clients that others wrote listen to a channel as they are."""

import json
import shutil
import subprocess

import pytest

from client import TIMEOUT_S
from h2stream import Http2Stream
from rawsocket import TEXT, RawSocket

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


def test_a_websocket_over_http2(channel, stack):
    stream = Http2Stream(("127.0.0.1", stack.port))
    with RawSocket(stream) as raw:
        assert stream.offered is (stack.server == "lighttpd")
        if not stream.offered:
            return      # a browser makes a connection of HTTP/1.1 then
        stream.connect(channel.path("listen"))
        assert raw.next_message()["type"] == "CONNECTED"
        raw.say(TEXT, b'{"type":"EMIT","payload":"by HTTP/2"}')
        assert raw.find("DATA")["payload"] == "by HTTP/2"
        assert len(channel.members()) == 1
    stack.wait_until(lambda: not channel.members(), "its leaving")
