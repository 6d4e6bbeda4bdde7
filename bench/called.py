"""What bench/applications starts: polysocket with an application behind it,
and what that is compared to, behind the same lighttpd."""

import contextlib
import http.client
import itertools
import json
import secrets
import shutil
import tempfile
import urllib.request

from stack import program
from database import insert

from builds import install_node
from crowd import Crowd, Kind

OPTIONS = {
    "services": "relay, channels, applications",
    "queue_messages": "1000",
    "ws_listen": None,
}
POLYSOCKET, SOCKJS = WHOSE = ("polysocket", "sockjs-node")
OURS = ("web server", "workers", "bridge", "application")
ALONE = ("web server", "sockjs-node")
CALLING = (*ALONE, "application")


class Run:
    """What parts need to know beside the arguments."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.quick = arguments.quick
        self.of = arguments.of
        self.build = arguments.build
        self.options = {**OPTIONS, **dict(
            option.split("=", 1) for option in arguments.set)}

    def compares(self):
        return set(WHOSE) <= set(self.of)

    def node(self, name):
        """Where that of bench's programs for node is installed."""
        if not (shutil.which("node") and shutil.which("npm")):
            raise SystemExit("bench: not installed: nodejs npm")
        where = self.arguments.directory / name
        return where if where.exists() else install_node(
            name, self.arguments.directory)


class Called(Crowd):
    """The stack with an application that is called back. `counts`: it keeps
    its messages to itself and counts them."""

    def __init__(self, run, counts=False, directory=None, **options):
        self.counts = counts
        self.application = self.calling = None
        self.application_port = self.calling_port = None
        self.secret = secrets.token_hex(16)
        self.clients = itertools.count(1)
        super().__init__(run, directory=directory, **options)

    def start_application(self):
        command = [self.build / "bench/callback-echo"]
        self.application, self.application_port = self.run_printing_port(
            "application", command + ["--count"] * self.counts)

    def start_broadcast(self):
        self.start_sockjs(self.bench.node("fanout-node") / "sockjs.js")

    def start_echoing(self):
        self.start_sockjs(self.bench.node("sockjs-echo") / "server.js")

    def start_calling(self):
        script = self.bench.node("sockjs-callback") / "server.js"
        self.calling, self.calling_port = self.run_printing_port(
            "calling", [program("node"), script, self.application_url])

    @property
    def application_url(self):
        return f"http://127.0.0.1:{self.application_port}/callback"

    def site(self, server):
        site = super().site(server)
        if self.calling_port is None:
            return site
        return site + f"""
            $HTTP["url"] =^ "/callback/" {{
                server.stream-response-body = 1
                proxy.header = ( "upgrade" => "enable" )
                proxy.server = ( "" => ( (
                    "host" => "127.0.0.1", "port" => {self.calling_port},
                    "disable-time" => 0,
                ) ) )
            }}
            """

    def make_database(self):
        super().make_database()
        token = self.add_token(self.secret, ("*",), (), ())
        self.sql(insert("token_callbacks", {
            "token_id": token, "pattern": "http://127.0.0.1:*/*"}))

    def stop(self, keep=False):
        for name in ("calling", "application"):
            setattr(self, name, self.end(name, getattr(self, name), 15))
        super().stop(keep)

    def roles(self):
        roles = super().roles()
        if self.calling:
            roles[self.calling.pid] = "sockjs-node"
        if self.application:
            roles[self.application.pid] = "application"
        return roles

    def authorize(self):
        """A new socket id."""
        request = urllib.request.Request(
            f"{self.url}/authorize/{self.secret}/bench{next(self.clients)}",
            json.dumps({"callback": self.application_url,
                        "ttl": 0}).encode(),
            {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)["socket_id"]

    def n_called(self):
        """Messages that an application which counts has got."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.application_port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/")
            return int(connection.getresponse().read())


@contextlib.contextmanager
def called(run, *others, counts=False, on=None, **options):
    """A fresh stack with its application, and of sockjs-node's, where it is
    compared to, the others that are named. `on`: the directory that has its
    database, and all else."""
    with contextlib.ExitStack() as cleanup:
        directory = on and cleanup.enter_context(
            tempfile.TemporaryDirectory(prefix="ps-bench-", dir=on))
        stack = Called(run, counts, directory, **options)
        cleanup.callback(stack.stop)
        stack.start_echo()
        stack.start_application()
        for other in others if SOCKJS in run.of else ():
            getattr(stack, f"start_{other}")()
        stack.start()
        yield stack


def of_application(stack, _):
    socket_id = stack.authorize()
    return (["--port", stack.port, "--path", f"{stack.prefix}/{socket_id}"],
            ["--publisher", "message", "--publish-path",
             f"{stack.prefix}/publish/{socket_id}"])


def of_sockjs(stack, _):
    return (["--port", stack.port, "--path", "/echo"],
            ["--publisher", "ws", "--publish-path", "/echo/websocket"])


class Session(Kind):
    """One of a crowd of SockJS sessions."""

    def __init__(self, title, name, find, roles):
        super().__init__(title, name, None, roles)
        self.find = find

    def command(self, crowd):
        return self.find(crowd, None)


TRANSPORTS = {"ws": "WebSocket", "stream": "XHR streaming",
              "poll": "XHR polling"}
FANOUT = {"ws": "sockjs-frames", "stream": "sockjs-lines",
          "poll": "sockjs-poll"}


def sessions(of):
    """Those that are wanted, by whose and transport."""
    return {
        (whose, transport): Session(f"{whose}, {title}", FANOUT[transport],
                                    find, roles)
        for transport, title in TRANSPORTS.items()
        for whose, find, roles in ((POLYSOCKET, of_application, OURS),
                                   (SOCKJS, of_sockjs, ALONE))
        if whose in of
    }
