"""Faults of the database at the start, and how it is made or upgraded."""

import os
import subprocess
import threading
import time

import pytest

from database import Database, insert
from faulty import (
    can_mount, fill, foreign, garbage, needs_root, newer, small_disk,
    wsbridge)
from stack import can_connect


@pytest.fixture
def server(request):
    """The server does not matter here."""
    return "lighttpd"


@pytest.fixture
def files(new_stack):
    """Configuration, but neither programs nor a database."""
    stack = new_stack(start=False)
    stack.write_config()
    return stack


# Each fault, and what is said of it.

def foreign_with_an_id(path):
    Database(path).sql("PRAGMA application_id = 1", "PRAGMA user_version = 3",
                       "CREATE TABLE recipes (name TEXT)")


def without_tables(path):
    Database(path).sql("PRAGMA application_id = 0x506f6c79",
                       "PRAGMA user_version = 4")


def directory(path):
    path.mkdir()


def corrupt(path):
    """Pages in the middle are lost."""
    database = Database.create(path)
    database.sql(*(insert("tokens", {"name": f"t{i}", "secret": f"s{i}",
                                     "note": "n" * 500})
                   for i in range(100)),
                 "PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096 * 20)
        file.write(b"\xa5" * 4096 * 10)


def truncated(path):
    corrupt(path)
    os.truncate(path, 4096 * 12)


def dangling(path):
    path.symlink_to("/nowhere/at/all.db")


FAULTS = [
    (foreign, "is no polysocket database"),
    (foreign_with_an_id, "is no polysocket database"),
    (without_tables, "no such table"),
    (newer, "version 99"),
    (garbage, "not a database"),
    (directory, "cannot be opened"),
    (corrupt, "is damaged"),
    (truncated, "malformed"),
    (dangling, None),
]


@pytest.mark.parametrize("fault, says", FAULTS)
@pytest.mark.parametrize("args", [["--foreground"], ["--check"],
                                  ["--init-db"]])
def test_bridge_does_not_start_with(files, fault, says, args):
    fault(files.db_path)
    before = tree(files)
    begun = time.monotonic()
    done = wsbridge(files, *args)
    assert done.returncode == 1, done
    assert time.monotonic() - begun < 5, "says so at once"
    assert f"database {files.db_path}: " in done.stderr
    assert says is None or says in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert tree(files) == before, "nothing was changed"
    assert not can_connect(files.bridge_socket)


def tree(stack):
    """What is there, but for what SQLite leaves beside a database."""
    return {path.name: path.read_bytes() if path.is_file() else None
            for path in stack.directory.iterdir()
            if not path.name.endswith(("-wal", "-shm", ".log", ".sock",
                                       ".lock"))}


def test_directory_of_the_database_must_exist(files):
    files.write_config(database=files.directory / "missing" / "x.db")
    for args in (["--foreground"], ["--check"], ["--init-db"]):
        done = wsbridge(files, *args)
        assert done.returncode == 1, done
        assert "missing/x.db: " in done.stderr


def unwritable_file(stack):
    stack.db_path.chmod(0o444)


def unwritable_directory(stack):
    stack.directory.chmod(0o555)
    stack.db_path.chmod(0o444)


@needs_root
@pytest.mark.parametrize("fault", [unwritable_file, unwritable_directory])
def test_database_must_be_writable(files, fault):
    # By the user that wsbridge runs as.
    files.make_database()
    files.write_config(user="www-data", group="www-data")
    fault(files)
    try:
        done = wsbridge(files, "--foreground")
    finally:
        files.directory.chmod(0o755)
    assert done.returncode == 1, done
    assert f"database {files.db_path}: " in done.stderr
    assert "readonly" in done.stderr or "unable to open" in done.stderr


@can_mount
@pytest.mark.parametrize("made", [True, False])
def test_disk_must_not_be_full_at_the_start(files, made):
    with small_disk(files) as filler:
        if made:
            files.make_database()
        fill(filler)
        done = wsbridge(files, "--foreground")
        assert done.returncode == 1, done
        assert "full" in done.stderr or "disk I/O" in done.stderr, done.stderr
        filler.unlink()
        done = wsbridge(files, "--init-db")
        assert done.returncode == 0, done


def test_locked_database_is_waited_for_at_the_start(files):
    files.make_database()
    with files.database.shell() as shell:
        shell.lock()
        shell.run("UPDATE tokens SET note = 'x'")
        threading.Timer(5, lambda: shell.run("COMMIT")).start()
        files.start_bridge()
    assert files.bridge.poll() is None


# Making and upgrading.

def schema_of(database):
    return database.sql("SELECT type, name, tbl_name, sql FROM sqlite_schema"
                        " ORDER BY name", "PRAGMA user_version",
                        "PRAGMA application_id", "PRAGMA journal_mode")


def version_1(path):
    Database(path).sql("PRAGMA journal_mode = WAL", "BEGIN IMMEDIATE",
                       "PRAGMA application_id = 0x506f6c79",
                       "PRAGMA user_version = 1", "COMMIT")


def nothing(_path):
    pass


def empty(path):
    path.touch(0o640)


@pytest.mark.parametrize("before", [nothing, empty, version_1])
@pytest.mark.parametrize("how", ["--init-db", "start"])
def test_database_is_made_or_upgraded(files, tmp_path, before, how):
    before(files.db_path)
    if how == "start":
        files.start_bridge()
    else:
        done = wsbridge(files, "--init-db")
        assert done.returncode == 0, done
        assert not can_connect(files.bridge_socket)
    assert schema_of(files.database) == schema_of(
        Database.create(tmp_path / "x.db"))
    assert files.sql("SELECT * FROM tokens") == []
    if before is nothing:
        assert files.db_path.stat().st_mode & 0o777 == 0o640


def test_init_db_may_be_repeated(files):
    files.make_database()
    files.add_token("kept")
    before = files.sql("SELECT * FROM tokens"), schema_of(files.database)
    for _ in range(2):
        done = wsbridge(files, "--init-db")
        assert done.returncode == 0, done
        assert before == (files.sql("SELECT * FROM tokens"),
                          schema_of(files.database))


def test_check_makes_nothing(files):
    done = wsbridge(files, "--check")
    assert done.returncode == 1 and str(files.db_path) in done.stderr, done
    assert not files.db_path.exists()
    version_1(files.db_path)
    before = files.db_path.read_bytes()
    wsbridge(files, "--check")
    assert files.db_path.read_bytes() == before


@needs_root
def test_database_belongs_to_the_user_of_the_bridge(files):
    os.chown(files.directory, 33, 33)
    files.write_config(user="www-data", group="www-data")
    assert wsbridge(files, "--init-db").returncode == 0
    files.start_bridge()
    for path in files.directory.glob("polysocket.db*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (33, 33), path


def test_several_may_make_it_at_once(files, tmp_path):
    programs = [subprocess.Popen(
        [files.wsbridge, "--config", files.conf_path, "--init-db"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(8)]
    for program in programs:
        _, said = program.communicate(timeout=30)
        assert program.returncode == 0, said
    assert schema_of(files.database) == schema_of(
        Database.create(tmp_path / "x.db"))
    assert len(files.sql("SELECT * FROM policy")) == 1
