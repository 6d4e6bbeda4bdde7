"""Healthy clients beside hostile ones: what their trips take, and what it
costs the bridge."""

import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import threading
import time

import prometheus
from fastcgi import Request
from front import Front, Load, say
from report import table
from stack import Stack

HOSTILITY = pathlib.Path(__file__).with_name("hostility.py")
NICE = 5
# Kinds of hostility.py by what the report calls them.
KINDS = {
    "unread": "clients that never read",
    "deaf": "targets that never read",
    "slow": "a byte a second",
    "half-open": "half-open requests",
    "connects": "1,000 connects in 100 ms",
    "creates": "1,000 creates at once",
    "cut": "requests cut at every byte",
    "all": "all of these but the creates",
}
# These are more work than the machine has time for, however it is done: see
# README.md.
OVERLOAD = ("creates",)
WAYS = {"poll": "long poll", "stream": "streaming"}
CLIENTS, RATE = 16, 250         # healthy ones, of each way
MAX_RATIO = 3
SAMPLE_S = 0.25
CLOSE_S = 0.02          # the bridge closes many descriptors together
CALM_S = 200
CLOSED_S = 15
SETTLED_S = 15
MIB = 1 << 20
UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": MIB, "GiB": 1 << 30}
OPTIONS = {
    "metrics_from": "127.0.0.1",
    # As by default, but for what all of one address and of one run need.
    "max_sessions_per_address": "0",
    "max_creates_per_second": "0",
    "hold_max": None, "receiver_grace": None,
    # What is left alone ends soon, so that the next measurement may begin.
    "first_receiver_grace": "5s",
    "close_linger": "2s",
    "stall_timeout": "20s",
}
# Of a session with its upstream and its held poll, bench/RESULTS.md says 11.
SESSION_BYTES = 16 * 1024
REQUEST_BYTES = 4 * 1024
MESSAGE_BYTES = 64              # of a queued one, besides its text
BRIDGE_BYTES = 4 * MIB          # scratch buffers, and what malloc keeps ready


def in_bytes(text):
    number, unit = re.fullmatch(r"(\d+)(B|KiB|MiB|GiB|)", text).groups()
    return int(number) * UNITS[unit]


class Bridge:
    """What the bridge says of itself, and what the kernel says of it."""

    def __init__(self, front):
        self.front = front

    def figures(self):
        """Straight from a worker, whatever the web server is busy with."""
        path = f"{self.front.prefix}/polysocket/metrics"
        with Request(self.front.fcgi_socket, "GET", path) as request:
            response = request.body().response()
        if response.status != 200:
            raise SystemExit(f"bench: metrics: {response}")
        return prometheus.parse(response.text)

    def pss(self):
        rollup = pathlib.Path(
            f"/proc/{self.front.bridge_pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)[1]) * 1024

    def sample(self):
        figures = self.figures()
        time.sleep(CLOSE_S)
        value, total = figures.value, figures.sum
        return {
            "down": value("polysocket_queued_bytes", direction="down"),
            "up": value("polysocket_queued_bytes", direction="up"),
            "unsent": value("polysocket_unsent_bytes"),
            "sessions": total("polysocket_sessions"),
            "requests": value("polysocket_open_requests") - 1,
            "held": value("polysocket_held_requests"),
            "pss": self.pss(),
            # Each thread of a worker keeps a connection once it had one.
            "descriptors": len(os.listdir(
                f"/proc/{self.front.bridge_pid}/fd"))
            - value("polysocket_worker_connections"),
        }

    def is_calm(self):
        sample = self.sample()
        return sample["sessions"] + sample["requests"] == 0

    def wait_closed(self, descriptors):
        """Targets have some seconds for their close frame, beyond the
        session. Who is still there after that was left behind."""
        deadline = time.monotonic() + CLOSED_S
        while (self.sample()["descriptors"] > descriptors
               and time.monotonic() < deadline):
            time.sleep(SAMPLE_S)

    @contextlib.contextmanager
    def watched(self):
        """Yields what will be the highest of each figure meanwhile."""
        highest, stop = self.sample(), threading.Event()

        def watch():
            while not stop.wait(SAMPLE_S):
                for name, value in self.sample().items():
                    highest[name] = max(highest[name], value)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield highest
        finally:
            stop.set()
            thread.join()


class Hostility:
    """The process that is hostile, and its targets."""

    def __init__(self, front, kind, n):
        self.front = front
        self.kinds = [kind]
        if kind == "all":
            self.kinds = [name for name in KINDS
                          if name not in ("all", *OVERLOAD)]
        self.n = n
        self.process = self.echo = None

    def __enter__(self):
        front = self.front
        (front.directory / "hostile-echo.log").unlink(missing_ok=True)
        # Not Relay.run(), which would put them before others.
        self.echo = Stack.run(front, "hostile-echo", [
            "nice", "-n", NICE, front.build / "tests/tools/ws-echo"])
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{self.echo.pid}/autogroup").write_text(
                str(NICE))
        front.wait_until(lambda: front.log("hostile-echo").endswith("\n"),
                         "hostile-echo", self.echo)
        self.process = subprocess.Popen([
            sys.executable, HOSTILITY, "--port", str(front.port),
            "--prefix", front.prefix,
            "--echo", front.log("hostile-echo").split()[-1],
            "--kinds", ",".join(self.kinds), "--n", str(self.n)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True)
        return self

    def wait_ready(self):
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"bench: no hostility: {self.front.tails()}")

    def counts(self):
        """Ends it; what it did."""
        self.process.stdin.close()
        line = self.process.stdout.readline()
        if self.process.wait() != 0:
            raise SystemExit("bench: hostility.py failed")
        return json.loads(line)

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.front.end("hostile-echo", self.echo, 15)


