"""The bridge, the workers and the administrator are three users: what one of
them makes beside the database must not lock the others out."""

import grp
import os
import pwd
import shutil
import signal
import stat
import subprocess

import pytest

from client import Http, Polysocket
from database import Database
from target import Target

BRIDGE, WORKERS = "nobody", "www-data"      # the group is the workers'
AS_WORKERS = ["setpriv", "--reuid", WORKERS, "--regid", WORKERS,
              "--clear-groups"]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"),
                       reason="only root can be three users"),
    # The web server has no part in it.
    pytest.mark.parametrize("server", ["lighttpd"]),
]


@pytest.fixture
def stack(new_stack):
    stack = new_stack(start=False, start_mode="systemd", targets=None)
    state = stack.directory / "state"
    state.mkdir()
    os.chown(state, pwd.getpwnam(BRIDGE).pw_uid, grp.getgrnam(WORKERS).gr_gid)
    state.chmod(0o750)
    stack.directory.chmod(0o777)        # for the sockets
    stack.database = Database(state / "polysocket.db")
    stack.db_path = stack.database.path
    stack.write_config(database=stack.db_path, user=BRIDGE, group=WORKERS,
                       worker_users=WORKERS)
    programs = stack.worker_command()
    stack.worker_command = lambda: AS_WORKERS + programs
    subprocess.run([stack.wsbridge, "--config", stack.conf_path, "--init-db"],
                   check=True, stderr=subprocess.DEVNULL)
    return stack.start()


def check_files(stack):
    """All that is there: the database, its log and the readers' locks."""
    for path in stack.db_path.parent.iterdir():
        status = path.stat()
        assert (pwd.getpwuid(status.st_uid).pw_name,
                grp.getgrgid(status.st_gid).gr_name,
                stat.S_IMODE(status.st_mode)) == (BRIDGE, WORKERS, 0o640), path


def check_use(stack, secret):
    """The administrator writes, the workers read, the bridge writes."""
    stack.add_token(secret)
    stack.wait_policy()
    with Target() as target:
        relay = Polysocket(Http(stack.port))
        session = relay.create(target.url("echo"), token=secret)
        stack.wait_until(lambda: stack.database.values(
            f"SELECT token FROM live_sessions WHERE token = '{secret}'"),
            "a row of the session", stack.bridge)
        session.close()
    check_files(stack)


def test_three_users_share_the_database(stack):
    check_use(stack, "while-all-run")
    stack.stop_bridge()
    check_files(stack)
    with stack.database.shell() as shell:
        shell.run("UPDATE tokens SET note = 'first to be there'")
        check_files(stack)
        stack.start_bridge()
        check_use(stack, "root-was-first")
    stack.stop_bridge(signal.SIGKILL)
    stack.sql("UPDATE tokens SET note = 'after a crash'")
    stack.start_bridge()
    check_use(stack, "after-a-crash")


def test_workers_may_start_before_the_bridge(stack):
    stack.stop_bridge()
    stack.stop_workers()
    stack.sql("UPDATE tokens SET note = 'nobody else is there'")
    stack.start_workers()
    stack.wait_until(lambda: "cannot be read" in stack.log("workers"),
                     "a complaint", stack.workers)
    stack.start_bridge()
    check_use(stack, "late")


def test_the_user_of_the_workers_cannot_write(stack):
    command = [*AS_WORKERS, "sqlite3", stack.db_path]
    read = subprocess.run([*command, "SELECT count(*) FROM tokens"],
                          capture_output=True, text=True)
    assert read.stdout == "0\n", read
    write = subprocess.run([*command, "INSERT INTO tokens (name) "
                            "VALUES ('anonymous')"],
                           capture_output=True, text=True)
    assert "readonly" in write.stderr, write
    assert stack.database.value("SELECT count(*) FROM tokens") == 0


def test_others_cannot_even_look(stack):
    stack.db_path.parent.chmod(0o755)
    read = subprocess.run(
        ["setpriv", "--reuid", "games", "--regid", "games", "--clear-groups",
         "sqlite3", stack.db_path, "SELECT * FROM tokens"],
        capture_output=True, text=True)
    assert "unable to open" in read.stderr, read
