"""Conversations that go on while things break: `talk`, what it talks to, and
the fronts in between, of polysocket and of those it is compared to."""

import contextlib
import json
import pathlib
import re
import signal
import subprocess
import time

from front import program
from stack import Stack

OPTIONS = {
    # All clients have one address.
    "max_sessions_per_address": "0",
    "max_creates_per_second": "0",
    "log_level": "info",
    "drain_timeout": None,      # the default: sessions outlive a restart
}
TAILS = 4000
END_S = 60      # beyond its --seconds; talk gives up before


class Front(Stack):
    """Polysocket as its users have it, with the target of `talk`."""

    tongue = "relay"

    def __init__(self, server, build, options=None):
        super().__init__(server, build=build,
                         options={**OPTIONS, **(options or {})})
        self.target = self.target_port = None

    def start(self):
        self.target, self.target_port = self.run_printing_port(
            "target", [self.build / "bench/talk-target"])
        return super().start()

    def stop(self, keep=False):
        super().stop(keep=True)
        self.target = self.end("target", self.target, signal.SIGTERM)
        if not keep:
            super().stop()

    def stop_bridge(self, sig=signal.SIGINT):
        """Nobody waits for the sessions that are left."""
        super().stop_bridge(sig)

    def run_printing_port(self, name, command):
        process = self.run(name, command)
        self.wait_until(lambda: re.match(r"\d+\n", self.log(name)), name,
                        process)
        return process, int(self.log(name).split()[0])

    def talk_options(self):
        return ["--target", f"ws://127.0.0.1:{self.target_port}"]

    def complaints(self):
        """With what valgrind had to tell of the programs, and how they ended
        where it, or a sanitizer, told it elsewhere."""
        return super().complaints() + [
            f"{name}: {line}" for name in ("wsbridge", "workers")
            for line in self.log(name).splitlines()
            if re.match(r"==\d+== +\S", line)] + [
            f"{name} ended with {status}" for name, status in self.exits
            if isinstance(status, int) and status > 0]


def memory_kb(pids):
    """What they have in memory that is of no file, shared parts counted
    once. Files' pages depend on who else has them."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss_Anon:\s+(\d+) kB", rollup,
                                   re.M).group(1))
    return total


class NodeFront(Stack):
    """A server for node behind the same lighttpd. It keeps what it knows of
    its clients in a file when it is told to end."""

    def __init__(self, tongue, directory, build):
        super().__init__("lighttpd", prefix="/polysocket", build=build)
        self.tongue = tongue
        self.source = directory
        self.node = None
        self.node_port = 0

    def start(self):
        self.start_node()
        self.start_server()
        return self

    def start_node(self):
        logged = len(self.log("node"))
        self.node = self.run("node", [
            program("node"), self.source / f"{self.tongue}.js",
            self.node_port, self.directory / "state.json"])
        self.wait_until(lambda: re.match(r"\d+\n", self.log("node")[logged:]),
                        "node", self.node)
        self.node_port = int(self.log("node")[logged:].split()[0])

    def stop(self, keep=False):
        self.node = self.end("node", self.node, signal.SIGTERM)
        super().stop(keep)

    def restart_node(self):
        self.node = self.end("node", self.node, signal.SIGTERM)
        self.start_node()

    def site(self, server):
        """The shipped configuration, for what it says of the server itself,
        and node."""
        return super().site(server) + f"""
            $HTTP["url"] =~ "^/(talk|socket.io)/" {{
                server.stream-response-body = 1
                proxy.server = ( "" => ( (
                    "host" => "127.0.0.1", "port" => {self.node_port},
                    "disable-time" => 0,
                ) ) )
            }}
            """

    def talk_options(self):
        return []


@contextlib.contextmanager
def running(front):
    """A front from its start to its end, after which nobody may have
    complained."""
    try:
        yield front.start()
        front.stop(keep=True)
        complaints = front.complaints()
        if complaints:
            raise SystemExit("\n".join(["bench: complaints", *complaints,
                                        front.tails()[-TAILS:]]))
    finally:
        front.stop()


class Conversation:
    """The process of `talk` with a front."""

    def __init__(self, front, clients, rate, seconds, *options):
        self.front = front
        self.seconds = seconds
        self.process = subprocess.Popen(
            [str(word) for word in (
                front.build / "bench/talk", "--tongue", front.tongue,
                "--port", front.port, *front.talk_options(), "--clients",
                clients, "--rate", rate, "--seconds", seconds, *options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.fail()
        self.began = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def age(self):
        return time.monotonic() - self.began

    def say(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.fail()

    def result(self, patience=None):
        """What it reports, when it has ended by itself."""
        try:
            # It reads on meanwhile: the end of its input would be a command.
            self.process.wait(patience or self.seconds + END_S)
        except subprocess.TimeoutExpired:
            self.fail()
        output, errors = self.process.communicate()
        if self.process.returncode != 0:
            self.fail(errors)
        return json.loads(output)

    def fail(self, errors=None):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        if errors is None:
            errors = self.process.communicate()[1]
        raise SystemExit(f"bench: {' '.join(self.process.args)}: {errors}\n"
                         f"{self.front.tails()[-TAILS:]}")
