"""What idle members weigh."""

import time

from stack import children

from crowd import KINDS, Members, chosen_kinds, crowd_of
from front import SETTLE_S, say
from memory import pss_of
from report import table

MEASURED = ("own-ws", "channel-ws", "channel-events", "channel-lines",
            "channel-poll", "nchan-ws", "nchan-events", "nchan-poll")
CHAIN = ("web server", "workers", "bridge", "nginx")
# How they are spread: an EventSource has up to half a queue of what it has
# got, but not acknowledged yet, of which there is more in a large channel.
TENS, ONE = "channels of ten", "one channel"
LIMITS_KB = (
    # Which members, the sum of which processes, at most.
    ("own-ws", ("bridge",), 6),
    ("channel-ws", ("bridge",), 6),
    ("channel-events", ("bridge",), 2.5),
    ("channel-poll", ("bridge",), 2.5),
    ("channel-poll", CHAIN, 7),
)


def memory_of(crowd, chain=CHAIN):
    """PSS in bytes by role, with the parents that share pages."""
    memory = dict.fromkeys(chain, 0)
    others = {crowd.worker_parent_pid: "workers",
              **dict.fromkeys(children(crowd.server_pid), "web server")}
    if crowd.nginx:
        others[crowd.nginx.pid] = "nginx"
    for pid, role in {**crowd.roles(), **others}.items():
        if role in memory:
            memory[role] += pss_of(pid)
    return memory


class Idle:
    """Memory before and with members, in small channels and in one."""

    def __init__(self, run):
        self.run = run
        self.n = max(run.members)
        self.kinds = {name: kind
                      for name, kind in chosen_kinds(run.of).items()
                      if name in MEASURED}
        self.grown = {}     # by kind and spread: bytes a member by role

    def measure(self):
        for name, kind in self.kinds.items():
            for spread in (ONE,) if kind.of == "nchan" else (TENS, ONE):
                say(f"memory: {self.n} members in {spread}: {name}")
                with crowd_of(self.run, [kind]) as crowd:
                    self.grown[name, spread] = self.measure_one(
                        crowd, kind, 1 if spread == ONE else -(-self.n // 10))

    def measure_one(self, crowd, kind, channels):
        with Members(crowd, kind, 8, "--warm", 0.1, "--seconds",
                     0.2) as members:
            members.results()
        before = memory_of(crowd)
        with Members(crowd, kind, self.n, "--steps", "--channels", channels,
                     publisher=False) as members:
            members.wait_there()
            time.sleep(SETTLE_S)
            after = memory_of(crowd)
        return {role: (after[role] - before[role]) / self.n
                for role in CHAIN}

    def kb(self, grown, roles):
        return sum(grown[role] for role in roles) / 1024

    def check(self, goals):
        for name, roles, limit_kb in LIMITS_KB:
            if name in self.kinds:
                where = "the bridge" if roles != CHAIN else "the whole chain"
                goals.at_most(f"memory in {where} of {self.n:,} idle members "
                              f"in {TENS}, each: {KINDS[name].title}",
                              self.kb(self.grown[name, TENS], roles),
                              limit_kb, " KB", 1)

    def text(self):
        return (f"## Memory (PSS) of {self.n:,} idle members, KB each\n\n"
                + table(["members", "in", *CHAIN, "all"], (
                    (KINDS[name].title, spread,
                     *(f"{self.kb(grown, (role,)):.2f}" for role in CHAIN),
                     f"{self.kb(grown, CHAIN):.2f}")
                    for (name, spread), grown in self.grown.items())))
