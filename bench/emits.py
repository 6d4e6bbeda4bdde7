"""What an emit costs that reaches nobody, or one of many."""

import contextlib
import re

from crowd import KINDS, POLYSOCKET, Members, crowd_of
from front import Contestant, Load, say
from report import shares, table
from trips import CEILING, find_ceiling

CLIENTS = 64
ONE_CLIENTS = 8     # as an emit does not wait for its delivery
POST_BYTES = 102    # what an emit of 100 bytes has
FEW = 10
PER_CHANNEL = 100


class Emits:
    """Emits to an empty channel beside the ceiling, round after round."""

    def __init__(self, run):
        self.run = run
        self.of = {}

    def measure(self):
        run = self.run
        with crowd_of(run) as crowd:
            load = Load(crowd, run.seconds)
            self.of = {
                "ceiling": Contestant("ceiling, POST", "ceiling", CEILING,
                                      post_bytes=POST_BYTES),
                "emit": Contestant("emit, no member", "emit", POLYSOCKET,
                                   path=f"/{crowd.channel()}/emit",
                                   bytes=POST_BYTES - 2)}
            find_ceiling(crowd, load)
            for number in range(run.rounds):
                say(f"emits: no member, round {number + 1} of {run.rounds}")
                for contestant in self.of.values():
                    contestant.measure(load, CLIENTS)

    def check(self, goals):
        goals.at_least("emits/s with no member against the ceiling",
                       self.of["emit"].median("per_second"), 0.8,
                       self.of["ceiling"].median("per_second"))

    def text(self):
        return (f"## Emits to nobody, {CLIENTS} clients\n\n"
                + table(["contestant", "requests/s", "p50 µs", "p99 µs",
                         "processor µs/request", "of which"], (
                    (contestant.name, *(
                        f"{contestant.median(key):,.0f}"
                        for key in ("per_second", "p50_us", "p99_us")),
                     f"{contestant.cpu_total():.1f}",
                     shares(contestant.cpu()))
                    for contestant in self.of.values())))


class OneOfMany:
    """Emits to one member while few or many others are idle: in channels of
    their own, or in the same, where the emit names its member."""

    def __init__(self, run):
        self.run = run
        self.n = (FEW, max(run.members))
        self.of = {}

    def measure(self):
        run = self.run
        with crowd_of(run) as crowd:
            load = Load(crowd, run.seconds)
            for number in range(run.rounds):
                for n in self.n:
                    say(f"emits: one of {n} members, round {number + 1} of "
                        f"{run.rounds}")
                    self.beside_channels(crowd, load, n)
                    self.by_name(crowd, load, n)

    def beside_channels(self, crowd, load, n):
        channels = -(-n // PER_CHANNEL)
        with idle(crowd, n, "--channels", channels), idle(crowd, 1) as one:
            self.measure_one(load, one, ("in a channel of its own", n))

    def by_name(self, crowd, load, n):
        with idle(crowd, n) as members:
            self.measure_one(load, members, ("in the same, by `clients`", n),
                             f"?clients={members.first}")

    def measure_one(self, load, members, key, query=""):
        path = members.channel_path.replace("*", "0")
        path = re.sub(f"^{load.front.prefix}", "", path) + "/emit" + query
        contestant = self.of.setdefault(key, Contestant(
            key[0], "emit", POLYSOCKET, delivered=1, bytes=POST_BYTES - 2))
        contestant.options["path"] = path
        contestant.measure(load, ONE_CLIENTS)
        members.go_on()
        emitted = contestant.results[ONE_CLIENTS][-1]["all"]
        if members.lines() != [f"received {emitted}"]:
            raise SystemExit(f"bench: not received, of {emitted}")

    def cost(self, where, n):
        return self.of[where, n].cpu_total(ONE_CLIENTS)

    def check(self, goals):
        few, many = self.n
        for where in dict.fromkeys(where for where, _ in self.of):
            goals.at_most(f"processor time of an emit to one member {where}, "
                          f"beside {many:,} against {few} idle ones",
                          self.cost(where, many) / self.cost(where, few),
                          1.15, " ×", 2)

    def text(self):
        return (f"## Emits to one member, {ONE_CLIENTS} clients\n\n"
                + table(["member", "idle others", "emits/s",
                         "processor µs/emit", "of which"], (
                    (where, f"{n:,}",
                     f"{contestant.median('per_second', ONE_CLIENTS):,.0f}",
                     f"{contestant.cpu_total(ONE_CLIENTS):.1f}",
                     shares(contestant.cpu(ONE_CLIENTS)))
                    for (where, n), contestant in self.of.items())))


@contextlib.contextmanager
def idle(crowd, n, *options):
    """Members who just listen, at the bridge's own listener."""
    with Members(crowd, KINDS["own-ws"], n, "--steps", *options,
                 publisher=False) as members:
        members.first = members.wait_there()
        yield members
