"""Faults of the database at run time: a service that goes on and loses
nothing."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

import prometheus
from client import Http, Polysocket
from conftest import DEFAULTS
from database import Database, SqlError
from faulty import (
    can_mount, fill, foreign, garbage, needs_root, newer, small_disk,
    wsbridge)
from stack import Stack

SOON = 3
RETRY_S = 5         # of what could not be written; some more than it is
NOWHERE = "ws://127.0.0.1:1/"


@pytest.fixture
def server(request):
    """The server does not matter here."""
    return "lighttpd"


# Nobody's session ends while a test waits for something.
PATIENT = {"hold_min": "100ms", "receiver_grace": "60s"}


class Life:
    """Clients of a stack whose database has a fault: all is well for them,
    and in the end everything is in the database."""

    def __init__(self, stack, target):
        self.stack = stack
        self.relay = Polysocket(Http(stack.port))
        self.url = target.url("echo")
        self.session = self.relay.create(self.url)
        self.n_sessions = 1
        self.n_messages = 0

    def goes_on(self):
        begun = time.monotonic()
        self.session.send("hello")
        assert self.session.receive() == ["hello"]
        other = self.relay.create(self.url)
        other.send("hello")
        assert other.receive() == ["hello"]
        other.finish()
        self.n_sessions += 1
        self.n_messages += 2
        assert time.monotonic() - begun < 2, "held up by the database"
        assert self.relay.try_create("ws://10.0.0.1/").code == (
            "target_refused")

    def ready(self):
        return Http(self.stack.port).get("/polysocket/health/ready")

    def wait_unready(self, timeout=RETRY_S):
        """Until the bridge and every worker know of it."""
        self.stack.wait_until(
            lambda: "records wait in memory" in self.stack.log("wsbridge")
            and all(self.ready().status == 503 for _ in range(10)),
            "health to say it", timeout=timeout)
        answer = self.ready()
        assert (answer.code, answer.json["part"]) == ("database_unavailable",
                                                      "database")
        assert answer.json["ok"] is False
        assert int(answer.header("Retry-After")) >= 1
        assert Http(self.stack.port).get("/polysocket/health/live"
                                         ).status == 200
        for path in ("/polysocket/health/ready", "/polysocket/limits",
                     "/polysocket/stats", "/polysocket/create", "/create"):
            answer = Http(self.stack.port).get(path)
            for word in ("/tmp", "polysocket.db", "sqlite", "SELECT"):
                assert word not in answer.text

    def wait_ready(self, timeout=RETRY_S):
        self.stack.wait_until(
            lambda: all(self.ready().status == 200 for _ in range(10)),
            "health to be well", timeout=timeout)

    def wait_recorded(self):
        """Until the database knows the two sessions that live."""
        self.stack.wait_until(
            lambda: len(self.stack.sql("SELECT * FROM live_sessions")) == 2,
            "two rows", timeout=SOON)

    def rows(self):
        return self.stack.sql("SELECT * FROM sessions")

    def wait_all_written(self, timeout=RETRY_S):
        """Nothing was lost: each session and each message is there."""
        def written():
            usage = self.stack.sql(
                "SELECT sum(creates) AS creates, sum(messages_up) AS up,"
                " sum(messages_down) AS down FROM token_usage")[0]
            ended = [row for row in self.rows() if row["closed_at"]]
            return (usage == {"creates": self.n_sessions,
                              "up": self.n_messages,
                              "down": self.n_messages}
                    and len(self.rows()) == self.n_sessions
                    and len(ended) == self.n_sessions - 1
                    and all(row["messages_up"] == 1 for row in ended))

        self.stack.wait_until(written, "all that happened", timeout=timeout)


@pytest.fixture
def life(new_stack, target):
    return Life(new_stack(options=PATIENT), target)


def test_administrator_may_hold_the_lock_for_5_seconds(life):
    with life.stack.database.shell() as shell:
        shell.lock()
        shell.run("UPDATE tokens SET note = 'busy'")
        begun = time.monotonic()
        while time.monotonic() - begun < 5:
            life.goes_on()
            # That is nothing to take a node out of service for.
            assert life.ready().status == 200
        assert len(life.rows()) < life.n_sessions
        assert "Error" not in shell.run("COMMIT")
    life.wait_all_written(timeout=SOON)
    assert life.stack.database.value(
        "SELECT note FROM tokens WHERE name = 'anonymous'") == "busy"
    assert "store:" not in life.stack.log("wsbridge")


def test_a_lock_that_is_held_for_long_is_told(life):
    with life.stack.database.shell() as shell:
        shell.lock()
        life.goes_on()
        life.wait_unready(timeout=10 + RETRY_S)
        life.goes_on()
        shell.run("ROLLBACK")
    life.wait_ready()
    life.wait_all_written()
    log = life.stack.log("wsbridge")
    assert "locked" in log and "the database can be written again" in log


def test_administrator_may_wait_for_the_bridge(life):
    # wsbridge never has the lock for long, whatever it writes.
    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            life.goes_on()

    thread = threading.Thread(target=keep_busy)
    thread.start()
    try:
        for i in range(30):
            begun = time.monotonic()
            life.stack.sql(f"UPDATE tokens SET note = '{i}'")
            assert time.monotonic() - begun < SOON
    finally:
        stop.set()
        thread.join()
    life.wait_all_written()


def put_in_place(stack, path):
    """As `mv` does it: another file under the same name."""
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{stack.db_path}{suffix}")
    os.rename(path, stack.db_path)


@pytest.mark.parametrize("fault", [newer, foreign, garbage])
def test_file_that_is_replaced_by_a_bad_one(life, fault):
    stack = life.stack
    life.goes_on()
    life.wait_all_written()
    # The good one is put aside, whole, and comes back later.
    aside, bad = stack.directory / "aside.db", stack.directory / "bad.db"
    stack.sql(f"VACUUM INTO '{aside}'")
    fault(bad)
    put_in_place(stack, bad)
    life.wait_unready()
    for _ in range(3):
        life.goes_on()
    content = stack.db_path.read_bytes()
    life.goes_on()
    assert stack.db_path.read_bytes() == content, "it was written to"
    put_in_place(stack, aside)
    life.wait_ready()
    life.goes_on()
    life.wait_all_written()
    assert stack.log("wsbridge").count(" error: ") == 1


def test_file_that_is_deleted(life):
    stack = life.stack
    life.goes_on()
    life.wait_all_written()
    aside = stack.directory / "aside.db"
    stack.sql(f"VACUUM INTO '{aside}'")
    for path in stack.directory.glob("polysocket.db*"):
        path.unlink()
    life.wait_unready()
    life.goes_on()
    assert not stack.db_path.exists(), "none is made that allows nothing"
    put_in_place(stack, aside)
    life.wait_ready()
    life.goes_on()
    life.wait_all_written()


def test_file_that_is_replaced_by_another_good_one(life, new_token):
    stack, relay = life.stack, life.relay
    stack.add_token("leaving")          # the token 2 here
    stack.wait_policy()
    leaving = relay.create(life.url, token="leaving")
    other = Database.create(stack.directory / "other.db")
    other.sql("INSERT INTO tokens (id, name) VALUES (1, 'anonymous')",
              "INSERT INTO token_targets VALUES (1, 'ws://127.0.0.1:*')",
              "INSERT INTO tokens (id, name, secret) VALUES"
              " (3, 'coming', 'coming')",
              "INSERT INTO token_targets VALUES (3, 'ws://127.0.0.1:*')")
    other.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert relay.try_create(NOWHERE, token="coming").code == "token_unknown"
    put_in_place(stack, other.path)
    stack.wait_until(
        lambda: relay.try_create(NOWHERE, token="coming").code
        == "connect_refused", "the rights of the other", timeout=SOON)
    stack.wait_policy()
    assert relay.try_create(NOWHERE, token="leaving").code == "token_unknown"
    close, = leaving.receive()
    assert (close.code, close.reason) == (1008, "token deleted")
    # Who lives on is in the new file, from now on.
    life.session.send("still here")
    assert life.session.receive() == ["still here"]
    stack.wait_until(lambda: stack.database.values(
        "SELECT messages_up FROM live_sessions WHERE token = 'anonymous'")
        == [1], "the row of who lives on")
    assert stack.database.value("SELECT sum(messages_up) FROM token_usage"
                                " WHERE token_id = 1") == 1
    assert life.ready().status == 200


def test_backup_that_is_restored(life):
    stack, relay = life.stack, life.relay
    stack.add_token("early")
    backup = stack.directory / "backup.db"
    subprocess.run(["sqlite3", stack.db_path, f".backup '{backup}'"],
                   check=True)
    stack.sql("DELETE FROM tokens WHERE name = 'early'")
    stack.add_token("late")
    stack.wait_policy()
    assert relay.try_create(NOWHERE, token="late").code == "connect_refused"
    assert relay.try_create(NOWHERE, token="early").code == "token_unknown"
    late = relay.create(life.url)
    life.wait_recorded()
    subprocess.run(["sqlite3", "-cmd", ".timeout 10000", stack.db_path,
                    f".restore '{backup}'"], check=True)
    stack.wait_until(
        lambda: relay.try_create(NOWHERE, token="early").code
        == "connect_refused" and relay.try_create(
            NOWHERE, token="late").code == "token_unknown",
        "the rights of the backup", timeout=SOON)
    # Who lives is in it again, and can be closed.
    life.wait_recorded()
    stack.sql("UPDATE sessions SET close_requested = 1 WHERE id IN"
              " (SELECT id FROM live_sessions)")
    for session in (late, life.session):
        close, = session.receive()
        assert (close.code, close.reason) == (1008, "closed by administrator")
    assert life.ready().status == 200
    stack.sql("UPDATE tokens SET note = 'seen' WHERE name = 'early'")
    stack.wait_policy()


@pytest.mark.parametrize("statement", [
    "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", "REINDEX; ANALYZE"])
def test_administrator_may_tidy_up(life, statement):
    for _ in range(3):
        life.goes_on()
        life.stack.sql(statement)
    life.wait_all_written()
    assert life.ready().status == 200


def test_pages_that_are_damaged_while_it_runs(life):
    stack = life.stack
    life.goes_on()
    life.wait_all_written()
    aside = stack.directory / "aside.db"
    stack.sql(f"VACUUM INTO '{aside}'", "PRAGMA wal_checkpoint(TRUNCATE)")
    with stack.db_path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (stack.db_path.stat().st_size - 4096))
    # Whatever it has in its cache, it has to read when others write.
    with contextlib.suppress(SqlError, sqlite3.Error):
        stack.sql("UPDATE policy SET revision = revision + 1")
    life.goes_on()
    life.wait_unready(timeout=3 * RETRY_S)
    life.goes_on()
    put_in_place(stack, aside)
    life.wait_ready()
    life.goes_on()
    life.wait_all_written()


@can_mount
def test_disk_that_gets_full(new_stack, target):
    stack = new_stack(start=False, options=PATIENT)
    with small_disk(stack, 1000) as filler:
        stack.make_database()
        stack.start()
        life = Life(stack, target)
        life.goes_on()
        fill(filler)
        stack.wait_until(lambda: (life.goes_on(), life.ready())[1].status
                         == 503, "the disk to be full", timeout=30)
        life.wait_unready()
        for _ in range(5):
            life.goes_on()
        filler.unlink()
        life.wait_ready()
        life.goes_on()
        life.wait_all_written()
        assert stack.database.value("PRAGMA integrity_check") == "ok"


@needs_root
def test_file_that_becomes_unwritable(new_stack, target):
    stack = new_stack(start=False, options={
        **PATIENT, "user": "www-data", "group": "www-data"})
    os.chown(stack.directory, 33, 33)
    stack.start()
    life = Life(stack, target)
    life.goes_on()
    life.wait_all_written()
    aside = stack.directory / "aside.db"
    stack.sql(f"VACUUM INTO '{aside}'")
    aside.chmod(0o444)
    put_in_place(stack, aside)      # root's
    life.wait_unready()
    life.goes_on()
    os.chown(stack.db_path, 33, 33)
    stack.db_path.chmod(0o640)
    life.wait_ready()
    life.goes_on()
    life.wait_all_written()


# What cannot be written has a bound.

def test_more_than_max_unwritten_lose_the_oldest(new_stack, target):
    stack = new_stack(options={"max_unwritten": "20", "hold_min": "100ms"})
    stack.add_token("admin", admin=1)
    stack.wait_policy()
    relay = Polysocket(Http(stack.port))
    with stack.database.shell() as shell:
        shell.lock()
        for i in range(50):
            relay.try_create(f"{NOWHERE}{i}")
        stack.wait_until(lambda: "the oldest are lost"
                         in stack.log("wsbridge"), "the loss in the log")
        figures = prometheus.parse(Http(stack.port).get(
            "/polysocket/metrics", token="admin").text)
        # Those of an attempt, and those that came since.
        assert figures.value("polysocket_records_waiting") <= 2 * 20
        assert figures.value("polysocket_records_lost_total") >= 10
        shell.run("ROLLBACK")
    stack.wait_until(lambda: stack.sql("SELECT * FROM sessions"), "the rest")
    stack.wait_until(lambda: stack.sql(
        f"SELECT * FROM sessions WHERE subject = '{NOWHERE}49'"), "the last")
    subjects = stack.database.values("SELECT subject FROM sessions")
    assert len(subjects) <= 2 * 20
    assert f"{NOWHERE}0" not in subjects
    assert stack.log("wsbridge").count("the oldest are lost") == 1


def test_max_unwritten_is_not_reached_by_what_waits_a_moment(life):
    with life.stack.database.shell() as shell:
        shell.lock()
        for _ in range(20):
            life.goes_on()
        shell.run("COMMIT")
    life.wait_all_written()


@pytest.mark.parametrize("sig, seconds", [(signal.SIGTERM, 5),
                                          (signal.SIGINT, 0.5)])
def test_bridge_that_stops_writes_what_waits(life, sig, seconds):
    with life.stack.database.shell() as shell:
        shell.lock()
        for _ in range(5):
            life.goes_on()
        threading.Timer(seconds, lambda: shell.run("COMMIT")).start()
        bridge = life.stack.bridge
        life.stack.stop_bridge(sig)
        assert bridge.returncode == 0
    usage = life.stack.sql("SELECT sum(creates) AS n, sum(messages_up) AS up"
                           " FROM token_usage")
    assert usage == [{"n": life.n_sessions, "up": life.n_messages}]
    assert len(life.rows()) == life.n_sessions
    assert life.stack.sql("SELECT * FROM live_sessions") == []


def test_bridge_stops_though_it_cannot_write(life):
    with life.stack.database.shell() as shell:
        shell.lock()
        life.goes_on()
        bridge, begun = life.stack.bridge, time.monotonic()
        life.stack.stop_bridge()
        assert bridge.returncode == 0
        assert time.monotonic() - begun < 15


def test_bridge_that_stops_leaves_nothing_beside_the_file(life):
    # So that the file alone may be copied then.
    life.goes_on()
    life.stack.stop_workers()
    life.stack.stop_bridge()
    log = life.stack.directory / "polysocket.db-wal"
    assert not log.exists() or log.stat().st_size == 0
    assert len(life.rows()) == life.n_sessions


# Two of them.

def second_bridge(stack, **options):
    """Another one on the database of the stack."""
    directory = stack.directory / "second"
    directory.mkdir()
    second = Stack("lighttpd", directory=directory, options={
        **DEFAULTS, "database": stack.db_path, **options})
    second.write_config()
    return second


def test_node_has_one_bridge(life):
    second = second_bridge(life.stack)
    done = wsbridge(second, "--foreground")
    assert done.returncode == 1
    assert "node a is that of another wsbridge" in done.stderr
    # Which is not disturbed.
    life.goes_on()
    life.wait_all_written()
    # It may go on where the first has ended, in whatever way.
    life.stack.stop_bridge(signal.SIGKILL)
    second.start_bridge()
    second.stop_bridge()
    assert life.stack.sql("SELECT * FROM live_sessions") == []


def test_nodes_share_a_database(life):
    life.goes_on()
    second = second_bridge(life.stack, node="b")
    second.start_bridge()
    life.wait_all_written()
    rows = life.stack.sql("SELECT node, commits > 0 AS writes FROM bridges"
                          " ORDER BY node")
    assert [row["node"] for row in rows] == ["a", "b"]
    # What one of them leaves open the other does not end.
    second.stop_bridge(signal.SIGKILL)
    second.start_bridge()
    second.stop_bridge()
    life.goes_on()
    life.wait_all_written()


# Workers, which only read.

def test_workers_open_the_file_for_reading(life):
    life.goes_on()
    flags = set()
    for pid in life.stack.worker_pids:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(f"/proc/{pid}/fd/{name}") == str(
                        life.stack.db_path):
                    with open(f"/proc/{pid}/fdinfo/{name}",
                              encoding="ascii") as info:
                        flags.add(int(info.read().split("flags:")[1].split()
                                      [0], 8) & os.O_ACCMODE)
    assert flags == {os.O_RDONLY}


def test_worker_without_rights_says_so(new_stack, target):
    stack = new_stack(start=False)
    stack.make_database()
    stack.write_config()
    stack.start_bridge()
    aside = stack.directory / "aside.db"
    stack.sql(f"VACUUM INTO '{aside}'")
    garbage(stack.directory / "bad.db")
    put_in_place(stack, stack.directory / "bad.db")
    stack.start_workers()
    stack.start_server()
    http = Http(stack.port)
    stack.wait_until(lambda: stack.status("/polysocket/health/live") == 200,
                     "the workers")
    response = Polysocket(http).try_create(target.url("echo"))
    assert (response.status, response.code) == (503, "database_unavailable")
    assert int(response.header("Retry-After")) >= 1
    assert str(stack.directory) not in response.text
    response = http.get("/create", target=target.url("echo"),
                        **{"from": "tests"})
    assert response.code == "database_unavailable"
    response = http.get("/polysocket/health/ready")
    assert (response.status, response.json["part"]) == (503, "database")
    put_in_place(stack, aside)
    stack.wait_until(lambda: Polysocket(http).try_create(target.url("echo"))
                     .json["ok"], "the rights", timeout=RETRY_S)


def test_worker_keeps_the_rights_it_knows(life):
    stack = life.stack
    aside = stack.directory / "aside.db"
    stack.sql(f"VACUUM INTO '{aside}'")
    garbage(stack.directory / "bad.db")
    put_in_place(stack, stack.directory / "bad.db")
    stack.wait_until(lambda: stack.log("workers").count("stays in force")
                     == len(stack.worker_pids), "the workers to notice")
    life.goes_on()
    put_in_place(stack, aside)
    stack.wait_until(lambda: stack.log("workers").count("can be read again")
                     == len(stack.worker_pids), "the workers to notice")
    life.goes_on()
