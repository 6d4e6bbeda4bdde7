"""Polysocket complete on loopback: bridge, workers and a real web server.

    with Stack("lighttpd", options={"hold_default": "1s"}) as stack:
        ...stack.url...

Everything lives below one temporary directory with a short name (the path of
a Unix socket has 107 bytes); every program started here ends with the stack,
and with the process that made it. Nothing waits for a fixed time: a part is
ready when it can be connected to. Standard library only; used by the tests,
the demo and the benchmark.
"""

import contextlib
import ctypes
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from database import Database, insert

SOURCE = pathlib.Path(__file__).resolve().parents[2]
READY_S = 60
STOP_S = 60
WEB_STOP_S = 1      # Apache waits 10 s for what it holds; nobody needs that
SERVERS = ("lighttpd", "apache")
LOOPBACK = ("*://127.0.0.1:*", "*://localhost:*", "*://[::1]:*")
ALL_CHANNELS = (("*", 1, 1),)     # pattern, may_emit, may_listen
START_MODES = ("listen", "bin-path", "spawn-fcgi", "systemd")

APACHE_MODULES = "/usr/lib/apache2/modules"
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None)


class StackError(Exception):
    """A part did not start or stop as it should; tails() may say why."""


class Stack:
    """See the module. `build` holds the built programs (POLYSOCKET_BUILD, or
    the top of the source tree); `environment` goes to the workers as FastCGI
    parameters set by the web server; `targets` are what requests without a
    token may relay to, None for a database without the token anonymous, which
    may use all channels; `beside` is configuration of the web server that
    follows polysocket's. With a prefix, files in the directory are served
    above it."""

    def __init__(self, server="lighttpd", prefix="", options=None, port=None,
                 start_mode="listen", build=None, directory=None, http2=True,
                 environment=None, targets=LOOPBACK, beside=""):
        assert server in SERVERS and start_mode in START_MODES
        self.server = server
        self.prefix = prefix
        self.start_mode = start_mode
        self.http2 = http2
        self.environment = environment or {}
        self.targets = targets
        self.beside = beside
        self.wanted_port = port
        self.port = port
        build = pathlib.Path(build or os.environ.get("POLYSOCKET_BUILD")
                             or SOURCE).resolve()
        self.build = build
        self.wsbridge = build / "wsbridge" / "wsbridge"
        self.fcgi = build / "fcgi-app" / "polysocket.fcgi"
        self.directory = pathlib.Path(
            directory or tempfile.mkdtemp(prefix="ps-", dir="/tmp"))
        # Apache's children are not root even where the tests are.
        self.directory.chmod(0o755)
        self.owns_directory = directory is None
        self.conf_path = self.directory / "polysocket.conf"
        self.db_path = self.directory / "polysocket.db"
        self.database = Database(self.db_path)
        self.bridge_socket = self.directory / "bridge.sock"
        self.ws_socket = self.directory / "ws.sock"
        self.fcgi_socket = self.directory / "fcgi.sock"
        self.options = {
            "bridge_socket": self.bridge_socket,
            "ws_socket": self.ws_socket,
            "database": self.db_path,
            "log_level": "debug",
            "drain_timeout": "0s",      # nobody is to wait for sessions
            "mount_prefix": prefix,
            "allow_networks": "127.0.0.0/8, ::1/128",
            **({"socket_mode": "0666"} if os.geteuid() == 0 else {}),
            **(options or {}),
        }
        self.bridge_wrapper = []    # a command that execs its arguments
        self.worker_wrapper = []
        self.bridge = self.workers = self.web = None
        self.draining = []      # bridges that have a successor
        self.listener = None
        self.exits = []         # (name, return code) of what was stopped

    # The parts together.

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def start(self):
        try:
            if not self.db_path.exists():
                self.make_database()
            self.write_config()
            self.start_bridge()
            if self.start_mode != "bin-path":
                self.start_workers()
            self.start_server()
            self.wait_until(self.answers, "an answer through the web server")
        except BaseException as error:
            self.stop(keep=True)
            tails = self.tails()
            self.stop()
            if isinstance(error, StackError):
                raise StackError(f"{error}\n{tails}") from None
            raise
        return self

    def stop(self, keep=False):
        """Stops all; the directory goes too, but with `keep`."""
        try:
            for stop in (self.stop_server, self.stop_workers,
                         lambda: self.stop_bridge(signal.SIGINT),
                         self.stop_draining):
                with contextlib.suppress(ProcessLookupError):
                    stop()
        finally:
            if self.listener:
                self.listener.close()
            if self.owns_directory and not keep:
                shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def answers(self):
        """Whether the whole chain answers: an unknown socket is a 403."""
        try:
            return self.status("/polysocket/xhr?socket=none.0") == 403
        except (OSError, http.client.HTTPException):
            return False

    def status(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=READY_S)
        with contextlib.closing(connection):
            connection.request("GET", self.prefix + path)
            return connection.getresponse().status

    # Configuration and database.

    def write_config(self, **changes):
        """Writes the file, with changes that stay; a None goes away."""
        self.options.update(changes)
        self.conf_path.write_text("".join(
            f"{key} = {value}\n" for key, value in self.options.items()
            if value is not None))
        self.conf_path.chmod(0o644)

    def make_database(self):
        """A new one in the place of any that is there."""
        for path in self.directory.glob(self.db_path.name + "*"):
            path.unlink()
        Database.create(self.db_path)
        if self.targets is not None:
            self.sql(*token_rows(1, {"name": "anonymous"}, ["*"],
                                 self.targets, ALL_CHANNELS))
        owner = self.directory.stat()
        os.chown(self.db_path, owner.st_uid, owner.st_gid)

    def sql(self, *statements):
        """What an administrator would say to sqlite3; returns the rows."""
        return self.database.sql(*statements)

    def add_token(self, secret, origins=("*",), targets=LOOPBACK,
                  channels=ALL_CHANNELS, **columns):
        """A token of that secret and its rights; returns its id."""
        columns = {"name": secret[:64], "secret": secret, **columns}
        number = self.database.value(insert("tokens", columns)
                                     + " RETURNING id")
        self.sql(*token_rows(number, None, origins, targets, channels))
        return number

    def wait_policy(self):
        """Waits until all workers, and the bridge, which judges WebSockets,
        know the rights that are in the database."""
        wanted = self.database.value("SELECT revision FROM policy")

        def known():
            seen = {int(pid): int(revision) for pid, revision in re.findall(
                r"\[(\d+)\] debug: (?:rights|enforce): revision (\d+)",
                self.log("workers") + self.log("wsbridge"))}
            alive = [bridge.pid for bridge in [self.bridge]
                     if bridge is not None and bridge.poll() is None]
            return all(seen.get(pid, 0) >= wanted
                       for pid in self.worker_pids + alive)

        self.wait_until(known, f"revision {wanted} of the rights",
                        self.workers)

    # The bridge.

    @property
    def bridge_pid(self):
        return self.bridge.pid

    def bridge_descriptors(self):
        """What it has open, as readlink tells it."""
        found = []
        directory = f"/proc/{self.bridge_pid}/fd"
        for name in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"{directory}/{name}"))
        return found

    def held_requests(self):
        """The connections of the web server that the bridge has in hand."""
        with open("/proc/net/unix", encoding="utf-8") as table:
            theirs = {f"socket:[{line.split()[6]}]" for line in table
                      if line.endswith(f" {self.fcgi_socket}\n")}
        return theirs.intersection(self.bridge_descriptors())

    def until_held(self, begin, n=1, timeout=READY_S):
        """Calls `begin` and waits until the bridge holds n requests more;
        one that was answered before may still be there, and does not count."""
        before = self.held_requests()
        begun = begin()
        self.wait_until(lambda: len(self.held_requests() - before) >= n,
                        f"{n} more held requests", self.bridge, timeout)
        return begun

    def wait_held(self, n, timeout=READY_S):
        """Waits until the bridge has exactly so many requests in hand, which
        those it has just answered may be of: until_held() tells them apart."""
        self.wait_until(lambda: len(self.held_requests()) == n,
                        f"{n} held requests", self.bridge, timeout)

    def start_bridge(self, *args, wait=True, mode="--foreground"):
        """Waits until it serves: its place leads to it."""
        before = self.bridge_tag()
        self.bridge = self.run("wsbridge", [
            *self.bridge_wrapper, self.wsbridge, "--config", self.conf_path,
            mode, *args])
        if wait:
            self.wait_until(lambda: self.bridge_tag() != before
                            and can_connect(self.bridge_socket), "wsbridge",
                            self.bridge)

    def bridge_tag(self):
        """Of the bridge that takes new sessions, or of the last that did;
        None before there was one."""
        try:
            return os.readlink(self.bridge_socket).rpartition(".")[2]
        except FileNotFoundError:
            return None

    def stop_bridge(self, sig=signal.SIGTERM):
        self.bridge = self.end("wsbridge", self.bridge, sig)

    def replace_bridge(self, *args, **kwargs):
        """What a restart is: the bridge drains and goes on serving its
        sessions (see drain_timeout) beside a successor."""
        self.draining = [bridge for bridge in self.draining
                         if bridge.poll() is None]
        self.bridge.send_signal(signal.SIGTERM)
        self.draining.append(self.bridge)
        self.start_bridge(*args, **kwargs)

    def stop_draining(self):
        """Those that drain close what they have."""
        while self.draining:
            self.end("wsbridge", self.draining.pop(), signal.SIGINT)

    # The workers.

    @property
    def worker_parent_pid(self):
        if self.start_mode != "bin-path":
            return self.workers.pid
        # Between lighttpd and the workers stands what lighttpd started.
        return next(iter(children(self.web.pid)), None)

    @property
    def worker_pids(self):
        parent = self.worker_parent_pid
        return children(parent) if parent else []

    def wait_workers(self, n, without=()):
        """Waits until there are so many, none of them of those."""
        def are_there():
            pids = self.worker_pids
            return len(pids) == n and not set(pids) & set(without)

        self.wait_until(are_there, f"{n} workers", self.workers)

    def worker_command(self):
        return [*self.worker_wrapper, str(self.fcgi), "--config",
                str(self.conf_path)]

    def start_workers(self):
        command = self.worker_command()
        if self.start_mode == "listen":
            self.workers = self.run("workers", [
                *command, "--listen", self.fcgi_socket])
        elif self.start_mode == "spawn-fcgi":
            self.workers = self.run("workers", [
                "spawn-fcgi", "-n", "-s", self.fcgi_socket, "-M", "0666",
                "--", *command])
        elif self.start_mode == "systemd":
            with unix_listener(self.fcgi_socket) as listener:
                self.workers = self.run_activated("workers", command,
                                                  listener)
        else:
            raise StackError("with bin-path the web server starts workers")
        self.wait_until(lambda: can_connect(self.fcgi_socket), "fcgi.sock",
                        self.workers)

    def stop_workers(self, sig=signal.SIGTERM):
        self.workers = self.end("workers", self.workers, sig)

    # The web server.

    @property
    def server_pid(self):
        return self.web.pid

    def start_server(self):
        getattr(self, "start_" + self.server)()
        self.wait_until(lambda: can_connect(("127.0.0.1", self.port)),
                        f"port {self.port}", self.web)

    def stop_server(self, sig=signal.SIGTERM):
        self.web = self.end(self.server, self.web, sig, WEB_STOP_S)

    def reload_server(self):
        """As `systemctl reload` does, for either; returns at once."""
        self.web.send_signal(signal.SIGUSR1)

    def start_lighttpd(self):
        if self.listener is None:
            # Inherited: no other program can take the port in between.
            self.listener = socket.create_server(
                ("127.0.0.1", self.port or 0), backlog=4096)
            self.port = self.listener.getsockname()[1]
        lines = [
            'server.bind = "127.0.0.1"',
            f"server.port = {self.port}",
            f'server.document-root = "{self.directory}"',
            f'server.errorlog = "{self.directory}/lighttpd-error.log"',
            'mimetype.assign = (".html" => "text/html",'
            ' ".js" => "text/javascript")',
            'server.modules = ("mod_setenv")',
            f'server.feature-flags = ("server.graceful-shutdown-timeout"'
            f' => 1, "server.h2proto" => "{enabled(self.http2)}",'
            f' "server.h2c" => "{enabled(self.http2)}")',
            "setenv.add-environment = (" + ", ".join(
                f'"{name}" => "{value}"'
                for name, value in self.environment.items()) + ")",
            "setenv.set-request-header = (" + ", ".join(
                f'"Polysocket-Services" => "{value}"'
                for name, value in self.environment.items()
                if name == "POLYSOCKET_SERVICES") + ")",
        ]
        if self.start_mode == "bin-path":
            command = " ".join(self.worker_command())
            lines.append(f'var.polysocket_start = ("bin-path" => "{command}",'
                         ' "max-procs" => 1)')
        lines += [self.site("lighttpd"), self.beside]
        self.web = self.run_activated(
            "lighttpd", [program("lighttpd"), "-D", "-f",
                         self.write("lighttpd.conf", lines)], self.listener)

    def start_apache(self):
        for _ in range(20):
            self.port = self.port or free_port()
            self.web = self.run("apache", [
                program("apache2"), "-D", "FOREGROUND", "-f",
                self.write("apache.conf", self.apache_lines())])
            with contextlib.suppress(StackError):
                self.wait_until(
                    lambda: can_connect(("127.0.0.1", self.port))
                    and self.web.poll() is None, "apache", self.web)
                return
            log = self.tail("apache-error", "apache")
            self.end("apache", self.web, signal.SIGTERM)
            if self.wanted_port or "could not bind" not in log:
                raise StackError("apache did not start\n" + log)
            self.port = None
        raise StackError("no free port for apache")

    def apache_lines(self):
        # The shipped configuration loads what else it needs.
        modules = ["mpm_event", "authz_core", "env", "reqtimeout", "deflate",
                   "filter"]
        lines = [f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so"
                 for name in modules]
        if os.geteuid() == 0:
            lines += ["User www-data", "Group www-data"]
        return lines + [
            f'ServerRoot "{self.directory}"',
            f'DefaultRuntimeDir "{self.directory}"',
            f'PidFile "{self.directory}/apache.pid"',
            f'ErrorLog "{self.directory}/apache-error.log"',
            f'DocumentRoot "{self.directory}"',
            "ServerName 127.0.0.1",
            # As Debian does, and more; ours says no to it.
            "AddOutputFilterByType DEFLATE text/html text/plain"
            " application/javascript application/json text/event-stream",
            f"Listen 127.0.0.1:{self.port}",
            "GracefulShutdownTimeout 1",
            *(f'SetEnv {name} "{value}"'
              for name, value in self.environment.items()),
            self.site("apache"),
            self.beside,
            *([] if self.http2 else ["Protocols http/1.1"]),
        ]

    def site(self, server):
        """The shipped configuration with its placeholders filled in."""
        template = SOURCE / "conf" / server / "polysocket.conf.in"
        text = template.read_text(encoding="utf-8")
        for name, value in {"fcgi_socket": self.fcgi_socket,
                            "ws_socket": self.ws_socket,
                            "mount_prefix": self.prefix}.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    # Processes and logs.

    def run(self, name, command, stdin=subprocess.DEVNULL):
        env = {key: value for key, value in os.environ.items()
               if not key.startswith(("POLYSOCKET_", "LISTEN_"))}
        with open(self.directory / f"{name}.log", "ab") as log:
            return subprocess.Popen(
                [str(part) for part in command], stdin=stdin, stdout=log,
                stderr=log, cwd=self.directory, env=env,
                start_new_session=True, preexec_fn=die_with_parent)

    def run_activated(self, name, command, listener):
        """With a listening socket, as systemd would. LISTEN_PID must be that
        of the program: the shell becomes it."""
        script = 'exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
        return self.run(name, ["sh", "-c", script, "sh", *command], listener)

    def end(self, name, process, sig, patience=STOP_S):
        """Ends a process we started and whatever is left of its group."""
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(sig)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            if patience == STOP_S:
                self.exits.append((name, "SIGKILL: it did not stop"))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.exits.append((name, process.returncode))

    def wait_until(self, condition, what, process=None, timeout=READY_S):
        deadline = time.monotonic() + timeout
        while not condition():
            died = process is not None and process.poll() is not None
            if died or time.monotonic() > deadline:
                why = f"exited with {process.returncode}" if died else "late"
                raise StackError(f"{what}: {why}")
            time.sleep(0.01)

    def write(self, name, lines):
        path = self.directory / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def log(self, name):
        path = self.directory / f"{name}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def tail(self, *names, lines=40):
        return "\n".join(f"--- {name}.log\n" + "\n".join(
            self.log(name).splitlines()[-lines:]) for name in names)

    def tails(self):
        return self.tail(*sorted(p.stem for p in self.directory.glob("*.log")))

    def complaints(self):
        """What a sanitizer said, and programs that ended in a crash."""
        found = [f"{name}: {line}" for name in ("wsbridge", "workers")
                 for line in self.log(name).splitlines()
                 if "ERROR: " in line and "Sanitizer" in line
                 or "runtime error: " in line]
        crashes = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS)
        return found + [f"{name} ended with {status}"
                        for name, status in self.exits
                        if status in crashes or isinstance(status, str)]


