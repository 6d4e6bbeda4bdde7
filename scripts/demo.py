#!/usr/bin/python3
"""The demo's second half: started by scripts/demo, which has built all.

Starts a WebSocket echo server, the bridge, the workers, a web server and the
chat of examples/ in PHP on loopback, makes tokens, relays a conversation and
prints it, listens to a channel and emits to it, has people chat, then serves.
"""

import argparse
import base64
import concurrent.futures
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
import urllib.parse

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests" / "lib"))

import chat                                      # noqa: E402
from channel import Channel                      # noqa: E402
from client import Http                          # noqa: E402
from node import Node, NodeError                 # noqa: E402
from stack import SERVERS, Stack, StackError     # noqa: E402

TEXT = "hello, is this thing on?"
BINARY = bytes(range(8))
STREAMED = "this one comes by a stream"
CHANNEL = "demo"
PRESENCE = {"name": "Ann"}
EMITTED = {"hello": "channel"}
TIMEOUT_S = 20
# Nothing on this host may be reached through a relay unless this says so.
OPTIONS = {"log_level": "info", "allow_networks": "127.0.0.0/8, ::1/128"}
# The bridge writes too, and sqlite3 waits for no lock unless it is told to.
SQLITE3 = "sqlite3 -cmd '.timeout 5000'"


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


class DemoStack(Stack):
    """Its database has two tokens. One may reach the echo server and use the
    channels called demo, from any page; the other is the chat's. They are made
    as an administrator makes them: by statements for sqlite3, each printed."""

    def __init__(self, server, port, options, say):
        super().__init__(server, port=port, options={**OPTIONS, **options})
        self.say = say
        self.echo = self.target = self.token = self.application = None
        chat.install(self)
        self.chat = chat.PhpChat(self)

    def start(self):
        super().start()
        self.chat.secret = self.application
        self.chat.start()
        return self

    def start_echo(self):
        self.echo = self.run("ws-echo", [self.build / "tests/tools/ws-echo"])

        def port():
            return re.search(r"\d+", self.log("ws-echo"))

        self.wait_until(port, "the echo server", self.echo)
        self.target = f"ws://127.0.0.1:{port().group()}/"

    def stop(self, keep=False):
        self.chat.stop()
        self.end("ws-echo", self.echo, signal.SIGTERM)
        self.echo = None
        super().stop(keep)

    def make_database(self):
        """Before the workers start, so that they know the token at once and
        not within a second."""
        self.start_echo()
        self.say("# A database, and a token with the rights it needs")
        self.say(f"\n$ sqlite3 {self.db_path} <schema/schema.sql")
        self.sqlite3((TOP / "schema/schema.sql").read_text("utf-8"))
        self.token = self.print_sql(f"""
BEGIN;
INSERT INTO tokens (name, secret)
    VALUES ('demo', lower(hex(randomblob(16)))) RETURNING secret;
INSERT INTO token_targets (token_id, pattern)
    SELECT id, '{self.target}*' FROM tokens WHERE name = 'demo';
INSERT INTO token_channels (token_id, pattern, may_emit, may_listen)
    SELECT id, '{CHANNEL}*', 1, 1 FROM tokens WHERE name = 'demo';
INSERT INTO token_origins (token_id, pattern)
    SELECT id, '*' FROM tokens WHERE name = 'demo';
COMMIT""")
        self.say("\n# Another, of an application: a chat in PHP")
        self.application = self.print_sql("""
BEGIN;
INSERT INTO tokens (name, secret, publish_auth)
    VALUES ('chat', lower(hex(randomblob(16))), 1) RETURNING secret;
INSERT INTO token_callbacks (token_id, pattern)
    SELECT id, 'http://127.0.0.1:*/chat/*' FROM tokens WHERE name = 'chat';
INSERT INTO token_origins (token_id, pattern)
    SELECT id, 'http://127.0.0.1:*' FROM tokens WHERE name = 'chat';
COMMIT""")

    def show_sessions(self, token, n):
        """Once the bridge has written the rows, which it does at leisure."""
        self.wait_until(lambda: self.sqlite3(
            f"SELECT count(*) FROM live_sessions WHERE token = '{token}'")
            == str(n), "the rows of the sessions")
        self.say("\n# Meanwhile: who is connected")
        self.print_sql("SELECT id, token, subject, remote_addr, agent "
                       "FROM live_sessions", "-box")

    def write_page(self):
        """One for a browser on this host, which listens and emits."""
        page = (TOP / "scripts/demo.html").read_text("utf-8")
        for name, value in {"url": self.url, "channel": CHANNEL,
                            "token": self.token}.items():
            page = page.replace(f"@{name}@", value)
        path = self.directory / "demo.html"
        path.write_text(page, "utf-8")
        return path

    def print_sql(self, sql, *options):
        said = self.sqlite3(sql, *options)
        words = " ".join([SQLITE3, *options, str(self.db_path)])
        self.say(f'\n$ {words} "{sql}"\n{said}')
        return said

    def sqlite3(self, sql, *options):
        done = subprocess.run(
            [*shlex.split(SQLITE3), "-bail", *options, self.db_path],
            input=sql, text=True, capture_output=True, check=False)
        check(done.returncode == 0, f"sqlite3: {done.stderr}")
        return done.stdout.strip()


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

    def hold(self):
        """The whole conversation; raises StackError where it goes wrong."""
        self.say("\n# A session with the echo server")
        answer = json.loads(self.ask("/polysocket/create", {
            "token": self.stack.token, "target": self.stack.target,
            "from": "demo"}))
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

        self.stack.show_sessions("demo", 1)

        self.say("\n# Close; the stream says so and ends")
        self.ask("/polysocket/close", {
            "socket": socket, "code": 1000, "reason": "thanks"})
        self.say("\n# ... and the stream says")
        check(self.stream_line(stream)[-1]["type"] == "close",
              "no close came by the stream")
        check(stream.read() == b"", "the stream did not end")


