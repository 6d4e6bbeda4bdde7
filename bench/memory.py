"""What sessions and held polls weigh."""

import pathlib
import re
import time

from stack import SERVERS, children

from front import SETTLE_S, relay_alone, say
from report import table

HELD = {"lighttpd": (1000, 4000), "apache": (1000,)}
OURS = ("bridge", "workers")
CHAIN = (*OURS, "web server")
LIMITS_KB = (
    # What, in which steps and processes it grows, at most.
    ("a session and its upstream, bridge and workers", 0, 1, OURS, 9),
    ("a parked poll, bridge and workers", 1, 2, OURS, 1.5),
    ("a held poll and its session, whole chain", 0, 2, CHAIN, 15),
)


def pss_of(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * int(re.search(r"^Pss:\s+(\d+) kB", rollup,
                                re.M).group(1))


def memory_of(front):
    """PSS in bytes and threads of the processes on the way."""
    memory = {"threads": 0}
    others = {front.worker_parent_pid: "workers",
              **dict.fromkeys(children(front.server_pid), "web server")}
    for pid, role in {**front.roles(), **others}.items():
        if role == "target":
            continue
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        memory[role] = memory.get(role, 0) + pss_of(pid)
        memory["threads"] += int(re.search(r"^Threads:\s+(\d+)", status,
                                           re.M).group(1))
    return memory


def grown(steps, n, since, until, roles):
    return sum(steps[until][role] - steps[since][role] for role in roles) / n


class Memory:
    """Memory before, with sessions, and with a held poll for each."""

    def __init__(self, run):
        self.run = run
        self.measured = {}

    def measure(self):
        for server in SERVERS:
            for n in HELD[server]:
                say(f"memory: {n} sessions and held polls through {server}")
                with relay_alone(self.run.options, self.run.build, server) \
                        as (front, load):
                    steps = [memory_of(front)]
                    with load.sessions(n) as poll:
                        for go_on in (lambda: None, poll):
                            go_on()
                            time.sleep(SETTLE_S)
                            steps.append(memory_of(front))
                    self.measured[server, n] = steps

    def check(self, goals):
        for (server, n), steps in self.measured.items():
            # Whoever does not hold them all does not get here.
            goals.check(f"polls held at once through {server}", f"{n:,}",
                        f"{n:,}", True)
            if server != "lighttpd":
                continue
            for what, since, until, roles, limit_kb in LIMITS_KB:
                goals.at_most(f"memory of {what}, {n:,} held",
                              grown(steps, n, since, until, roles) / 1024,
                              limit_kb, " KB", 1)
            goals.at_most(f"threads more for {n:,} held polls",
                          steps[2]["threads"] - steps[0]["threads"], 0, "")

    def text(self):
        def rows():
            for (server, n), steps in self.measured.items():
                for step, name in ((1, "a session"),
                                   (2, "with its held poll")):
                    yield (server, f"{n:,}", name, *(
                        f"{grown(steps, n, 0, step, (role,)) / 1024:.2f}"
                        for role in ("bridge", "workers", "web server")))
        return ("## Memory (PSS), added to each process\n\n"
                + table(["server", "number", "KB for", "bridge", "workers",
                         "web server"], rows()))
