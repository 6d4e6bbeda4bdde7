"""Echoes of an application, beside those of sockjs-node with and without
it."""

from front import Contestant, Load, say
from called import (ALONE, CALLING, OURS, POLYSOCKET, SOCKJS, TRANSPORTS,
                    Run, called)
from report import shares, table

SHARE = 1.5


class Echo:
    """Everybody in turn, round after round."""

    def __init__(self, arguments):
        self.run = Run(arguments)
        self.rounds = arguments.rounds
        self.seconds = arguments.seconds
        self.clients = arguments.clients
        self.of = {}            # by transport and whose

    def measure(self):
        with called(self.run, "echoing", "calling") as stack:
            load = Load(stack, self.seconds)
            for transport in TRANSPORTS:
                self.add(stack, transport)
            for number in range(self.rounds):
                say(f"echo: round {number + 1} of {self.rounds}")
                for contestant in self.of.values():
                    contestant.measure(load, self.clients)

    def add(self, stack, transport):
        title, mode = TRANSPORTS[transport], f"sockjs-{transport}"
        if POLYSOCKET in self.run.of:
            self.of[transport, "ours"] = Contestant(
                f"polysocket, callback: {title}", mode, OURS,
                prefix=stack.prefix, path=f"/{stack.authorize()}")
        if SOCKJS in self.run.of:
            self.of[transport, "calling"] = Contestant(
                f"sockjs-node, callback: {title}", mode, CALLING,
                path="/callback")
            self.of[transport, "alone"] = Contestant(
                f"sockjs-node alone: {title}", mode, ALONE, path="/echo")

    def check(self, goals):
        if not self.run.compares():
            return
        for transport, title in TRANSPORTS.items():
            goals.at_least(
                f"echo through a callback by {title}, {self.clients} "
                "sessions: round trips/s against sockjs-node with the same "
                "callback",
                self.of[transport, "ours"].median("per_second", self.clients),
                SHARE,
                self.of[transport, "calling"].median("per_second",
                                                     self.clients))

    def text(self):
        n = self.clients
        return (f"## Echoes, {n} sessions\n\n"
                + table(["whose", "round trips/s", "p50 µs", "p99 µs",
                         "processor µs/trip", "of which"], (
                    (c.name, *(f"{c.median(key, n):,.0f}" for key in
                               ("per_second", "p50_us", "p99_us")),
                     f"{c.cpu_total(n):.1f}", shares(c.cpu(n)))
                    for c in self.of.values())))