class Talk:
    """Somebody listens to a channel, somebody else emits to it; both sides
    are printed, what the listener says and hears with > and <."""

    def __init__(self, stack, say):
        self.stack = stack
        self.say = say
        self.channel = Channel(Http(stack.port, stack.prefix), CHANNEL,
                               stack.token)

    def hold(self):
        self.say("\n# Ann listens to a channel")
        url = self.stack.url.replace("http", "ws", 1) + (
            f"/{CHANNEL}/listen?" + urllib.parse.urlencode(
                {"token": self.stack.token, "presence": dumps(PRESENCE)}))
        self.say("\n$ " + shlex.join(["python3", "-m", "websockets", url]))
        with self.channel.join(presence=PRESENCE) as ann:
            self.say("< " + ann.connected.text)
            self.emit_to(ann)
            self.show_members(ann)

    def emit_to(self, ann):
        self.say("\n# Somebody emits, and wants to know who has got it")
        url = self.stack.url + f"/{CHANNEL}/emit?require-ack=true"
        self.say("\n$ " + shlex.join([
            "curl", "-s", "--oauth2-bearer", self.stack.token, "--json",
            dumps(EMITTED), url]))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            emitting = pool.submit(self.channel.try_emit, EMITTED,
                                   require_ack="true")
            self.say("# ... Ann hears it, and says so")
            event = ann.next("DATA")
            self.say("< " + event.text)
            check(event.payload == EMITTED, "that is not what was emitted")
            ack = {"type": "ACK", "payload": {"eventID": event.event_id}}
            self.say("> " + dumps(ack))
            ann.say(ack)
            self.say("< " + ann.next("ACK-RECEIVED").text)
            self.say("# ... and the emit is answered")
            response = emitting.result()
        self.say(f"{response.status} {response.text.strip()}")
        check(response.status == 200 and response.json["acked"] == [ann.id],
              "Ann has not acknowledged it")

    def show_members(self, ann):
        url = (f"{self.stack.url}/{CHANNEL}/members?token="
               + self.stack.token)
        self.say("\n# Who is there\n\n$ " + shlex.join(["curl", "-s", url]))
        response = self.channel.http.get(
            f"/{CHANNEL}/members", token=self.stack.token)
        self.say(f"{response.status} {response.text.strip()}")
        members = response.json["members"]
        check([(m["clientID"], m["presence"]) for m in members]
              == [(ann.id, PRESENCE)], "that is not Ann")


