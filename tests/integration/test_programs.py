"""The programs: options, configuration, signals, start modes, privileges."""

import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

from client import Http, Polysocket
from stack import SOURCE, START_MODES, Stack, can_connect, children, free_port
from target import Target

ROOT = os.geteuid() == 0


@pytest.fixture
def files(new_stack):
    """A stack that is not started: its paths and configuration only."""
    stack = new_stack(start=False)
    stack.make_database()
    stack.write_config()
    return stack


@pytest.fixture
def server(request):
    """The server does not matter here, but where a test says so."""
    return getattr(request, "param", "lighttpd")


def run(*command, timeout=20):
    return subprocess.run([str(part) for part in command], text=True,
                          capture_output=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)


def programs(stack):
    return stack.wsbridge, stack.fcgi


# Options.

def test_version_and_help(files):
    for program in programs(files):
        done = run(program, "--version")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(r"\d+\.\d+", done.stdout)
        done = run(program, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.findall("^  (--[a-z-]+)", done.stdout,
                          re.MULTILINE) == manual_options(program.name)


def manual_options(program):
    """Of its manual, as they stand there."""
    text = (SOURCE / f"doc/{program}.8.in").read_text("utf-8")
    return [option.replace("\\", "") for option in re.findall(
        r"^\.TP\n\.BI? (\\-\\-[a-z\\-]+)", text, re.MULTILINE)]


def test_bad_usage_exits_with_2(files):
    for program in programs(files):
        for args in (["--nonsense"], ["--config"], ["argument"], ["--set"]):
            done = run(program, *args)
            assert done.returncode == 2, (program, args, done)
            assert done.stderr and not done.stdout


def test_check_reads_everything_and_exits(files):
    done = run(files.wsbridge, "--config", files.conf_path, "--check")
    assert done.returncode == 0, done
    assert not files.bridge_socket.exists()


@pytest.mark.parametrize("line, says", [
    ("nonsense = 1", "nonsense"),
    ("hold_default = soon", "hold_default"),
    ("hold_default = 25", "hold_default"),
    ("hold_default = 25KiB", "hold_default"),
    ("max_body = 12s", "max_body"),
    ("max_sessions = -1", "max_sessions"),
    ("max_sessions = 99999999999999999999", "max_sessions"),
    ("upstream_deflate = perhaps", "upstream_deflate"),
    ("log_level = loud", "log_level"),
    ("services = tea", "services"),
    ("socket_mode = 0999", "socket_mode"),
    ("mount_prefix = no-slash", "mount_prefix"),
    ("user = nobody-of-that-name", "user"),
    ("hold_default", "hold_default"),
    ("= 5", None),
])
def test_bad_configuration_is_named_with_its_place(files, line, says):
    text = files.conf_path.read_text()
    files.conf_path.write_text(text + line + "\n")
    n = text.count("\n") + 1
    done = run(files.wsbridge, "--config", files.conf_path, "--check")
    assert done.returncode == 1, done
    assert says is None or says in done.stderr
    if says != "user":      # who exists is not a matter of the file
        assert re.search(rf"polysocket\.conf:{n}\b", done.stderr), done.stderr
        done = run(files.fcgi, "--config", files.conf_path, "--listen",
                   files.fcgi_socket)
        assert done.returncode == 1, done


def test_configuration_file_must_exist(files):
    for program in programs(files):
        done = run(program, "--config", files.directory / "missing.conf")
        assert done.returncode == 1
        assert "missing.conf" in done.stderr


def test_comments_blank_lines_and_spaces_are_allowed(files):
    files.conf_path.write_text(
        "# a comment\n\n   \t\n  hold_default=30s\t\n  # another\n" +
        files.conf_path.read_text())
    done = run(files.wsbridge, "--config", files.conf_path, "--check")
    assert done.returncode == 0, done.stderr


def test_set_overrides_the_file(files):
    for option in ("hold_default=soon", "nonsense=1"):
        done = run(files.wsbridge, "--config", files.conf_path, "--check",
                   "--set", option)
        assert done.returncode in (1, 2)
        assert option.partition("=")[0] in done.stderr
    bridge = files.bridge_socket.with_name("other.sock")
    files.start_bridge("--set", f"bridge_socket={bridge}", wait=False)
    files.wait_until(lambda: can_connect(bridge), "the other socket",
                     files.bridge)
    assert not files.bridge_socket.exists()


def test_print_config_is_a_sample_that_can_be_read_back(files):
    done = run(files.wsbridge, "--print-config")
    assert done.returncode == 0
    keys = re.findall(r"^#?\s?([a-z_]+) =", done.stdout, re.MULTILINE)
    assert len(keys) == len(set(keys)) > 30
    for key in ("processes", "hold_default", "stream_bytes", "user"):
        assert key in keys
    # With every default spelled out it is a configuration like any other.
    sample = re.sub(r"^#([a-z_]+ =)", r"\1", done.stdout, flags=re.MULTILINE)
    sample = re.sub(r"^(user|group) = .*\n", "", sample, flags=re.MULTILINE)
    files.conf_path.write_text(sample)
    overrides = [part for key in ("bridge_socket", "ws_socket", "database")
                 for part in ("--set", f"{key}={files.options[key]}")]
    done = run(files.wsbridge, "--config", files.conf_path, "--check",
               *overrides)
    assert done.returncode == 0, done.stderr


# Start modes, and what the programs do with their processes.

@pytest.mark.parametrize("start_mode, server", [
    (mode, server) for mode in START_MODES for server in ("lighttpd", "apache")
    if (mode, server) != ("bin-path", "apache")], indirect=["server"])
def test_workers_can_be_started_in_every_way(start_mode, server, new_stack,
                                             target):
    stack = new_stack(server=server, start_mode=start_mode,
                      options={"processes": "2"})
    session = Polysocket(Http(stack.port)).create(target.url("echo"))
    session.send("hello")
    assert session.receive() == ["hello"]
    stack.wait_workers(2)
    pids = stack.worker_pids
    if start_mode == "bin-path":
        stack.stop_server()
    else:
        parent = stack.workers
        stack.stop_workers()
        assert parent.returncode == 0
    stack.wait_until(lambda: not any(map(alive, pids)), "the workers' end")


def alive(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


def test_workers_end_with_their_supervisor(new_stack):
    stack = new_stack()
    pids = stack.worker_pids
    stack.stop_workers(signal.SIGKILL)
    stack.wait_until(lambda: not any(map(alive, pids)), "the workers' end")


def test_workers_listen_on_a_tcp_port_too(files):
    port = free_port()
    workers = files.run("workers", [*files.worker_command(), "--listen",
                                    f"127.0.0.1:{port}"])
    files.wait_until(lambda: can_connect(("127.0.0.1", port)), "the port",
                     workers)
    files.end("workers", workers, signal.SIGTERM)
    assert workers.returncode == 0


def test_stale_sockets_are_replaced(new_stack, target):
    stack = new_stack()
    stack.stop_bridge(signal.SIGKILL)
    stack.stop_workers(signal.SIGKILL)
    assert stack.bridge_socket.exists()
    stack.start_bridge()
    stack.start_workers()
    stack.wait_until(stack.answers, "an answer")
    assert Polysocket(Http(stack.port)).create(target.url("echo")).id


def test_second_bridge_does_not_take_the_sockets_of_the_first(new_stack,
                                                              target):
    stack = new_stack()
    done = run(stack.wsbridge, "--config", stack.conf_path, "--foreground")
    assert done.returncode == 1
    assert "bridge.sock" in done.stderr
    assert Polysocket(Http(stack.port)).create(target.url("echo")).id


def test_bridge_daemonizes_without_foreground(files):
    done = run(files.wsbridge, "--config", files.conf_path, "--set",
               "log_target=syslog")
    assert done.returncode == 0, done
    files.wait_until(lambda: can_connect(files.bridge_socket), "the bridge")
    pid = peer_pid(files.bridge_socket)
    try:
        assert pid != os.getpid() and alive(pid)
        assert os.getsid(pid) != os.getsid(0)
        os.kill(pid, signal.SIGTERM)
        files.wait_until(lambda: not can_connect(files.bridge_socket),
                         "the end of the daemon")
        files.wait_until(lambda: not alive(pid) or is_zombie(pid),
                         "the end of the daemon")
    finally:
        if alive(pid) and not is_zombie(pid):
            os.kill(pid, signal.SIGKILL)


def is_zombie(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "Z"


def peer_pid(path):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))
        creds = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return struct.unpack("iii", creds)[0]


@pytest.mark.skipif(not ROOT, reason="only root can drop root")
@pytest.mark.parametrize("server", ["lighttpd", "apache"], indirect=True)
def test_bridge_drops_root(new_stack, server, target):
    stack = new_stack(start=False, server=server, options={
        "user": "www-data", "group": "www-data"})
    os.chown(stack.directory, 33, 33)
    stack.start()
    status = pathlib.Path(f"/proc/{stack.bridge_pid}/status").read_text()
    ids = {line.split()[0]: line.split()[1:] for line in status.splitlines()
           if line.startswith(("Uid:", "Gid:", "Groups:"))}
    assert set(ids["Uid:"]) == {"33"} and set(ids["Gid:"]) == {"33"}
    assert set(ids["Groups:"]) <= {"33"}
    session = Polysocket(Http(stack.port)).create(target.url("echo"))
    session.send("hello")
    assert session.receive() == ["hello"]


@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
def test_sockets_have_the_configured_mode(new_stack, mode):
    stack = new_stack(options={"socket_mode": mode})
    for path in (stack.bridge_socket, stack.ws_socket, stack.fcgi_socket):
        assert path.stat().st_mode & 0o777 == int(mode, 8), path


# Logs.

def test_log_tells_a_session_but_no_secret(new_stack, target):
    stack = new_stack(options={"log_level": "debug"})
    session = Polysocket(Http(stack.port)).create(target.url("quiet"))
    session.send("a-secret-body")
    target.connection().send("another-secret-body")
    session.receive()
    session.finish()
    stack.stop_bridge()
    stack.stop_workers()
    log = stack.log("wsbridge") + stack.log("workers")
    secret = session.id.partition(".")[2]
    assert secret[:5] not in log
    assert "secret-body" not in log
    states = re.findall(r"(\w+) -> (\w+)", log)
    assert states == [("connecting", "open"), ("open", "closing"),
                      ("closing", "closed")]
    assert str(target.port) in log


# Signals.

def test_sighup_applies_a_good_configuration(new_stack, target):
    # One limit that the bridge keeps, one that the workers keep.
    stack = new_stack(options={"max_sessions_per_address": "1",
                               "max_events": "1"})
    relay = Polysocket(Http(stack.port))
    session = relay.create(target.url("echo"))
    assert relay.try_create(target.url("echo")).code == "connection_limit"
    assert session.try_send("a", "b").code == "too_many_events"
    old = stack.worker_pids
    stack.write_config(max_sessions_per_address="2", max_events="2")
    stack.bridge.send_signal(signal.SIGHUP)
    stack.workers.send_signal(signal.SIGHUP)
    stack.wait_until(lambda: not set(old) & set(stack.worker_pids)
                     and stack.worker_pids, "new workers")
    stack.wait_until(lambda: session.try_send("a", "b").status == 201,
                     "the limit of the workers")
    stack.wait_until(lambda: relay.try_create(target.url("echo")).status
                     == 200, "the limit of the bridge")


def test_sighup_keeps_sessions(new_stack, target):
    stack = new_stack()
    session = Polysocket(Http(stack.port)).create(target.url("echo"))
    with session.begin() as poll:
        stack.write_config(hold_default="20s")
        stack.bridge.send_signal(signal.SIGHUP)
        stack.workers.send_signal(signal.SIGHUP)
        session.send("hello")
        assert "hello" in poll.response().text


def test_sighup_with_a_bad_configuration_changes_nothing(new_stack, target):
    stack = new_stack()
    relay = Polysocket(Http(stack.port))
    session = relay.create(target.url("echo"))
    stack.write_config(nonsense="1", max_body="1")
    stack.bridge.send_signal(signal.SIGHUP)
    stack.workers.send_signal(signal.SIGHUP)
    for name in ("wsbridge", "workers"):
        stack.wait_until(lambda n=name: "nonsense" in stack.log(n),
                         "the reason in the log")
    session.send("still here")
    assert session.receive() == ["still here"]
    relay.create(target.url("echo"))


def test_sigterm_answers_what_is_held_and_closes_upstreams(new_stack, target):
    stack = new_stack()
    relay = Polysocket(Http(stack.port))
    polling, streaming, waiting = (relay.create(target.url("quiet"))
                                   for _ in range(3))
    with stack.until_held(polling.begin) as poll, \
            streaming.stream() as stream:
        assert stream.prelude
        bridge = stack.bridge
        stack.stop_bridge(signal.SIGTERM)
        assert bridge.returncode == 0
        assert poll.response().json["ok"] is True
        stream.rest()
    for i in range(3):
        assert target.connection(i).wait_closed()[0] == 1001
    assert waiting.try_poll().status == 403


def test_sigterm_writes_what_is_unwritten(new_stack):
    stack = new_stack(options={"close_timeout": "10s"})
    with Target(buffer_bytes=16384) as target:
        session = Polysocket(Http(stack.port)).create(target.url("deaf"))
        connection = target.connection()
        texts = [f"{i} ".ljust(100000, "x") for i in range(10)]
        session.send(*texts)
        bridge = stack.bridge
        bridge.send_signal(signal.SIGTERM)
        stack.wait_until(lambda: "drain" in stack.log("wsbridge"), "drain")
        connection.resume()
        assert connection.wait_closed()[0] == 1001
        assert connection.messages == texts
        assert bridge.wait(20) == 0


def test_closing_takes_nothing_new_and_has_an_end(new_stack, target):
    stack = new_stack(options={"close_timeout": "1500ms"})
    relay = Polysocket(Http(stack.port))
    relay.create(target.url("quiet", answer_close="no"))
    bridge = stack.bridge
    bridge.send_signal(signal.SIGTERM)
    target.connection().wait_for(lambda c: c.close, "the close frame")
    assert bridge.poll() is None, "waits for the target"
    response = relay.try_create(target.url("quiet"))
    assert response.status == 503
    assert response.code in ("draining", "bridge_unavailable")
    assert int(response.header("Retry-After")) >= 1
    assert bridge.wait(10) == 0


def test_closing_does_not_wait_for_clients_that_cannot_come(new_stack, target):
    stack = new_stack(options={"close_timeout": "20s"})
    session = Polysocket(Http(stack.port)).create(target.url("quiet"))
    target.connection().do("drop")
    stack.wait_until(session.is_gone, "the close event")
    begun = time.monotonic()
    stack.stop_bridge(signal.SIGTERM)
    assert time.monotonic() - begun < 8


def test_sigint_is_sigterm(new_stack):
    stack = new_stack()
    bridge = stack.bridge
    stack.stop_bridge(signal.SIGINT)
    assert bridge.returncode == 0


def test_stack_leaves_nothing_running():
    stack = Stack("lighttpd").start()
    pids = [stack.bridge_pid, stack.worker_parent_pid, stack.server_pid,
            *stack.worker_pids]
    stack.stop()
    assert not any(alive(pid) for pid in pids)
    assert not stack.directory.exists()
    assert children(pids[0]) == []
