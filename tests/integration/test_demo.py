"""scripts/demo: its options, its exit status, what it leaves behind."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from node import why_not
from stack import SOURCE, free_port

COMMAND = [sys.executable, str(SOURCE / "scripts" / "demo.py")]

pytestmark = pytest.mark.skipif(
    bool(why_not("sockjs-client")),
    reason=why_not("sockjs-client") or "it is there")


@pytest.fixture
def demo(tmp_path):
    """Runs the demo's second half on the build that is tested; its directory
    goes below a TMPDIR of its own."""
    env = {**os.environ,
           "POLYSOCKET_BUILD": os.environ.get("POLYSOCKET_BUILD",
                                              str(SOURCE))}

    def run(*args, start=False):
        command = [*COMMAND, *args]
        if start:
            return subprocess.Popen(command, env=env, text=True,
                                    stdout=subprocess.PIPE)
        return subprocess.run(command, env=env, text=True, timeout=60,
                              capture_output=True)

    return run


def test_once_prints_the_conversation_and_exits(demo, server):
    done = demo("--once", "--server", server)
    assert done.returncode == 0, done
    for part in ("/polysocket/create", "/polysocket/send",
                 "/polysocket/jsonp", "/polysocket/xhr-streaming",
                 "/polysocket/close", "/demo/emit", "/demo/members"):
        assert re.search(rf"^\$ curl .*{part}", done.stdout, re.MULTILINE)
    assert "201" in done.stdout and '"type":"close"' in done.stdout
    made, application = re.findall(
        r'^\$ sqlite3 [^"]+ "\nBEGIN;\nINSERT INTO tokens[^"]*"\n'
        r'([0-9a-f]{32})$', done.stdout, re.MULTILINE)
    assert f'"token":"{made}"' in done.stdout, "it uses the token it has made"
    assert f"/authorize/{application}/" in done.stdout
    assert re.search(r'^\$ sqlite3 .*live_sessions"\n[^$]*'
                     r"│ demo +│ ws://127.0.0.1:\d+/ +│", done.stdout,
                     re.MULTILINE)


def test_once_shows_both_sides_of_a_channel(demo, server):
    done = demo("--once", "--server", server)
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    listen, = [line for line in lines
               if line.startswith("$ python3 -m websockets")]
    assert "/demo/listen?token=" in listen
    heard = [json.loads(line[2:]) for line in lines if line.startswith("< ")]
    assert [frame["type"] for frame in heard] == [
        "CONNECTED", "DATA", "ACK-RECEIVED"]
    said, = [json.loads(line[2:]) for line in lines if line.startswith("> ")]
    assert said == {"type": "ACK",
                    "payload": {"eventID": heard[1]["eventID"]}}
    answer, = [line for line in lines if '"acked"' in line]
    assert f'"acked":["{heard[0]["clientID"]}"]' in answer


def test_once_has_people_chat(demo, server):
    done = demo("--once", "--server", server)
    assert done.returncode == 0, done
    said = re.findall("^(Ann|Bob) > (.*)$", done.stdout, re.MULTILINE)
    assert [who for who, _ in said] == ["Ann", "Bob", "Bob"]
    for who in ("Ann", "Bob"):
        heard = [json.loads(text) for text in re.findall(
            f"^{who} < (.*)$", done.stdout, re.MULTILINE)]
        lines = {line["number"]: line for line in heard if "number" in line}
        assert [(line["name"], line["text"]) for line in lines.values()
                if line["kind"] == "said"] == said[:2]
        assert any("private" in line for line in heard) == (who == "Bob")
    assert '"queued":true' in done.stdout and "Carl < news" in done.stdout
    assert '"code":3000' in done.stdout


def test_quiet_prints_nothing(demo):
    done = demo("--once", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_run_gives_the_command_what_it_needs(demo, server):
    port = free_port()
    done = demo("--server", server, "--port", str(port), "--set",
                "hold_default=5s", "--run", "env")
    assert done.returncode == 0, done
    env = dict(line.split("=", 1) for line in done.stdout.splitlines()
               if line.startswith("POLYSOCKET_"))
    assert env["POLYSOCKET_URL"] == f"http://127.0.0.1:{port}"
    assert env["POLYSOCKET_ECHO_WS"].startswith("ws://127.0.0.1:")
    assert re.fullmatch("[0-9a-f]{32}", env["POLYSOCKET_TOKEN"])
    pids = [int(pid) for name in ("BRIDGE_PID", "WORKER_PIDS", "SERVER_PID")
            for pid in env["POLYSOCKET_" + name].split()]
    assert len(pids) == 4
    assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids)
    for name in ("DB", "CONF"):
        assert not pathlib.Path(env["POLYSOCKET_" + name]).exists()


def test_run_exits_with_the_status_of_the_command(demo):
    assert demo("--run", "sh", "-c", "exit 7").returncode == 7
    assert demo("--run", "grep -q hold_min=2s $POLYSOCKET_CONF; exit 9"
                ).returncode == 9


def test_run_has_a_token_that_reaches_the_echo_server_only(demo):
    create = ("curl -s -d token=$POLYSOCKET_TOKEN -d target=%s "
              "$POLYSOCKET_URL/polysocket/create")
    assert '"ok":true' in demo("--run", create % "$POLYSOCKET_ECHO_WS").stdout
    assert '"target_refused"' in demo(
        "--run", create % "ws://127.0.0.1:1/").stdout


def test_set_reaches_the_configuration(demo):
    done = demo("--set", "hold_min=2s", "--set", "node=z", "--run",
                "cat $POLYSOCKET_CONF")
    assert "hold_min = 2s\n" in done.stdout
    assert "node = z\n" in done.stdout


def test_bad_configuration_is_told(demo):
    done = demo("--once", "--set", "nonsense=1")
    assert done.returncode == 1
    assert "nonsense" in done.stderr


def test_two_demos_run_beside_each_other(demo):
    outer = demo("--run", *COMMAND, "--once", "--quiet")
    assert outer.returncode == 0, outer


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_demo_serves_until_it_is_interrupted(demo, sig):
    process = demo(start=True)
    with process:
        url = page = chat = None
        for line in process.stdout:
            match = re.search(r"Serving at (http://\S+);", line)
            url = match.group(1) if match else url
            match = re.match(r"file://(\S+)", line)
            page = pathlib.Path(match.group(1)) if match else page
            match = re.match(r"(http://\S+/chat/)$", line)
            chat = match.group(1) if match else chat
            if "Interrupt" in line:
                break
        assert f'"{url}/demo/"' in page.read_text()
        assert chat == f"{url}/chat/"
        done = subprocess.run(["curl", "-s", chat], capture_output=True,
                              text=True)
        assert "<h1>A small chat</h1>" in done.stdout
        done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w",
                               "%{http_code}", url + "/p/none.0"],
                              capture_output=True, text=True)
        assert done.stdout == "403"
        process.send_signal(sig)
        assert process.wait(20) == 0
        assert not page.exists()
    done = subprocess.run(["curl", "-s", url + "/p/none.0"],
                          capture_output=True)
    assert done.returncode == 7, "nobody listens any more"


def test_another_python_in_front_of_debians_does_not_matter(tmp_path):
    """It would not have python3-websockets."""
    other = tmp_path / "python3"
    other.write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    other.chmod(0o755)
    done = subprocess.run(
        [SOURCE / "scripts" / "demo", "--help"], capture_output=True,
        text=True, timeout=60, check=False,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == 0 and "--once" in done.stdout, done


@pytest.mark.parametrize("argument, status", [("--help", 0), ("--fast", 2)])
def test_check_takes_no_arguments(argument, status):
    """Who asks it for help has not installed and built everything."""
    done = subprocess.run([SOURCE / "scripts" / "check", argument],
                          capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == status
    assert done.stdout.startswith("Everything that has to pass")
