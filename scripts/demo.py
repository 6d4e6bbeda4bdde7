#!/usr/bin/python3
"""The demo's second half: started by scripts/demo, which has built all.

Starts a WebSocket echo server, the bridge, the workers and a web server on
loopback, relays a conversation and prints it, then serves.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests" / "lib"))

from stack import SERVERS, Stack, StackError    # noqa: E402

TEXT = "hello, is this thing on?"
BINARY = bytes(range(8))
STREAMED = "this one comes by a stream"
TIMEOUT_S = 20


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="demo", description="Relays a conversation through real servers "
        "on loopback, prints it, and serves until it is interrupted.")
    parser.add_argument("--server", choices=SERVERS, default="lighttpd")
    parser.add_argument("--port", type=int, help="default: a free one")
    parser.add_argument("--once", action="store_true",
                        help="stop after the conversation; the exit status "
                        "tells whether it went well")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append",
                        default=[], type=key_and_value, dest="options",
                        help="configuration, repeatable")
    parser.add_argument("--quiet", action="store_true",
                        help="print errors only")
    parser.add_argument("--run", metavar="COMMAND", default=None,
                        nargs=argparse.REMAINDER, help="in place of the "
                        "conversation: run this command (the rest of the "
                        "line) with POLYSOCKET_URL, _ECHO_WS, _TOKEN, _DB, "
                        "_CONF, _BRIDGE_PID, _WORKER_PIDS and _SERVER_PID in "
                        "its environment, and exit with its status")
    arguments = parser.parse_args()
    if arguments.run == []:
        parser.error("--run needs a command")
    return arguments


def key_and_value(text):
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key.strip(), value.strip()


def start_echo(stack):
    """Starts the echo server beside the stack; returns it and its URL."""
    echo = stack.run("ws-echo", [stack.build / "tests/tools/ws-echo"])

    def port():
        return re.search(r"\d+", stack.log("ws-echo"))

    stack.wait_until(port, "the echo server", echo)
    return echo, f"ws://127.0.0.1:{port().group()}/"


class Conversation:
    """Requests like those of a browser, each printed as a curl line."""

    def __init__(self, stack, say):
        self.stack = stack
        self.say = say

    def request(self, path, body=None):
        """Prints and sends; returns the connection and the response."""
        url = self.stack.url + path
        command = ["curl", "-s", "-N"]
        headers = {}
        if body is not None:
            body = json.dumps(body, separators=(",", ":"))
            command += ["--json", body]
            headers = {"Content-Type": "application/json"}
        self.say("\n$ " + shlex.join([*command, url]))
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.stack.port, timeout=TIMEOUT_S)
        connection.request("GET" if body is None else "POST",
                           self.stack.prefix + path, body, headers)
        return connection.getresponse()

    def ask(self, path, body=None, expect=200):
        response = self.request(path, body)
        text = response.read().decode("utf-8")
        self.say(f"{response.status} {response.reason}   {text.strip()}")
        check(response.status == expect, f"the status is not {expect}")
        return text

    def stream_line(self, response):
        line = response.readline().decode("utf-8").strip()
        self.say(line)
        return json.loads(line)["events"]

    def hold(self, target):
        """The whole conversation; raises StackError where it goes wrong."""
        self.say("# A session with the echo server")
        answer = json.loads(self.ask("/polysocket/create", {
            "target": target, "from": "demo"}))
        check(answer["ok"], "the session was refused")
        socket = answer["socket"]

        self.say("\n# A text and a binary message")
        self.ask("/polysocket/send", {"socket": socket, "events": [
            {"type": "string", "data": TEXT},
            {"type": "binary",
             "data": base64.b64encode(BINARY).decode("ascii")},
        ]}, expect=201)

        self.say("\n# They come back by JSONP")
        events = []
        while len(events) < 2:
            text = self.ask(f"/polysocket/jsonp?socket={socket}"
                            "&timeout=5000&callback=show")
            reply = re.fullmatch(r"/\*\*/show\((.*)\);", text.strip())
            check(reply, "that is not JSONP")
            events += json.loads(reply.group(1))["events"]
        check(events[0] == {"type": "string", "data": TEXT}
              and base64.b64decode(events[1]["data"]) == BINARY,
              "the messages are not those that were sent")

        self.say("\n# The same by XHR streaming")
        stream = self.request(f"/polysocket/xhr-streaming?socket={socket}")
        check(stream.status == 200, f"the stream's status: {stream.status}")
        stream.readline()       # the prelude: spaces only
        self.ask("/polysocket/send", {"socket": socket, "events": [
            {"type": "string", "data": STREAMED}]}, expect=201)
        self.say("\n# ... and the stream says")
        check(self.stream_line(stream) == [
            {"type": "string", "data": STREAMED}], "not what was sent")

        self.say("\n# Close; the stream says so and ends")
        self.ask("/polysocket/close", {
            "socket": socket, "code": 1000, "reason": "thanks"})
        self.say("\n# ... and the stream says")
        check(self.stream_line(stream)[-1]["type"] == "close",
              "no close came by the stream")
        check(stream.read() == b"", "the stream did not end")


def check(condition, otherwise):
    if not condition:
        raise StackError(otherwise)


def run_command(stack, target, words):
    """Runs the user's command; returns its exit status."""
    env = {
        **os.environ,
        "POLYSOCKET_URL": stack.url,
        "POLYSOCKET_ECHO_WS": target,
        "POLYSOCKET_TOKEN": "demo",
        "POLYSOCKET_DB": str(stack.db_path),
        "POLYSOCKET_CONF": str(stack.conf_path),
        "POLYSOCKET_BRIDGE_PID": str(stack.bridge_pid),
        "POLYSOCKET_WORKER_PIDS": " ".join(map(str, stack.worker_pids)),
        "POLYSOCKET_SERVER_PID": str(stack.server_pid),
    }
    # One word that is no program is a line for the shell.
    shell = len(words) == 1 and shutil.which(words[0]) is None
    process = subprocess.Popen(words[0] if shell else words, env=env,
                               shell=shell)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        status = process.wait()
    return status if status >= 0 else 128 - status


def serve(stack, target, say):
    create = json.dumps({"target": target, "from": "curl"})
    say(f"""
# Serving at {stack.url}; the echo server is {target}
# A session of your own (SOCKET stands for the socket it answers):
curl -s --json {shlex.quote(create)} {stack.url}/polysocket/create
curl -s -d d=hello -d t=t {stack.url}/s/SOCKET
curl -s '{stack.url}/j/SOCKET?cb=show&ttl=5000'
curl -s -N {stack.url}/x/SOCKET
curl -s -d code=1000 {stack.url}/c/SOCKET
# Interrupt (Ctrl-C) to stop.""")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            signal.pause()


def interrupt(_number, _frame):
    # Once: a second signal must not cut the cleaning up short.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    arguments = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)

    def say(text):
        if not arguments.quiet:
            print(text, flush=True)

    stack = Stack(arguments.server, port=arguments.port,
                  options={"log_level": "info", **dict(arguments.options)})
    echo = None
    try:
        echo, target = start_echo(stack)
        stack.start()
        if arguments.run:
            return run_command(stack, target, arguments.run)
        Conversation(stack, say).hold(target)
        if not arguments.once:
            serve(stack, target, say)
        return 0
    except KeyboardInterrupt:
        return 130
    except StackError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        if echo:
            stack.end("ws-echo", echo, signal.SIGTERM)
        stack.stop()


if __name__ == "__main__":
    sys.exit(main())
