"""What rights and records cost: sessions a second, and trips meanwhile."""

import contextlib
import statistics

from front import N_TOKENS, ORIGIN, RELAY, SETTLE_S, Contestant, Load, \
    relay_alone, say
from report import shares, table

CLIENTS = (1, 64)
WITH_RIGHTS = {"origin": ORIGIN, "tokens": N_TOKENS}

# The writer has to cope with so many sessions while trips are measured; a
# second beside that is for the load generators to start.
N_SESSIONS = 20000
SESSIONS_PER_S = 3000
TRIP_CLIENTS = 4


@contextlib.contextmanager
def nothing_written(front):
    """Holds the lock as an administrator's transaction does: records wait in
    memory. More than 10 s of it would count as a failure of the database."""
    with front.database.shell() as shell:
        shell.run("PRAGMA busy_timeout = 10000")
        answer = shell.run("BEGIN IMMEDIATE")
        if answer:
            raise SystemExit(f"bench: BEGIN IMMEDIATE: {answer}")
        yield
        shell.run("ROLLBACK")


class Creates:
    """Sessions opened and closed at once, with rights and records beside the
    version that had neither."""

    def __init__(self, run):
        self.run = run
        self.written_s = []

    def measure(self):
        run = self.run
        self.of = {"relay": Contestant("relay", "create", RELAY,
                                       **WITH_RIGHTS),
                   "held": Contestant("relay, records wait", "create", RELAY,
                                      **WITH_RIGHTS)}
        if run.before:
            self.of["before"] = Contestant("before", "create", RELAY,
                                           **WITH_RIGHTS)
        with relay_alone(run.options, run.build, before=run.before) \
                as (front, load):
            load.seconds = run.seconds
            loads = {"before": Load(front, run.seconds, front.before)}
            for clients in CLIENTS:
                for number in range(run.rounds):
                    say(f"creates: {clients} clients, round {number + 1} of "
                        f"{run.rounds}")
                    for name, contestant in self.of.items():
                        self.measure_one(name, contestant,
                                         loads.get(name, load), clients)

    def measure_one(self, name, contestant, load, clients):
        with (nothing_written(load.front) if name == "held"
              else contextlib.nullcontext()):
            contestant.measure(load, clients)
        if name != "before":
            waited_s = load.wait_written()
            if name == "relay":
                self.written_s.append(waited_s)

    def check(self, goals):
        if self.run.before:
            goals.at_least("sessions/s against the version without rights "
                           "and records",
                           self.of["relay"].median("per_second"), 0.8,
                           self.of["before"].median("per_second"))

    def text(self):
        def rows():
            for contestant in self.of.values():
                for clients in CLIENTS:
                    yield (contestant.name, clients, *(
                        f"{contestant.median(key, clients):,.0f}"
                        for key in ("per_second", "p50_us", "p99_us")),
                           f"{contestant.cpu_total(clients):.1f}",
                           shares(contestant.cpu(clients)))
        waited_ms = statistics.median(self.written_s) * 1000
        return ("## Sessions opened and closed\n\n"
                + table(["contestant", "clients", "sessions/s",
                         "create p50 µs", "create p99 µs",
                         "processor µs/session", "of which"], rows())
                + f"\nThe last record was written {waited_ms:.0f} ms after "
                "the last session, at the median.\n")


class Writer:
    """Round trips beside the same sessions, written and not written."""

    BESIDE = {
        "nothing": "nothing",
        "before": "sessions, before",
        "held": "sessions, records wait",
        "writing": "sessions, records written",
    }

    def __init__(self, run):
        self.run = run
        self.per_second = {}

    def measure(self):
        run = self.run
        self.of = {name: Contestant(title, "poll", RELAY)
                   for name, title in self.BESIDE.items()
                   if name != "before" or run.before}
        seconds = N_SESSIONS / SESSIONS_PER_S
        with relay_alone(run.options, run.build, before=run.before) \
                as (front, load):
            load.seconds = seconds
            loads = {"before": Load(front, seconds, front.before)}
            for number in range(run.rounds):
                say(f"writer: round {number + 1} of {run.rounds}")
                for name, contestant in self.of.items():
                    self.measure_one(name, contestant, loads.get(name, load))

    def measure_one(self, name, contestant, load):
        if name == "nothing":
            contestant.measure(load, TRIP_CLIENTS)
            return
        with (nothing_written(load.front) if name == "held"
              else contextlib.nullcontext()):
            sessions = load.begin("create", 64, seconds=load.seconds + 2 *
                                  SETTLE_S, rate=SESSIONS_PER_S,
                                  warm=0, **WITH_RIGHTS)
            contestant.measure(load, TRIP_CLIENTS)
            self.per_second.setdefault(name, []).append(
                load.result(sessions)["per_second"])
        if name != "before":
            load.wait_written()

    def check(self, goals):
        goals.at_most("p99 of a trip beside sessions whose records are "
                      "written, against records that wait",
                      self.p99_us("writing") / self.p99_us("held"), 2, " ×",
                      2)

    def p99_us(self, name):
        return self.of[name].median("p99_us", TRIP_CLIENTS)

    def text(self):
        def rows():
            for name, contestant in self.of.items():
                rates = self.per_second.get(name, (0,))
                yield (contestant.name, f"{statistics.median(rates):,.0f}",
                       *(f"{contestant.median(key, TRIP_CLIENTS):,.0f}"
                         for key in ("per_second", "p50_us", "p99_us",
                                     "max_us")))
        return (f"## {TRIP_CLIENTS} clients by long poll, beside sessions "
                "opened and closed\n\n"
                + table(["beside", "sessions/s", "trips/s", "p50 µs",
                         "p99 µs", "max µs"], rows()))
