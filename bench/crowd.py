"""What bench/channels starts: polysocket with a listener of its own, what its
channels are compared to, and the load generator with their members."""

import contextlib
import http.client
import itertools
import json
import pathlib
import re
import shutil
import subprocess
import time

import prometheus   # of tests/lib, as stack
from stack import StackError, children, free_port, program

from builds import install_node
from front import Front, say

NCHAN = pathlib.Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
READY_S = 300       # of thousands of members who hear of one another
GONE_S = 60         # and that each of them has gone
CALM_S = 0.2
CALM_TICKS = 1      # of the clock of proc(5), of all processes in CALM_S
OPTIONS = {
    # Members say PONG when a WebSocket asks them; beside what is measured
    # nobody is asked.
    "ping_interval": "1h",
    "ping_timeout": "2h",
    "hold_default": "1h",
    "metrics_from": "127.0.0.1",
    # Members by HTTP are missed soon after.
    "receiver_grace": "5s",
    "max_sessions": "9000",
    "max_held": "9000",
}
NGINX = """
    load_module {module};
    daemon off;
    worker_processes 1;
    worker_rlimit_nofile 20000;
    pid {directory}/nginx.pid;
    events {{ worker_connections 15000; }}
    http {{
        access_log off;
        {temporary}
        server {{
            listen 127.0.0.1:{port} backlog=4096;
            location = /publish {{
                nchan_publisher;
                nchan_channel_id $arg_id;
                # A poll that comes back finds what it missed.
                nchan_message_buffer_length 100;
            }}
            location = /listen {{
                nchan_subscriber;
                nchan_channel_id $arg_id;
            }}
        }}
    }}
    """
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def missing():
    """What cannot be compared, by the name of its package."""
    if not NCHAN.exists():
        yield "libnginx-mod-nchan"
    with contextlib.suppress(StackError):
        program("nginx")
        return
    yield "nginx-light"


class Crowd(Front):
    """The stack with a listener for WebSockets of its own and, beside it, the
    others that pass on what one says to many."""

    def __init__(self, run, directory=None, **options):
        self.bench = run
        self.ws_port = free_port()
        super().__init__({**OPTIONS, "ws_listen": f"127.0.0.1:{self.ws_port}",
                          **run.options, **options}, build=run.build,
                         directory=directory)
        self.nginx = self.ws = self.floor = None
        self.nginx_port = self.node_port = self.floor_port = None
        self.names = itertools.count(1)
        self.there = set()      # load generators with their members

    def start_others(self, kinds):
        """Those that members of these kinds come to."""
        for name in {kind.of for kind in kinds}:
            if name in STARTS:
                getattr(self, STARTS[name])()

    def start_broadcast(self):
        self.start_sockjs(self.bench.node() / "sockjs.js")

    def start_ws(self):
        self.ws, self.node_port = self.run_printing_port(
            "ws", [program("node"), self.bench.node() / "ws.js"])

    def start_floor(self):
        self.floor, self.floor_port = self.run_printing_port(
            "floor", [self.build / "bench/fanout-floor"])

    def start_nginx(self):
        self.nginx_port = free_port()
        self.nginx = self.run("nginx", [
            program("nginx"), "-e", self.directory / "nginx.log", "-c",
            self.write("nginx.conf", [NGINX.format(
                module=NCHAN, directory=self.directory, port=self.nginx_port,
                temporary="\n".join(
                    f"{name}_temp_path {self.directory}/nginx-{name};"
                    for name in TEMPORARY))])])
        self.wait_until(lambda: len(children(self.nginx.pid)) == 1,
                        "nginx", self.nginx)

    def stop(self, keep=False):
        for name in ("nginx", "ws", "floor"):
            setattr(self, name, self.end(name, getattr(self, name), 15))
        super().stop(keep)

    def roles(self):
        roles = super().roles()
        for name in ("ws", "floor"):
            if getattr(self, name):
                roles[getattr(self, name).pid] = name
        if self.nginx:
            roles.update(dict.fromkeys(children(self.nginx.pid), "nginx"))
        return roles

    def pids(self, wanted):
        return [pid for pid, role in self.roles().items() if role in wanted]

    def n_sessions(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=GONE_S)
        with contextlib.closing(connection):
            connection.request("GET", f"{self.prefix}/polysocket/metrics")
            text = connection.getresponse().read().decode()
        return prometheus.parse(text).sum("polysocket_sessions")

    def ticks(self):
        """Processor time of all processes so far."""
        return sum(int(ticks) for pid in self.roles() for ticks in
                   pathlib.Path(f"/proc/{pid}/stat").read_text()
                   .rpartition(")")[2].split()[11:13])

    def is_calm(self):
        before = self.ticks()
        time.sleep(CALM_S)
        return self.ticks() - before <= CALM_TICKS

    def wait_calm(self):
        """Until the members who left are gone for all."""
        self.wait_until(lambda: self.n_sessions() == 0, "members who go",
                        self.bridge, GONE_S)
        self.wait_until(self.is_calm, "rest", self.bridge, GONE_S)

    def channel(self):
        """The name of a channel that is nobody's yet."""
        return f"crowd-{next(self.names)}"


