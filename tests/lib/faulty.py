"""Databases that cannot be used, and disks that are full, for tests."""

import contextlib
import os
import subprocess

import pytest

from database import Database

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="needs root")
can_mount = pytest.mark.skipif(
    not ROOT or subprocess.run(["unshare", "--mount", "true"],
                               check=False).returncode != 0,
    reason="a file system of the test's own needs root")


def wsbridge(stack, *args, timeout=30):
    return subprocess.run(
        [*stack.bridge_wrapper, str(stack.wsbridge), "--config",
         str(stack.conf_path), *args], capture_output=True, text=True,
        timeout=timeout, stdin=subprocess.DEVNULL, check=False)


def foreign(path):
    Database(path).sql("CREATE TABLE recipes (name TEXT)")


def newer(path):
    Database.create(path)
    Database(path).sql("PRAGMA user_version = 99")


def garbage(path):
    path.write_bytes(b"This is no database. " * 500)


@contextlib.contextmanager
def small_disk(stack, kib=400):
    """A file system of that size for the database of the stack."""
    place = stack.directory / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=0755",
                    "tmpfs", place], check=True)
    try:
        stack.db_path = place / "polysocket.db"
        stack.database = Database(stack.db_path)
        stack.write_config(database=stack.db_path)
        yield place / "filler"
    finally:
        stack.stop(keep=True)
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(filler):
    """Takes all that is left of the disk."""
    with filler.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
