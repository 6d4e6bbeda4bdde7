"""What README and doc/operations.md tell an administrator to say to sqlite3,
said to the real one, beside a running stack."""

import base64
import hmac
import json
import os
import re
import shlex
import signal
import subprocess
import time

import pytest

from client import Http, Polysocket
from stack import SOURCE
from target import Target

DATABASE = "/var/lib/polysocket/polysocket.db"
BACKUP = "/var/backups/polysocket.db"
PATIENCE_S = 10     # test_tokens.py measures the second it takes
SQL = re.compile(r"(SELECT|INSERT|UPDATE|DELETE|PRAGMA|VACUUM|\.backup "
                 r"|\.restore )")


def blocks(document):
    """The indented blocks of a document, up to their first blank line."""
    text = (SOURCE / document).read_text("utf-8")
    return [re.sub("^    ", "", block, flags=re.MULTILINE)
            for block in re.findall("(?:^    .*\n)+", text, re.MULTILINE)]


def readme_commands():
    """The sqlite3 commands of README, each as words."""
    return [shlex.split(block)[1:] for block in blocks("README.md")
            if block.startswith("sudo sqlite3 ")]


def statements(*documents):
    return [block for document in documents for block in blocks(document)
            if SQL.match(block)]


def operations_statements():
    return statements("doc/operations.md")


@pytest.fixture
def administrator(new_stack, tmp_path):
    """A stack without a token, and one who speaks to its sqlite3."""
    stack = new_stack(targets=None)

    def run(words, replace=None, script=None):
        replace = {DATABASE: str(stack.db_path),
                   BACKUP: str(tmp_path / "backup.db"), **(replace or {})}
        for old, new in replace.items():
            words = [word.replace(old, new) for word in words]
            script = script and script.replace(old, new)
        done = subprocess.run(words, input=script or "", text=True,
                              capture_output=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, ""), (words, script)
        return done.stdout

    run.stack = stack
    return run


def wait_for(attempt, wanted):
    """The first result of `attempt` that is as wanted."""
    deadline = time.monotonic() + PATIENCE_S
    result = attempt()
    while not wanted(result):
        assert time.monotonic() < deadline, result
        time.sleep(0.02)
        result = attempt()
    return result


def columns(text):
    """The names at the head of the first box."""
    return re.findall(r"\w+", re.search("┐\n(.*)", text).group(1))


def test_readme_gives_a_token_shows_who_is_connected_and_stops_them(
        administrator):
    stack = administrator.stack
    relay = Polysocket(Http(stack.port))
    make, show, stop, disable = readme_commands()[1:]
    shop = {"Origin": "https://shop.example.com"}

    with Target() as target:
        url = target.url("echo")

        def create():
            return relay.try_create(url, headers=shop, token=secret)

        secret = administrator(make, {
            "wss://chat.example.com/room*": url + "*"}).strip()
        assert re.fullmatch("[0-9a-f]{32}", secret)
        wait_for(create, lambda reply: reply.status == 200)
        stack.wait_policy()
        assert relay.try_create(url, headers=shop).code == "token_unknown"
        assert relay.try_create(url, headers={
            "Origin": "https://elsewhere.example"},
            token=secret).code == "origin_refused"
        assert relay.try_create("ws://127.0.0.1:1/", headers=shop,
                                token=secret).code == "target_refused"

        session = relay.create(url, headers=shop, token=secret)
        shown = wait_for(lambda: administrator(show),
                         lambda text: text.count(" shop ") == 2)
        assert columns(shown) == columns("".join(blocks("README.md")))

        with session.begin() as poll:
            administrator(stop, {"203.0.113.9": "127.0.0.1"})
            assert "closed by administrator" in poll.response().text
        session = relay.create(url, headers=shop, token=secret)
        with session.begin() as poll:
            administrator(disable)
            assert "token disabled" in poll.response().text
        wait_for(create, lambda reply: reply.code == "token_unknown")


def test_every_statement_of_the_manual_works(administrator):
    for statement in statements("doc/operations.md",
                                "doc/applications.md"):
        administrator(["sqlite3", "-bail", "-cmd", ".timeout 5000", DATABASE],
                      script=statement)
    stack = administrator.stack
    wait_for(lambda: stack.status("/polysocket/health/ready"),
             lambda status: status == 200)
    assert stack.bridge.poll() is None


def test_every_kind_of_statement_is_found():
    """That the test above reads what it is meant to read."""
    assert len(statements("doc/applications.md")) == 3
    found = "\n".join(operations_statements())
    for part in ("INSERT INTO tokens", "INSERT INTO token_targets",
                 "SET secret", "SET enabled = 0", "SET expires_at",
                 "DELETE FROM tokens", "SET close_requested",
                 "FROM live_sessions", "FROM token_overview",
                 "FROM usage_by_day", ".backup", ".restore", "VACUUM"):
        assert part in found, part


def test_no_sqlite3_of_readme_is_missed():
    text = (SOURCE / "README.md").read_text("utf-8")
    assert text.count("sudo sqlite3 ") == len(readme_commands()) == 5


def test_readme_listens_to_a_channel_and_emits(new_stack):
    stack = new_stack()
    stack.add_token("the-token")
    stack.wait_policy()
    listen, emits, answer, heard = [
        block.rstrip("\n") for block in blocks("README.md")
        if "/demo/" in block or "eventID" in block and "socket" not in block]
    env = {**os.environ, "U": stack.url, "T": "the-token"}
    with subprocess.Popen(listen, shell=True, env=env, text=True,
                          stdout=subprocess.PIPE,
                          start_new_session=True) as listener:
        try:
            frames = (json.loads(line[6:]) for line in listener.stdout
                      if line.startswith("data: "))
            told = [json.loads(line[6:]) for line in heard.splitlines()]
            found = [next(frames)]
            for command in emits.splitlines():
                done = subprocess.run(command, shell=True, env=env,
                                      capture_output=True, timeout=30)
                assert list(json.loads(done.stdout)) == list(
                    json.loads(answer))
                found.append(next(frames))
        finally:
            os.killpg(listener.pid, signal.SIGTERM)
    # Both emits are the same event.
    assert found[1]["payload"] == found[2]["payload"] == told[1]["payload"]
    for frame, its in zip(found, told):
        assert list(frame) == list(its)
        assert list(frame["payload"]) == list(its["payload"])


def test_the_manual_quotes_what_verifies_a_signature():
    text = (SOURCE / "doc/applications.md").read_text("utf-8")
    for name in ("verify.php", "verify.py"):
        quoted = re.sub("^(?=.)", "    ", (SOURCE / "examples" / name)
                        .read_text("utf-8"), flags=re.MULTILINE)
        assert f"(../examples/{name}):\n\n{quoted}\n" in text, name


def test_the_signature_in_the_manual_is_right():
    text = (SOURCE / "doc/applications.md").read_text("utf-8")
    key, = re.findall("^    (whsec_.*)$", text, re.MULTILINE)
    callback, = [block for block in blocks("doc/applications.md")
                 if block.startswith("POST ")]
    body, = [block for block in blocks("doc/applications.md")
             if block.startswith('{"message":"hello"')]
    headers = dict(re.findall("^([a-z-]+): (.*)$", callback, re.MULTILINE))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}"
    digest = hmac.digest(base64.b64decode(key.removeprefix("whsec_")),
                         signed.rstrip("\n").encode(), "sha256")
    assert headers["webhook-signature"] == (
        "v1," + base64.b64encode(digest).decode())