class Measurement:
    """Of one kind of hostility, over the rounds."""

    def __init__(self):
        self.trips = {(way, beside): [] for way in WAYS
                      for beside in ("nothing", "arrival", "hostility")}
        self.n_trips = 0
        self.errors = []
        self.before, self.highest, self.after = [], [], []
        self.calm_s = []
        self.counts = {}

    def median(self, way, beside, key):
        values = [result[key] for result in self.trips[way, beside]]
        return statistics.median(values) if values else float("nan")

    def ratio(self, way):
        return (self.median(way, "hostility", "p99_us")
                / self.median(way, "nothing", "p99_us"))

    def most(self, key):
        return max(sample[key] for sample in self.highest)


class Beside:
    """All kinds in turn behind one web server."""

    def __init__(self, arguments, server, build):
        self.server = server
        self.arguments = arguments
        self.build = build
        self.options = {**OPTIONS, **dict(
            option.split("=", 1) for option in arguments.set)}
        self.measured = {kind: Measurement() for kind in arguments.only}
        self.limits = {}

    def measure(self):
        front = Front(self.options, build=self.build, server=self.server)
        try:
            front.start_echo()
            front.start()
            self.limits = self.read_limits(front)
            load = Load(front, self.arguments.seconds)
            for mode in WAYS:
                load.run(mode, CLIENTS, seconds=0.5, rate=RATE)
            for number in range(self.arguments.rounds):
                for kind, measurement in self.measured.items():
                    say(f"{self.server}: {KINDS[kind]}, round {number + 1} "
                        f"of {self.arguments.rounds}")
                    self.measure_kind(front, load, kind, measurement)
        finally:
            front.stop()

    def read_limits(self, front):
        """The bounds in bytes: the defaults, and what was set."""
        printed = subprocess.run([front.wsbridge, "--print-config"],
                                 check=True, capture_output=True,
                                 text=True).stdout
        values = {**dict(re.findall(r"^#(\w+) = (.*)$", printed, re.M)),
                  **self.options}
        return {name: in_bytes(values[name])
                for name in ("queue_bytes", "queue_messages", "max_message",
                             "max_body", "reply_bytes")}

    def measure_kind(self, front, load, kind, measurement):
        bridge = Bridge(front)
        # Watching takes time, too: of both alike.
        with bridge.watched():
            self.trips(load, measurement, "nothing")
        self.wait_calm(bridge)
        measurement.before.append(bridge.sample())
        with Hostility(front, kind, self.arguments.n) as hostility, \
                bridge.watched() as highest:
            self.trips(load, measurement, "arrival")
            hostility.wait_ready()
            self.wait_settled(bridge)
            self.trips(load, measurement, "hostility")
            measurement.counts = hostility.counts()
        measurement.highest.append(highest)
        measurement.calm_s.append(self.wait_calm(bridge))
        bridge.wait_closed(measurement.before[0]["descriptors"])
        measurement.after.append(bridge.sample())

    @staticmethod
    def trips(load, measurement, beside):
        """Both ways at once."""
        running = {way: load.begin(way, CLIENTS, rate=RATE) for way in WAYS}
        for way, process in running.items():
            try:
                result = load.result(process)
            except SystemExit as error:
                measurement.errors.append(str(error))
                say(str(error))
                continue
            measurement.trips[way, beside].append(result)
            measurement.n_trips += result["all"]

    def wait_calm(self, bridge):
        began = time.monotonic()
        bridge.front.wait_until(bridge.is_calm, "the end of all sessions",
                                bridge.front.bridge, CALM_S)
        return time.monotonic() - began

    @staticmethod
    def wait_settled(bridge):
        """Until what waits in the bridge grows no more: they are all there."""
        deadline = time.monotonic() + SETTLED_S
        waiting, before = 0, -1
        while waiting != before and time.monotonic() < deadline:
            time.sleep(2 * SAMPLE_S)
            sample = bridge.sample()
            before, waiting = waiting, sample["down"] + sample["up"]

    # What the bridge may need.

    def bound(self, kind):
        """Bytes that the configuration lets wait in the bridge, and what
        sessions and requests weigh."""
        limits = self.limits
        n = self.arguments.n
        kept = limits["queue_messages"] * MESSAGE_BYTES
        # A message too many stands in front of each bound.
        one = limits["max_message"]
        down = limits["queue_bytes"] + one + kept
        reply = limits["reply_bytes"] + one
        up = (max(limits["queue_bytes"], limits["max_body"]) + one + kept)
        measurement = self.measured[kind]
        unread = n if kind in ("unread", "all") else 0
        deaf = n if kind in ("deaf", "all") else 0
        return (max(sample["pss"] for sample in measurement.before)
                + BRIDGE_BYTES + unread * (down + reply) + deaf * up
                + measurement.most("sessions") * SESSION_BYTES
                + measurement.most("requests") * REQUEST_BYTES)

    def limits_of(self, kind):
        """(what, measured, limit, unit) of what must hold on any machine,
        however slow."""
        measurement = self.measured[kind]
        yield (f"errors of {measurement.n_trips:,} trips",
               len(measurement.errors), 0, "")
        yield ("memory of the bridge", measurement.most("pss") / MIB,
               self.bound(kind) / MIB, " MiB")
        yield ("descriptors more, afterwards",
               measurement.after[-1]["descriptors"]
               - measurement.before[0]["descriptors"], 0, "")

    def broken(self):
        return [f"{self.server}, {KINDS[kind]}: {what} {measured:,.0f}{unit}"
                for kind in self.measured
                for what, measured, limit, unit in self.limits_of(kind)
                if measured > limit]

    def check(self, goals):
        for kind, measurement in self.measured.items():
            name = f"{self.server}, {KINDS[kind]}"
            for way, title in WAYS.items():
                if kind not in OVERLOAD:
                    goals.at_most(f"{name}: p99 by {title}",
                                  measurement.ratio(way), MAX_RATIO,
                                  " × without", 2)
            for what, measured, limit, unit in self.limits_of(kind):
                goals.at_most(f"{name}: {what}", measured, limit, unit)

    def text(self):
        return "\n".join([
            f"## Trips through {self.server}\n", self.trips_text(),
            f"## The bridge behind {self.server}\n", self.bridge_text(),
            f"## What they did to {self.server}\n", self.done_text()])

    def trips_text(self):
        def rows():
            for kind, measurement in self.measured.items():
                for way, title in WAYS.items():
                    yield (KINDS[kind], title, *(
                        f"{measurement.median(way, beside, key):,.0f}"
                        for key in ("p50_us", "p99_us")
                        for beside in ("nothing", "hostility", "arrival")),
                           f"{measurement.ratio(way):.2f}")
        return table(["beside", "way", "p50 µs without", "with",
                      "while they come", "p99 µs without", "with",
                      "while they come", "p99 ×"], rows())

    def bridge_text(self):
        def rows():
            for kind, measurement in self.measured.items():
                yield (KINDS[kind],
                       f"{measurement.before[0]['pss'] / MIB:,.1f}",
                       f"{measurement.most('pss') / MIB:,.1f}",
                       f"{self.bound(kind) / MIB:,.1f}",
                       *(f"{measurement.most(key) / MIB:,.1f}"
                         for key in ("down", "up", "unsent")),
                       *(f"{measurement.most(key):,.0f}"
                         for key in ("sessions", "requests", "descriptors")),
                       f"{measurement.after[-1]['pss'] / MIB:,.1f}",
                       f"{measurement.after[-1]['descriptors']:,.0f}",
                       f"{max(measurement.calm_s):,.0f}")
        return table(["beside", "PSS before, MiB", "highest", "bound",
                      "queued down, MiB", "up", "unsent, MiB", "sessions",
                      "requests", "descriptors", "PSS after, MiB",
                      "descriptors after", "calm after, s"], rows())

    def done_text(self):
        return table(["hostility", "in its last round"], (
            (KINDS[kind], ", ".join(
                f"{name} {count:,}"
                for name, count in sorted(measurement.counts.items())))
            for kind, measurement in self.measured.items()))
