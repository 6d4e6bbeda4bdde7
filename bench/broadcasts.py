"""Time until all have an event, deliveries a second, and what one costs."""

import statistics

from crowd import Members, chosen_kinds, crowd_of
from front import say
from report import shares, table

# Events under way at once: one, so that it is told how long one takes, and
# as many as keep a server busy.
ONE, MANY = 1, 8
BYTES = 100


class Broadcasts:
    """Everybody in turn, round after round."""

    def __init__(self, run):
        self.run = run
        self.kinds = chosen_kinds(run.of)
        self.results = {}       # by kind, members and events under way

    def measure(self):
        run = self.run
        with crowd_of(run, self.kinds.values()) as crowd:
            for n in run.members:
                for number in range(run.rounds):
                    for name, kind in self.kinds.items():
                        say(f"broadcasts: {n} members, round {number + 1} of "
                            f"{run.rounds}: {name}")
                        self.measure_one(crowd, name, kind, n)

    def measure_one(self, crowd, name, kind, n):
        with Members(crowd, kind, n, "--window", f"{ONE},{MANY}", "--bytes",
                     BYTES, "--warm", 0.5, "--seconds",
                     self.run.seconds) as members:
            for result in members.results():
                self.results.setdefault((name, n, result["window"]),
                                        []).append(result)

    def median(self, name, n, window, key):
        return statistics.median(result[key] for result
                                 in self.results[name, n, window])

    def cpu(self, name, n, window=MANY):
        """Processor time per delivery by role."""
        results = self.results[name, n, window]
        return {role: statistics.median(result["cpu_us"][role]
                                        for result in results)
                for role in results[0]["cpu_us"]}

    def cpu_total(self, name, n, window=MANY):
        return statistics.median(sum(result["cpu_us"].values()) for result
                                 in self.results[name, n, window])

    def check(self, goals):
        for n in self.run.members:
            for ours, name, share, others, theirs in (
                    ("channel-ws", "WebSocket members through lighttpd", 1.3,
                     "sockjs-ws", "sockjs-node's WebSocket"),
                    ("channel-events", "EventSource members through lighttpd",
                     1.3, "sockjs-lines", "sockjs-node's XHR streaming"),
                    ("own-ws", "WebSocket members at `ws_listen`", 1,
                     "nchan-ws", "nchan's")):
                for window in (ONE, MANY):
                    if {ours, others} <= set(self.kinds):
                        goals.at_least(
                            f"{n:,} {name}, {window} under way: deliveries/s "
                            f"against {theirs}",
                            self.median(ours, n, window, "per_second"), share,
                            self.median(others, n, window, "per_second"))
            if {"own-ws", "nchan-ws"} <= set(self.kinds):
                goals.at_most(f"{n:,} WebSocket members at `ws_listen`, {ONE} "
                              "under way: p99 against nchan's",
                              self.median("own-ws", n, ONE, "p99_us"),
                              self.median("nchan-ws", n, ONE, "p99_us"),
                              " µs")
            for window in (ONE, MANY):
                if {"own-ws", "floor"} <= set(self.kinds):
                    goals.at_most(
                        f"{n:,} WebSocket members at `ws_listen`, {window} "
                        "under way: processor time of a delivery against 1.5 "
                        "× the floor's",
                        self.cpu_total("own-ws", n, window),
                        1.5 * self.cpu_total("floor", n, window), " µs", 1)

    def text(self):
        def rows(window):
            for name, kind in self.kinds.items():
                for n in self.run.members:
                    yield (kind.title, f"{n:,}", *(
                        f"{self.median(name, n, window, key):,.0f}"
                        for key in ("per_second", "p50_us", "p99_us",
                                    "all_p50_us", "all_max_us")),
                           f"{self.cpu_total(name, n, window):.1f}",
                           shares(self.cpu(name, n, window)))

        head = ["members", "number", "deliveries/s", "p50 µs", "p99 µs",
                "all have it: p50 µs", "max µs", "processor µs/delivery",
                "of which"]
        return (f"## One event of {BYTES} bytes under way at a time\n\n"
                + table(head, rows(ONE))
                + f"\n## Up to {MANY} events under way\n\n"
                + table(head, rows(MANY)))