class Chatting:
    """People use the chat by the real sockjs-client, in node; what each says
    and hears is printed with > and <."""

    def __init__(self, stack, say):
        self.stack = stack
        self.say = say
        self.users = {}
        self.node = Node("sockjs.cjs")

    def hold(self):
        with self.node:
            self.sign_in("Ann", "websocket")
            self.sign_in("Bob", "xhr-polling")
            self.hears("Ann", kind="joined", name="Bob")
            self.talk()
            self.stack.show_sessions("chat", 2)
            self.publish()
            self.say("\n# Ann leaves, and the chat is told")
            self.say("Ann closes")
            self.users["Ann"].close()
            self.hears("Bob", kind="left", name="Ann")
            self.send_away()

    def curl(self, method, path, body=None, bearer=None):
        """As the application or a page would; returns what is answered."""
        url = self.stack.url + path
        command = ["curl", "-s"]
        headers = {}
        if method == "DELETE":
            command += ["-X", method]
        if bearer:
            command += ["--oauth2-bearer", bearer]
            headers["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            command += ["--json", dumps(body)]
            headers["Content-Type"] = "application/json"
        self.say("\n$ " + shlex.join([*command, url]))
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.stack.port, timeout=TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request(method, path, body and dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8")
        self.say(f"{response.status} {response.reason}   {text.strip()}")
        check(response.status == 200, "the status is not 200")
        return json.loads(text)

    def sign_in(self, name, transport):
        self.say(f"\n# {name} signs in; the chat asks polysocket to let "
                 f"{name} connect")
        url = self.curl("POST", "/chat/", {"name": name})["url"]
        self.say(f"{name} connects: new SockJS({dumps(url)}, null, "
                 f'{{ transports: "{transport}" }})')
        self.users[name] = self.node.connect(url, transport)
        # That somebody came is published, and stands in what a newcomer has
        # missed: a line with the same number, which the page shows once.
        here = self.hears(name, "here")
        check(name in here["here"], f"{name} is not here")

    def hears(self, who, *keys, **wanted):
        """The next message that has these keys and values."""
        while True:
            text = self.users[who].next()
            self.say(f"{who} < {text}")
            message = json.loads(text)
            if (message.keys() >= set(keys)
                    and wanted.items() <= message.items()):
                return message

    def says(self, name, text):
        self.say(f"{name} > {text}")
        self.users[name].say(text)

    def talk(self):
        self.say("\n# They talk: each message is a signed callback to the "
                 "chat, which publishes it to both")
        for name, text in (("Ann", TEXT), ("Bob", "<b>it is</b> \u2713")):
            self.says(name, text)
            for listener in ("Ann", "Bob"):
                self.hears(listener, kind="said", name=name, text=text)
        self.say("\n# A reply to a callback goes to nobody else")
        self.says("Bob", "/who")
        self.hears("Bob", private="here: Ann, Bob")

    def publish(self):
        secret = self.stack.application
        self.say("\n# What the chat does, by hand: let somebody connect, "
                 "publish, even before they do")
        path = f"/authorize/{secret}/by-hand"
        socket_id = self.curl("POST", path, {
            "callback": self.stack.chat.url + "callback.php"})["socket_id"]
        answer = self.curl("POST", f"/publish/{socket_id}",
                           {"message": "news"}, secret)
        check(answer["queued"] is True, "it was not kept")
        url = f"{self.stack.url}/{socket_id}"
        self.say(f"\nCarl connects: new SockJS({dumps(url)})")
        self.users["Carl"] = self.node.connect(url)
        check(self.users["Carl"].next() == "news", "that is not the news")
        self.say("Carl < news")

    def send_away(self):
        self.say("\n# ... and not let them any more")
        self.curl("DELETE", f"/authorize/{self.stack.application}/by-hand")
        end = self.users["Carl"].happens()
        self.say(f"Carl is disconnected: {dumps(end)}")
        check(end["code"] == 3000, "that is not what a withdrawal says")


def dumps(value):
    return json.dumps(value, separators=(",", ":"))


def check(condition, otherwise):
    if not condition:
        raise StackError(otherwise)


def run_command(stack, words):
    """Runs the user's command; returns its exit status."""
    env = {
        **os.environ,
        "POLYSOCKET_URL": stack.url,
        "POLYSOCKET_ECHO_WS": stack.target,
        "POLYSOCKET_TOKEN": stack.token,
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


def serve(stack, say):
    create = json.dumps({"token": stack.token, "target": stack.target,
                         "from": "curl"})
    say(f"""
# Serving at {stack.url}; the echo server is {stack.target}
# A session of your own (SOCKET stands for the socket it answers):
curl -s --json {shlex.quote(create)} {stack.url}/polysocket/create
curl -s -d d=hello -d t=t {stack.url}/s/SOCKET
curl -s '{stack.url}/j/SOCKET?cb=show&ttl=5000'
curl -s -N {stack.url}/x/SOCKET
curl -s -d code=1000 {stack.url}/c/SOCKET
# A channel: in one terminal the first line, in another the rest; or the page.
curl -s -N -H 'Accept: text/event-stream' '{stack.url}/{CHANNEL}/listen?token={stack.token}'
curl -s '{stack.url}/{CHANNEL}/emit?token={stack.token}&hello=world'
curl -s '{stack.url}/{CHANNEL}/history?token={stack.token}'
file://{stack.write_page()}
# The chat: open it twice.
{stack.chat.url}
# The database: who is connected, and the end of it for all.
sqlite3 -box {stack.db_path} "SELECT * FROM live_sessions"
{SQLITE3} {stack.db_path} "UPDATE sessions SET close_requested = 1"
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

    stack = DemoStack(arguments.server, arguments.port,
                      dict(arguments.options),
                      (lambda text: None) if arguments.run else say)
    try:
        stack.start()
        if arguments.run:
            return run_command(stack, arguments.run)
        Conversation(stack, say).hold()
        Talk(stack, say).hold()
        Chatting(stack, say).hold()
        if not arguments.once:
            serve(stack, say)
        return 0
    except KeyboardInterrupt:
        return 130
    except (StackError, NodeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        stack.stop()


if __name__ == "__main__":
    sys.exit(main())
