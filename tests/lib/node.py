"""What is tested with Node.js: the real sockjs-client, and a real browser.

    with Node("sockjs.cjs") as node:
        ann = node.connect(url, "xhr-polling")
        ann.say("hello")
        assert ann.next() == "hello"

    with Browser() as browser, browser.open(page_url) as page:
        ann = page.connect(url, "jsonp-polling")

scripts/check installs the modules of tests/node/package.json and says where
by NODE_PATH; what is in build/tools is found without. It has Chromium
installed, too, and says so by POLYSOCKET_BROWSER. So with these variables a
missing module or browser fails the tests, and without them it skips those
that need it: why_not() and why_no_browser() tell.
"""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = SOURCE / "tests" / "node"
INSTALLED = SOURCE / "build" / "tools" / "node_modules"
CHROMIUM = "/usr/bin/chromium"
ANSWER_S = 60       # more than what is waited for within


class NodeError(Exception):
    """What a program of tests/node could not do, or that it has ended."""


def module(name):
    """Where a module is, or None."""
    for folder in [*os.environ.get("NODE_PATH", "").split(os.pathsep),
                   INSTALLED]:
        if folder and (pathlib.Path(folder) / name).is_dir():
            return pathlib.Path(folder) / name
    return None


def why_not(*modules):
    """Why what needs these modules is to be skipped, or ''."""
    if os.environ.get("NODE_PATH"):
        return ""
    if shutil.which("node") is None:
        return "no Node.js"
    return ", ".join(f"no {name} for Node.js" for name in modules
                     if module(name) is None)


def why_no_browser():
    if os.environ.get("POLYSOCKET_BROWSER"):
        return ""
    if not os.access(CHROMIUM, os.X_OK):
        return f"no {CHROMIUM}, and POLYSOCKET_BROWSER is not set"
    return why_not("playwright-core", "sockjs-client")


class Node:
    """A running program of tests/node."""

    def __init__(self, program):
        self.program = program
        self.process = None

    def __enter__(self):
        modules = os.environ.get("NODE_PATH") or str(INSTALLED)
        # In a session of its own, so that no Ctrl-C reaches it before us.
        self.process = subprocess.Popen(
            ["node", str(PROGRAMS / self.program)], text=True, bufsize=1,
            encoding="utf-8", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "NODE_PATH": modules}, start_new_session=True)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()      # and it ends, with its browser
        try:
            self.process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def ask(self, do, **request):
        late = threading.Timer(ANSWER_S, self.process.kill)
        late.start()
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            late.cancel()
        if not line:
            raise NodeError(f"{self.program} has ended or was late: {do}")
        answer = json.loads(line)
        if "error" in answer:
            raise NodeError(answer["error"])
        return answer["value"]

    def connect(self, url, transport=None):
        return User(self.ask, url, transport)


class Browser(Node):
    def __init__(self):
        super().__init__("browser.cjs")

    @property
    def version(self):
        return self.ask("version")

    def open(self, url):
        return Page(self, url)


class Page:
    """One that is open. `connect()` is for the one of tests/node."""

    def __init__(self, browser, url):
        self.browser = browser
        self.page = browser.ask("open", url=url)

    def ask(self, do, **request):
        return self.browser.ask(do, page=self.page, **request)

    def evaluate(self, script):
        """The value of an expression, awaited."""
        return self.ask("evaluate", script=script)

    def wait(self, script):
        """Until an expression is true."""
        self.ask("wait", script=script)

    def fill(self, selector, text):
        """Types it into a field and presses Enter."""
        self.ask("fill", selector=selector, text=text)

    @property
    def said(self):
        """What stands on its console."""
        return self.ask("said")

    def connect(self, url, transport=None):
        return User(lambda do, **request: self.evaluate(
            f"people.{do}({json.dumps(request)})"), url, transport)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ask("close")


def put_pages(directory):
    """What Page.connect() needs, for a web server to serve."""
    for path in (PROGRAMS / "page.html", PROGRAMS / "user.js",
                 module("sockjs-client") / "dist" / "sockjs.min.js"):
        shutil.copy(path, directory)


class Pages:
    """A web server of another origin than polysocket, for such pages."""

    def __init__(self, directory):
        put_pages(directory)
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(
                QuietHandler, directory=str(directory)))
        self.url = f"http://localhost:{self.server.server_port}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class User:
    """A SockJS connection, opened."""

    def __init__(self, ask, url, transport):
        self.ask = ask
        opened = ask("connect", url=url, transport=transport)
        if "transport" not in opened:
            raise NodeError(f"{transport} did not open: {opened}")
        self.user, self.transport = opened["user"], opened["transport"]

    def say(self, *messages):
        self.ask("say", user=self.user, messages=messages)

    def happens(self):
        """{"message"}, or {"code", "reason", "wasClean"} for the end."""
        return self.ask("next", user=self.user)

    def next(self):
        """The next message."""
        event = self.happens()
        if "message" not in event:
            raise NodeError(f"closed: {event}")
        return event["message"]

    def close(self, code=None, reason=None):
        """Returns what the client says of its end."""
        self.ask("close", user=self.user, code=code, reason=reason)
        return self.happens()
