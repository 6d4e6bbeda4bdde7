"""What is measured: polysocket as its users have it, with what it is compared
to behind the same lighttpd; and the load generator that measures it."""

import atexit
import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests" / "lib"))

from database import Database   # noqa: E402
from stack import Stack, children, program      # noqa: E402

SETTLE_S = 0.5
WRITTEN_S = 60
RELAY = ("web server", "workers", "bridge", "target")
OPTIONS = {
    "log_level": "warning",
    # All clients have one address, and held polls must not come back while
    # something is measured.
    "max_sessions_per_address": "0",
    "max_creates_per_second": "0",
    "hold_max": "1h",
    "receiver_grace": "10m",
    "first_receiver_grace": "10m",
    # Nobody fetches that a session was closed; it makes room for the next.
    "close_linger": "200ms",
    # Records that wait while the lock is held must not be lost.
    "max_unwritten": "1000000",
}

# What a busy place may have in its database: secrets as the load generator
# makes them, all limits, three origins and targets each.
N_TOKENS = 1000
ORIGIN = "https://www.example.com"
TOKENS = f"""
    PRAGMA secure_delete = ON;
    BEGIN;
    WITH RECURSIVE number(n) AS
        (VALUES (1) UNION ALL SELECT n + 1 FROM number WHERE n < {N_TOKENS})
    INSERT INTO tokens (name, secret, max_sockets, max_creates_per_minute,
        max_messages_per_day, max_bytes_per_day, max_message_bytes,
        max_queue_bytes)
    SELECT 'customer ' || n, printf('%064x', n), 100000, 10000000,
        1000000000, 1000000000000, 65536, 262144 FROM number;
    INSERT INTO token_origins
    SELECT id, pattern FROM tokens, (
        SELECT 'https://*.customer.example.org' AS pattern UNION
        VALUES ('https://customer.example.org:8443'), ('{ORIGIN}'))
    WHERE name LIKE 'customer %';
    INSERT INTO token_targets
    SELECT id, pattern FROM tokens, (
        SELECT 'wss://*.customer.example.org/room/*' AS pattern UNION
        VALUES ('wss://chat.example.com'), ('ws://127.0.0.1:*/*'))
    WHERE name LIKE 'customer %';
    COMMIT;
    """


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def prefer(pid):
    """Puts a process before whatever else the machine does, if we may. The
    kernel shares processors between sessions first (sched(7), autogroup)."""
    with contextlib.suppress(OSError):
        pathlib.Path(f"/proc/{pid}/autogroup").write_text("-15")


def prefer_ourselves():
    """The same for the session of whoever started us, while we run."""
    path = pathlib.Path("/proc/self/autogroup")
    with contextlib.suppress(OSError):
        # Empty for processes that are in no session's group.
        before = path.read_text().split()
        if before:
            atexit.register(path.write_text, before[-1])
            prefer(os.getpid())


class Relay(Stack):
    """The stack as it is measured."""

    def run(self, name, command, stdin=subprocess.DEVNULL):
        process = super().run(name, command, stdin)
        prefer(process.pid)
        return process

    def roles(self):
        """Which process does what; the parents of workers only wait."""
        return {self.bridge_pid: "bridge",
                **dict.fromkeys(self.worker_pids, "workers")}


