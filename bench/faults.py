"""Faults, for programs that show what becomes of conversations meanwhile: made
here, or by `talk` with its own connections, and told to it."""

import contextlib
import os
import signal
import sqlite3
import time


class Faults:
    """What can happen to a front. Each makes one and tells `talk`, which
    measures from the moment it was begun."""

    def __init__(self, front, conversation):
        self.front = front
        self.conversation = conversation

    def make(self, kind):
        getattr(self, kind)()

    def connections_reset(self, percent=100):
        """All that these clients have, or a share of them, with RST."""
        self.conversation.say(f"rst {percent}")

    def connections_silent(self, percent=100):
        """They go on with new ones, and nobody hears of the old ones."""
        self.conversation.say(f"silent {percent}")

    def worker_killed(self):
        pid = self.front.worker_pids[0]
        with self.told("worker-killed"):
            os.kill(pid, signal.SIGKILL)

    def server_reloaded(self):
        with self.told("server-reloaded"):
            self.front.reload_server()

    def configuration_reloaded(self):
        with self.told("configuration-reloaded"):
            for pid in (self.front.bridge_pid, self.front.worker_parent_pid):
                os.kill(pid, signal.SIGHUP)

    def database_locked(self, seconds=1):
        """By an administrator, who takes a while."""
        with self.told("database-locked"), contextlib.closing(
                sqlite3.connect(self.front.db_path, timeout=10,
                                isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            database.execute("ROLLBACK")

    def node_restarted(self):
        with self.told("node-restarted"):
            self.front.restart_node()

    def bridge_drained(self):
        with self.told("bridge-drained"):
            self.front.replace_bridge()

    @contextlib.contextmanager
    def told(self, kind):
        began_ns = time.monotonic_ns()
        yield
        self.conversation.say(f"fault {kind} {began_ns}")
