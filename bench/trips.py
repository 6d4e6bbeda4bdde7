"""Round trips of the relay beside what it is compared to, and beside idle
sessions."""

import contextlib

from front import RELAY, Contestant, Front, Load, relay_alone, say
from report import shares, table

CLIENTS = (1, 64, 512)
POST_BYTES = 110        # what a send of the default payload has
CEILING_SHAPES = ((2, 4), (2, 8), (4, 4), (1, 8))
IDLE = (100, 4000)
IDLE_CLIENTS = 64
SOCKJS = ("web server", "sockjs-node")
CEILING = ("web server", "workers of the ceiling")


def contestants():
    return {
        "get": Contestant("ceiling, GET", "ceiling", CEILING),
        "post": Contestant("ceiling, POST", "ceiling", CEILING,
                           post_bytes=POST_BYTES),
        "send": Contestant("relay, `send` alone", "send", RELAY),
        "poll": Contestant("relay, long poll", "poll", RELAY),
        "sockjs-poll": Contestant("sockjs-node, XHR polling", "sockjs-poll",
                                  SOCKJS),
        "stream": Contestant("relay, XHR streaming", "stream", RELAY),
        "sockjs-stream": Contestant("sockjs-node, XHR streaming",
                                    "sockjs-stream", SOCKJS),
        "ws": Contestant("plain WebSocket", "ws", ("target",)),
    }


def find_ceiling(front, load):
    """Tries the shapes of the ceiling's workers and keeps the best."""
    def rate(shape):
        front.start_ceiling(*shape)
        try:
            return load.run("ceiling", 64, seconds=1)["per_second"], shape
        finally:
            front.stop_ceiling()

    best = max(rate(shape) for shape in CEILING_SHAPES * 2)[1]
    front.start_ceiling(*best)
    return best


class Trips:
    """Everybody in turn, round after round."""

    def __init__(self, run):
        self.run = run
        self.of = contestants()
        self.shape = None       # of the ceiling: processes, threads

    def measure(self):
        run = self.run
        with contextlib.ExitStack() as cleanup:
            front = Front(run.options, build=run.build)
            cleanup.callback(front.stop)
            front.start_sockjs(run.install_sockjs() / "server.js")
            front.start_echo()
            front.start()
            load = Load(front, run.seconds)
            self.shape = find_ceiling(front, load)
            for clients in CLIENTS:
                for number in range(run.rounds):
                    say(f"trips: {clients} clients, round {number + 1} of "
                        f"{run.rounds}")
                    for contestant in self.of.values():
                        contestant.measure(load, clients)

    def check(self, goals):
        of = self.of
        ceiling = max(of["get"].median("per_second"),
                      of["post"].median("per_second"))
        for key, name, factor, share, requests in (
                ("poll", "long poll", 2, 0.7, 2),
                ("stream", "XHR streaming", 2.5, 0.65, 1)):
            rate = of[key].median("per_second")
            sockjs = of["sockjs-" + key]
            goals.at_least(f"{name}, trips/s against sockjs-node", rate,
                           factor, sockjs.median("per_second"))
            goals.at_least(f"{name}, trips/s against the ceiling"
                           + (" / 2" if requests == 2 else ""), rate, share,
                           ceiling / requests)
            goals.at_most(f"{name}, processor time of a trip against half of "
                          "sockjs-node's", of[key].cpu_total(),
                          sockjs.cpu_total() / 2, " µs")
        goals.at_least("`send` alone, requests/s against the ceiling",
                       of["send"].median("per_second"), 0.85, ceiling)
        for key, name in (("poll", "long poll"), ("stream", "XHR streaming")):
            goals.at_most(f"{name}, p99 against 4 × p50",
                          of[key].median("p99_us"),
                          4 * of[key].median("p50_us"), " µs")

    def text(self):
        def rows():
            for contestant in self.of.values():
                for clients in CLIENTS:
                    yield (contestant.name, clients, *(
                        f"{contestant.median(key, clients):,.0f}"
                        for key in ("per_second", "p50_us", "p99_us")),
                           f"{contestant.cpu_total(clients):.1f}",
                           shares(contestant.cpu(clients))
                           .replace(" of the ceiling", ""))
        return (f"## Round trips\n\nCeiling: {self.shape[0]} processes of "
                f"{self.shape[1]} threads.\n\n"
                + table(["contestant", "clients", "trips/s", "p50 µs",
                         "p99 µs", "processor µs/trip", "of which"], rows()))


class Idle:
    """Processor time of a trip beside few and beside many idle sessions."""

    def __init__(self, run):
        self.run = run
        self.beside = {n: Contestant(f"{n:,} idle sessions", "poll", RELAY)
                       for n in IDLE}

    def measure(self):
        run = self.run
        with relay_alone(run.options, run.build) as (_, load):
            load.seconds = run.seconds
            for number in range(run.rounds):
                for n, contestant in self.beside.items():
                    say(f"beside {n} idle sessions, round {number + 1} of "
                        f"{run.rounds}")
                    with load.sessions(n) as poll:
                        poll()
                        contestant.measure(load, IDLE_CLIENTS)

    def check(self, goals):
        few, many = (self.beside[n].cpu_total(IDLE_CLIENTS) for n in IDLE)
        goals.at_most("processor time of a trip, {:,} against {:,} idle "
                      "sessions".format(*reversed(IDLE)), many / few, 1.15,
                      " ×", 2)

    def text(self):
        return (f"## Beside idle sessions, {IDLE_CLIENTS} clients by long "
                "poll\n\n"
                + table(["beside", "trips/s", "processor µs/trip",
                         "of which"], (
                    (c.name, f"{c.median('per_second', IDLE_CLIENTS):,.0f}",
                     f"{c.cpu_total(IDLE_CLIENTS):.1f}",
                     shares(c.cpu(IDLE_CLIENTS)))
                    for c in self.beside.values())))
