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
LIMITS_KB = (
    # Which members, the sum of which processes, at most.
    ("own-ws", ("bridge",), 6),
    ("channel-ws", ("bridge",), 6),
    ("channel-events", ("bridge",), 2.5),
    ("channel-poll", ("bridge",), 2.5),
    ("channel-poll", CHAIN, 7),
)


def memory_of(crowd):
    """PSS in bytes by role, with the parents that share pages."""
    memory = dict.fromkeys(CHAIN, 0)
    others = {crowd.worker_parent_pid: "workers",
              **dict.fromkeys(children(crowd.server_pid), "web server")}
    if crowd.nginx:
        others[crowd.nginx.pid] = "nginx"
    for pid, role in {**crowd.roles(), **others}.items():
        if role in memory:
            memory[role] += pss_of(pid)
    return memory


class Idle:
    """Memory before and with members, all of one channel."""

    def __init__(self, run):
        self.run = run
        self.n = max(run.members)
        self.kinds = {name: kind
                      for name, kind in chosen_kinds(run.of).items()
                      if name in MEASURED}
        self.grown = {}     # by kind: bytes a member by role

    def measure(self):
        for name, kind in self.kinds.items():
            say(f"memory: {self.n} members: {name}")
            with crowd_of(self.run, [kind]) as crowd:
                self.grown[name] = self.measure_one(crowd, kind)

    def measure_one(self, crowd, kind):
        with Members(crowd, kind, 8, "--warm", 0.1, "--seconds",
                     0.2) as members:
            members.results()
        before = memory_of(crowd)
        with Members(crowd, kind, self.n, "--steps",
                     publisher=False) as members:
            members.wait_there()
            time.sleep(SETTLE_S)
            after = memory_of(crowd)
        return {role: (after[role] - before[role]) / self.n
                for role in CHAIN}

    def kb(self, name, roles):
        return sum(self.grown[name][role] for role in roles) / 1024

    def check(self, goals):
        for name, roles, limit_kb in LIMITS_KB:
            if name in self.kinds:
                where = "the bridge" if roles != CHAIN else "the whole chain"
                goals.at_most(f"memory in {where} of {self.n:,} idle members, "
                              f"each: {KINDS[name].title}",
                              self.kb(name, roles), limit_kb, " KB", 1)

    def text(self):
        return (f"## Memory (PSS) of {self.n:,} idle members in one channel, "
                "KB each\n\n"
                + table(["members", *CHAIN, "all"], (
                    (kind.title,
                     *(f"{self.kb(name, (role,)):.2f}" for role in CHAIN),
                     f"{self.kb(name, CHAIN):.2f}")
                    for name, kind in self.kinds.items())))