def token_rows(number, columns, origins, targets, channels):
    """The statements that make a token, where it has columns, and rights."""
    made = [insert("tokens", {"id": number, **columns})] if columns else []
    made += [
        insert(table, {"token_id": number, "pattern": pattern})
        for table, patterns in (("token_origins", origins),
                                ("token_targets", targets))
        for pattern in patterns]
    return made + [
        insert("token_channels", {"token_id": number, "pattern": pattern,
                                  "may_emit": emit, "may_listen": listen})
        for pattern, emit, listen in channels]


def program(name):
    """A daemon's path; /usr/sbin is not on everybody's PATH."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if path is None:
        raise StackError(f"{name} is not installed")
    return path


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def enabled(flag):
    return "enable" if flag else "disable"


def unix_listener(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener.bind(str(path))
    os.chmod(path, 0o666)
    listener.listen(1024)
    return listener


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def can_connect(address):
    family = (socket.AF_INET if isinstance(address, tuple)
              else socket.AF_UNIX)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address if isinstance(address, tuple)
                          else str(address))
        except OSError:
            return False
    return True


def children(parent):
    """The pids of a process's children, in order."""
    found = []
    # Any of them may end while it is looked at, for which glob() raises.
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            fields = stat.rpartition(")")[2].split()
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(pid))
    return sorted(found)
