"""Messages that are accepted, with the outbox and without."""

import contextlib
import statistics
import subprocess
import tempfile
import time

from front import Contestant, Load, say
from called import OURS, POLYSOCKET, Run, called
from report import shares, table

MEMORY = "/dev/shm"
DELIVERED_S = 120
SHARE = 0.7


class Way:
    """How messages are kept, and what came of it."""

    def __init__(self, title, on, **options):
        self.title = title
        self.on = on
        self.options = {**options, "outbox_messages": "1000000"}
        self.contestant = None
        self.delivered_s = []   # until the last one was, after the last was
                                # accepted


def ways(disk):
    return {
        "tmpfs": Way("`outbox = yes`, tmpfs", MEMORY, outbox="yes"),
        "disk": Way("`outbox = yes`, disk", disk, outbox="yes"),
        "sync": Way("`outbox_sync = yes`, disk", disk, outbox="yes",
                    outbox_sync="yes"),
        "no": Way("`outbox = no`", disk, outbox="no"),
    }


class Accepted:
    """Each way in turn, round after round."""

    def __init__(self, arguments):
        self.run = Run(arguments)
        self.rounds = arguments.rounds
        self.seconds = arguments.seconds
        self.clients = arguments.clients
        self.disk = arguments.disk or tempfile.gettempdir()
        self.ways = ways(self.disk)

    def measure(self):
        if POLYSOCKET not in self.run.of:
            self.ways = {}
        with contextlib.ExitStack() as cleanup:
            stacks = {}
            for name, way in self.ways.items():
                stack = stacks[name] = cleanup.enter_context(
                    called(self.run, counts=True, on=way.on, **way.options))
                way.contestant = Contestant(
                    way.title, "sockjs-send", OURS, prefix=stack.prefix,
                    path=f"/{stack.authorize()}")
            for number in range(self.rounds):
                for name, way in self.ways.items():
                    say(f"accepted: {way.title}, round {number + 1} of "
                        f"{self.rounds}")
                    self.measure_one(stacks[name], way)

    def measure_one(self, stack, way):
        before = stack.n_called()
        way.contestant.measure(Load(stack, self.seconds), self.clients)
        began = time.monotonic()
        n = way.contestant.results[self.clients][-1]["all"]
        stack.wait_until(lambda: stack.n_called() - before >= n,
                         f"callbacks of {n} messages", stack.application,
                         DELIVERED_S)
        way.delivered_s.append(time.monotonic() - began)
        if stack.n_called() - before != n:
            raise SystemExit(f"bench: {n} messages accepted, "
                             f"{stack.n_called() - before} delivered")

    def rate(self, name):
        return self.ways[name].contestant.median("per_second", self.clients)

    def check(self, goals):
        for name in ("tmpfs", "disk") if self.ways else ():
            goals.at_least(
                f"messages accepted/s with {self.ways[name].title}, against "
                "`outbox = no`", self.rate(name), SHARE, self.rate("no"))

    def file_system(self):
        return subprocess.run(["stat", "-f", "-c", "%T", self.disk],
                              check=True, capture_output=True,
                              text=True).stdout.strip()

    def text(self):
        def rows():
            for way in self.ways.values():
                c = way.contestant
                yield (way.title, *(
                    f"{c.median(key, self.clients):,.0f}"
                    for key in ("per_second", "p50_us", "p99_us")),
                       f"{statistics.median(way.delivered_s):.2f}",
                       f"{c.cpu_total(self.clients):.1f}",
                       shares(c.cpu(self.clients)))
        return (f"## Messages accepted, {self.clients} sessions\n\n"
                f"The disk's file system is {self.file_system()}.\n\n"
                + table(["outbox", "messages/s", "p50 µs", "p99 µs",
                         "all delivered after s", "processor µs/message",
                         "of which"], rows()))