class Kind:
    """Of members: what they are called, which of the load generator's, whose
    (see OF), and which processes are on the way."""

    def __init__(self, title, name, of, roles):
        self.title = title
        self.name = name
        self.of = of
        self.roles = roles

    def command(self, crowd):
        """Options of the load generator for a new channel of such members,
        without and with a publisher."""
        return OF[self.of](crowd, crowd.channel())


def of_polysocket(crowd, channel):
    """Below a star, which stands for the number of one of several channels."""
    path = f"{crowd.prefix}/{channel}-*"
    return (["--port", crowd.port, "--path", f"{path}/listen"],
            ["--publisher", "json",
             "--publish-path", f"{path.replace('*', '0')}/emit"])


def of_listener(crowd, channel):
    members, publisher = of_polysocket(crowd, channel)
    return members + ["--ws-port", crowd.ws_port], publisher


def of_nchan(crowd, channel):
    return (["--port", crowd.nginx_port, "--path", f"/listen?id={channel}"],
            ["--publisher", "post", "--publish-path",
             f"/publish?id={channel}"])


def of_ws(crowd, _):
    return (["--port", crowd.node_port, "--path", "/"],
            ["--publisher", "ws", "--publish-path", "/"])


def of_floor(crowd, _):
    return (["--port", crowd.floor_port, "--path", "/"],
            ["--publisher", "ws", "--publish-path", "/"])


def of_sockjs(crowd, _):
    """The path is the service's; WebSockets come to one below it."""
    return (["--port", crowd.port, "--path", "/echo"],
            ["--publisher", "ws", "--publish-path", "/echo/websocket"])


OF = {"polysocket": of_polysocket, "listener": of_listener, "nchan": of_nchan,
      "ws": of_ws, "floor": of_floor, "sockjs": of_sockjs}
STARTS = {"nchan": "start_nginx", "ws": "start_ws", "floor": "start_floor",
          "sockjs": "start_broadcast"}

POLYSOCKET = ("web server", "workers", "bridge")
SOCKJS = ("web server", "sockjs-node")
KINDS = {
    "floor": Kind("floor, WebSocket", "raw-ws", "floor", ("floor",)),
    "ws": Kind("`ws`, WebSocket", "raw-ws", "ws", ("ws",)),
    "nchan-ws": Kind("nchan, WebSocket", "raw-ws", "nchan", ("nginx",)),
    "own-ws": Kind("channel, WebSocket at `ws_listen`", "ws", "listener",
                   POLYSOCKET),
    "sockjs-ws": Kind("sockjs-node, WebSocket, lighttpd", "sockjs-ws",
                      "sockjs", SOCKJS),
    "channel-ws": Kind("channel, WebSocket, lighttpd", "ws", "polysocket",
                       POLYSOCKET),
    "nchan-events": Kind("nchan, EventSource", "nchan-eventsource", "nchan",
                         ("nginx",)),
    "sockjs-lines": Kind("sockjs-node, XHR streaming, lighttpd",
                         "sockjs-lines", "sockjs", SOCKJS),
    "channel-events": Kind("channel, EventSource, lighttpd", "eventsource",
                           "polysocket", POLYSOCKET),
    "channel-lines": Kind("channel, XHR streaming, lighttpd", "lines",
                          "polysocket", POLYSOCKET),
    "nchan-poll": Kind("nchan, long poll", "nchan-poll", "nchan",
                       ("nginx",)),
    "channel-poll": Kind("channel, long poll, lighttpd", "poll",
                         "polysocket", POLYSOCKET),
}