class Front(Relay):
    """With the others' routes in the same lighttpd."""

    def __init__(self, options, **kwargs):
        self.common_options = {**OPTIONS, **options}
        super().__init__(prefix="/relay", options=self.common_options,
                         **kwargs)
        self.ceiling = self.echo = self.sockjs = self.before = None
        self.ceiling_socket = self.directory / "ceiling.sock"
        self.sockjs_port = self.echo_port = None

    def make_database(self):
        super().make_database()
        self.sql(TOKENS)

    def site(self, server):
        site = super().site(server)
        if self.before:
            site += self.before.site(server)
        if server != "lighttpd":
            return site
        site += f"""
            $HTTP["url"] =^ "/ceiling" {{
                server.stream-response-body = 1
                fastcgi.server = ( "" => ( (
                    "socket" => "{self.ceiling_socket}",
                    "check-local" => "disable",
                    "disable-time" => 0,
                ) ) )
            }}
            """
        if self.sockjs_port is None:
            return site
        return site + f"""
            $HTTP["url"] =^ "/echo/" {{
                server.stream-response-body = 1
                proxy.header = ( "upgrade" => "enable" )
                proxy.server = ( "" => ( (
                    "host" => "127.0.0.1", "port" => {self.sockjs_port},
                    "disable-time" => 0,
                ) ) )
            }}
            """

    def run_printing_port(self, name, command):
        process = self.run(name, command)
        self.wait_until(lambda: re.match(r"\d+\n", self.log(name)), name,
                        process)
        return process, int(self.log(name).split()[0])

    def start_echo(self):
        self.echo, self.echo_port = self.run_printing_port(
            "ws-echo", [self.build / "tests/tools/ws-echo"])

    def start_sockjs(self, script):
        self.sockjs, self.sockjs_port = self.run_printing_port(
            "sockjs", [program("node"), script])

    def start_ceiling(self, processes, threads):
        self.ceiling = self.run("ceiling", [
            self.build / "bench/fcgi-ceiling", "--listen",
            self.ceiling_socket, "--processes", processes, "--threads",
            threads])
        self.wait_until(lambda: len(children(self.ceiling.pid)) == processes
                        and self.ceiling_socket.exists(), "ceiling",
                        self.ceiling)

    def stop_ceiling(self):
        self.ceiling = self.end("ceiling", self.ceiling, 15)
        with contextlib.suppress(FileNotFoundError):
            self.ceiling_socket.unlink()

    def start_before(self, source):
        self.before = Before(self, source)
        self.before.start()

    def stop(self, keep=False):
        for name in ("ceiling", "echo", "sockjs"):
            setattr(self, name, self.end(name, getattr(self, name), 15))
        super().stop(keep)
        if self.before:
            self.before.stop(keep)

    def roles(self):
        roles = {self.server_pid: "web server", **super().roles()}
        if self.echo:
            roles[self.echo.pid] = "target"
        if self.sockjs:
            roles[self.sockjs.pid] = "sockjs-node"
        if self.ceiling:
            roles.update(dict.fromkeys(children(self.ceiling.pid), "workers "
                                       "of the ceiling"))
        return roles


class Before(Relay):
    """Bridge and workers of an older version, behind a front's lighttpd. Its
    source is built in `build` there."""

    def __init__(self, front, source):
        super().__init__(prefix="/before", build=source / "build", options={
            **front.common_options, "allow_targets": "ws://127.0.0.1:*"})
        self.front = front
        self.source = source
        known = subprocess.run([self.wsbridge, "--print-config"], check=True,
                               capture_output=True, text=True).stdout
        self.options = {name: value for name, value in self.options.items()
                        if re.search(rf"^#?{name} =", known, re.M)}

    def start(self):
        Database(self.db_path).load(self.source / "schema" / "schema.sql")
        self.write_config()
        self.start_bridge()
        self.start_workers()

    def site(self, server):
        return super().site(server).replace("var.polysocket_", "var.before_")

    def roles(self):
        front = self.front
        return {front.server_pid: "web server", front.echo.pid: "target",
                **super().roles()}


