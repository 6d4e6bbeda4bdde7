"""What is published to many sessions, and what idle ones weigh."""

import statistics
import time

from crowd import Members
from crowd_memory import memory_of
from front import SETTLE_S, say
from called import (POLYSOCKET, SOCKJS, TRANSPORTS, Run, called,
                    sessions)
from report import shares, table

# Messages under way at once: one, so that it is told how long one takes, and
# as many as keep a server busy.
ONE, MANY = 1, 8
BYTES = 100
SHARE = 1.3
CHAIN = ("web server", "workers", "bridge", "sockjs-node")
LIMITS_KB = {"ws": 7, "stream": 3, "poll": 3}


class Publishes:
    """Everybody in turn, round after round."""

    def __init__(self, arguments):
        self.run = Run(arguments)
        self.arguments = arguments
        self.kinds = sessions(arguments.of)
        self.results = {}   # by whose, transport, sessions and under way

    def measure(self):
        rounds = self.arguments.rounds
        with called(self.run, "broadcast") as stack:
            for n in self.arguments.members:
                for number in range(rounds):
                    say(f"publish: {n} sessions, round {number + 1} of "
                        f"{rounds}")
                    for key, kind in self.kinds.items():
                        self.measure_one(stack, key, kind, n)

    def measure_one(self, stack, key, kind, n):
        with Members(stack, kind, n, "--window", f"{ONE},{MANY}", "--bytes",
                     BYTES, "--warm", 0.5, "--seconds",
                     self.arguments.seconds) as members:
            for result in members.results():
                self.results.setdefault((key, n, result["window"]),
                                        []).append(result)

    def median(self, key, n, window, what):
        return statistics.median(result[what] for result
                                 in self.results[key, n, window])

    def cpu(self, key, n, window):
        results = self.results[key, n, window]
        return {role: statistics.median(result["cpu_us"][role]
                                        for result in results)
                for role in results[0]["cpu_us"]}

    def check(self, goals):
        for n in self.arguments.members if self.run.compares() else ():
            for transport, title in TRANSPORTS.items():
                for window in (ONE, MANY):
                    ours, theirs = (
                        self.median((whose, transport), n, window,
                                    "per_second")
                        for whose in (POLYSOCKET, SOCKJS))
                    goals.at_least(
                        f"publish to {n:,} sessions by {title}, {window} "
                        "under way: deliveries/s against sockjs-node's "
                        "broadcast", ours, SHARE, theirs)

    def text(self):
        def rows(window):
            for key, kind in self.kinds.items():
                for n in self.arguments.members:
                    cpu = self.cpu(key, n, window)
                    yield (kind.title, f"{n:,}", *(
                        f"{self.median(key, n, window, what):,.0f}"
                        for what in ("per_second", "p50_us", "p99_us",
                                     "all_p50_us", "all_max_us")),
                           f"{sum(cpu.values()):.1f}", shares(cpu))

        head = ["sessions", "number", "deliveries/s", "p50 µs", "p99 µs",
                "all have it: p50 µs", "max µs", "processor µs/delivery",
                "of which"]
        return (f"## One message of {BYTES} bytes under way at a time\n\n"
                + table(head, rows(ONE))
                + f"\n## Up to {MANY} messages under way\n\n"
                + table(head, rows(MANY)))


class Sessions:
    """Memory before and with idle sessions."""

    def __init__(self, arguments):
        self.run = Run(arguments)
        self.kinds = sessions(arguments.of)
        self.n = max(arguments.members)
        self.grown = {}     # by whose and transport: bytes each by role

    def measure(self):
        for key, kind in self.kinds.items():
            say(f"memory: {self.n} sessions: {kind.title}")
            with called(self.run, "broadcast") as stack:
                self.grown[key] = self.measure_one(stack, kind)

    def measure_one(self, stack, kind):
        with Members(stack, kind, 8, "--warm", 0.1, "--seconds",
                     0.2) as members:
            members.results()
        before = memory_of(stack, CHAIN)
        with Members(stack, kind, self.n, "--steps",
                     publisher=False) as members:
            members.wait_there()
            time.sleep(SETTLE_S)
            after = memory_of(stack, CHAIN)
        return {role: (after[role] - before[role]) / self.n
                for role in after}

    def check(self, goals):
        for transport, limit_kb in LIMITS_KB.items():
            if (POLYSOCKET, transport) not in self.grown:
                continue
            goals.at_most(
                f"memory in the bridge of {self.n:,} idle sessions, each: "
                f"{TRANSPORTS[transport]}",
                self.grown[POLYSOCKET, transport]["bridge"] / 1024,
                limit_kb, " KB", 1)

    def text(self):
        return (f"## Memory (PSS) of {self.n:,} idle sessions, KB each\n\n"
                + table(["sessions", *CHAIN], (
                    (kind.title, *(f"{self.grown[key][role] / 1024:.2f}"
                                   for role in CHAIN))
                    for key, kind in self.kinds.items())))
