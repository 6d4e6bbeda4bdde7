"""What a channel that is busy beyond measure costs the others."""

import statistics

from crowd import KINDS, Members, crowd_of
from front import Load, say
from report import table

CROWD_RATE = 50         # emits a second to each of them
QUIET = 2
QUIET_RATE = 200
TRIP_CLIENTS = 4
TRIP_RATE = 200
MAX_RATIO = 5
WAYS = {"channel": "quiet channel's delivery", "trip": "relay round trip"}


class Fairness:
    """A quiet channel and trips through the relay, at a fixed rate, while a
    large channel rests and while it is busy."""

    def __init__(self, run):
        self.run = run
        self.n = run.crowd
        self.results = {}       # by way and whether the crowd is busy
        self.crowds = []

    def measure(self):
        run = self.run
        with crowd_of(run) as crowd:
            for number in range(run.rounds):
                say(f"fairness: {self.n} members, round {number + 1} of "
                    f"{run.rounds}")
                # Busy for longer than the others take to come and measure.
                with Members(crowd, KINDS["own-ws"], self.n, "--steps",
                             "--rate", CROWD_RATE, "--warm", 1, "--seconds",
                             run.seconds + 3) as many:
                    many.wait_there()
                    self.beside(crowd, False)
                    many.go_on()
                    self.beside(crowd, True)
                    self.crowds += many.results()

    def beside(self, crowd, is_busy):
        seconds = self.run.seconds
        load = Load(crowd, seconds)
        with Members(crowd, KINDS["own-ws"], QUIET, "--rate", QUIET_RATE,
                     "--warm", 1.5, "--seconds", seconds) as quiet:
            process = load.begin("poll", TRIP_CLIENTS, rate=TRIP_RATE,
                                 warm=1.5)
            results = {"trip": load.result(process),
                       "channel": quiet.results()[0]}
        for way, result in results.items():
            self.results.setdefault((way, is_busy), []).append(result)

    def median(self, way, is_busy, key):
        return statistics.median(result[key] for result
                                 in self.results[way, is_busy])

    def check(self, goals):
        for way, title in WAYS.items():
            idle, busy = (self.median(way, is_busy, "p99_us")
                          for is_busy in (False, True))
            goals.at_most(f"p99 of a {title} beside {self.n:,} members of "
                          f"another that takes {CROWD_RATE} emits/s, against "
                          "idle", busy / idle, MAX_RATIO, " ×", 2)

    def text(self):
        def rows():
            for way, title in WAYS.items():
                for is_busy, beside in ((False, "idle members"),
                                        (True, "members of a busy channel")):
                    yield (title, f"{self.n:,} {beside}", *(
                        f"{self.median(way, is_busy, key):,.0f}"
                        for key in ("p50_us", "p99_us", "max_us")))

        many = {key: statistics.median(result[key] for result in self.crowds)
                for key in ("per_second", "p50_us", "p99_us", "refused")}
        return ("## Beside a busy channel\n\n"
                + table(["what", "beside", "p50 µs", "p99 µs", "max µs"],
                        rows())
                + "\nThe busy channel's: {per_second:,.0f} deliveries/s, p50 "
                "{p50_us:,.0f} µs, p99 {p99_us:,.0f} µs, {refused:,.0f} emits "
                "refused.\n".format(**many))