def chosen_kinds(of):
    """Those that are wanted, without those whose server is not installed."""
    without = list(missing())
    if without:
        say(f"not installed: {' '.join(without)}; nothing is compared to "
            "nchan")
    return {name: kind for name, kind in KINDS.items()
            if name in of and not (without and kind.of == "nchan")}


class Members:
    """A load generator with its members, who come at once and go when it is
    left."""

    def __init__(self, crowd, kind, n, *options, publisher=True):
        members, publishing = kind.command(crowd)
        self.channel_path = re.sub(r"/listen$", "", members[3])
        pids = ",".join(map(str, crowd.pids(kind.roles)))
        self.crowd = crowd
        self.n = n
        command = [crowd.build / "bench/fanout-load", "--kind", kind.name,
                   *members, *(publishing if publisher else ()),
                   "--members", n, "--pids", pids, *options]
        self.process = subprocess.Popen(
            [str(word) for word in command], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        crowd.there.add(self)

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if error is not None:
            self.process.kill()
        # The end of its input lets it go on, if it waits for that.
        self.process.communicate()
        self.crowd.there.remove(self)
        if error is None and not self.crowd.there:
            self.crowd.wait_calm()

    def fail(self):
        self.process.kill()
        _, errors = self.process.communicate()
        raise SystemExit(f"bench: {' '.join(self.process.args)}: {errors}"
                         f"{self.crowd.tails()}")

    def wait_there(self):
        """With --steps, until all are there; returns what the server calls
        the first."""
        line = self.process.stdout.readline()
        if not line.startswith(f"members {self.n} "):
            self.fail()
        return line.split(" ")[2].strip()

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def lines(self):
        """What it prints up to its end."""
        output, errors = self.process.communicate(timeout=READY_S)
        if self.process.returncode != 0:
            raise SystemExit(f"bench: {' '.join(self.process.args)}: "
                             f"{errors}{self.crowd.tails()}")
        return output.splitlines()

    def results(self):
        """The same as objects, with processor time by role."""
        results = [json.loads(line) for line in self.lines()]
        by_role = self.crowd.roles()
        for result in results:
            cpu = {}
            for pid, used_us in result["cpu_us"].items():
                role = by_role[int(pid)]
                cpu[role] = cpu.get(role, 0) + used_us
            result["cpu_us"] = cpu
        return results


@contextlib.contextmanager
def crowd_of(run, kinds=()):
    """A fresh stack, with what members of these kinds come to."""
    crowd = Crowd(run)
    try:
        crowd.start_echo()
        crowd.start_others(kinds)
        crowd.start()
        yield crowd
    finally:
        crowd.stop()


class Run:
    """What all parts need to know: the arguments, where the programs are, and
    a directory that goes when all is done."""

    def __init__(self, arguments, build, directory):
        self.quick = arguments.quick
        self.rounds = arguments.rounds
        self.seconds = arguments.seconds
        self.members = arguments.members
        self.crowd = arguments.crowd
        self.of = arguments.of
        self.options = dict(option.split("=", 1) for option in arguments.set)
        self.build = build
        self.directory = pathlib.Path(directory)
        self.installed = None

    def node(self):
        if self.installed is None:
            if not (shutil.which("node") and shutil.which("npm")):
                raise SystemExit("bench: not installed: nodejs npm")
            self.installed = install_node("fanout-node", self.directory)
        return self.installed