class Load:
    """Runs the load generator against a front, or what is behind it."""

    def __init__(self, front, seconds, behind=None):
        self.front = front
        self.behind = behind or front
        self.seconds = seconds
        self.n_sessions = 0

    def command(self, mode, clients, seconds=None, roles=(), **options):
        front = self.front
        port = front.echo_port if mode == "ws" else front.port
        command = [front.build / "bench/loadgen", "--mode", mode,
                   "--port", port, "--clients", clients,
                   "--seconds", seconds or self.seconds,
                   "--warm", 0.5]
        if mode in ("poll", "stream", "send", "hold", "create", "emit"):
            command += ["--prefix", self.behind.prefix,
                        "--target", f"ws://127.0.0.1:{front.echo_port}"]
        pids = [pid for pid, role in self.behind.roles().items()
                if role in roles]
        if pids:
            command += ["--pids", ",".join(map(str, pids))]
        for name, value in options.items():
            command += [f"--{name}".replace("_", "-"), value]
        return [str(word) for word in command]

    def run(self, mode, clients, roles=(), **options):
        process = self.begin(mode, clients, roles=roles, **options)
        return self.result(process)

    def begin(self, mode, clients, **options):
        return subprocess.Popen(self.command(mode, clients, **options),
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def result(self, process):
        """What it printed; processor time by role."""
        output, errors = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"bench: {' '.join(process.args)}: "
                             f"{errors}{self.behind.tails()}")
        result = json.loads(output)
        by_role = self.behind.roles()
        cpu = {}
        for pid, used_us in result["cpu_us"].items():
            role = by_role[int(pid)]
            cpu[role] = cpu.get(role, 0) + used_us
        result["cpu_us"] = cpu
        self.n_sessions += (result["all"] if result["mode"] == "create"
                            else result["clients"])
        return result

    def wait_written(self):
        """Waits until every session so far has its row, and that says that
        it is closed. Returns the seconds."""
        began = time.monotonic()

        def all_are_written():
            n = self.front.database.value(
                "SELECT count(*) FROM sessions WHERE closed_at IS NOT NULL")
            return n == self.n_sessions

        self.front.wait_until(all_are_written, f"rows of {self.n_sessions} "
                              "sessions", self.front.bridge, WRITTEN_S)
        return time.monotonic() - began

    def n_descriptors(self):
        return len(os.listdir(f"/proc/{self.front.bridge_pid}/fd"))

    @contextlib.contextmanager
    def sessions(self, n):
        """Has n idle sessions; yields a function that has them polled, and
        returns when the bridge holds a poll for each."""
        process = subprocess.Popen(
            self.command("hold", n, seconds=600, warm=0, origin=ORIGIN,
                         tokens=N_TOKENS),
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def expect(step):
            line = process.stdout.readline()
            if line != f"{step} {n}\n":
                raise SystemExit(f"bench: {n} sessions: no '{step}'")

        def poll():
            time.sleep(SETTLE_S)
            held = n + self.n_descriptors()
            process.stdin.write("\n")
            process.stdin.flush()
            expect("polls")
            self.front.wait_until(lambda: self.n_descriptors() >= held,
                                  f"{n} held polls", process)

        try:
            expect("sessions")
            yield poll
            process.stdin.write("\n")
        finally:
            process.stdin.close()
            if process.wait(120) != 0:
                raise SystemExit(f"bench: holding {n} sessions failed")


class Contestant:
    def __init__(self, name, mode, roles, **options):
        self.name = name
        self.mode = mode
        self.roles = roles
        self.options = options
        self.results = {}

    def measure(self, load, clients):
        self.results.setdefault(clients, []).append(
            load.run(self.mode, clients, self.roles, **self.options))

    def median(self, key, clients=64):
        return statistics.median(result[key]
                                 for result in self.results[clients])

    def cpu(self, clients=64):
        """Processor time per trip by role; medians, so they add up nearly."""
        results = self.results[clients]
        return {role: statistics.median(r["cpu_us"][role] for r in results)
                for role in results[0]["cpu_us"]}

    def cpu_total(self, clients=64):
        return statistics.median(sum(result["cpu_us"].values())
                                 for result in self.results[clients])


@contextlib.contextmanager
def relay_alone(options, build, server="lighttpd", before=None):
    """A fresh relay that has seen a little traffic, for memory's sake; with
    `before`, that source's build stands beside it."""
    front = Front(options, build=build, server=server)
    try:
        front.start_echo()
        if before:
            front.start_before(before)
        front.start()
        load = Load(front, 1)
        load.run("poll", 8, seconds=0.5)
        yield front, load
    finally:
        front.stop()
