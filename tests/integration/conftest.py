"""Fixtures: running stacks, a target, and a client of either dialect.

A test that breaks nothing shares a stack with all tests of its process that
ask for the same one; `@pytest.mark.options(key="value")` chooses its
configuration, `@pytest.mark.prefix("/below")` its mount. Fault tests make
stacks of their own with `new_stack`.
"""

import pathlib
import secrets
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from application import Application, Responder  # noqa: E402
from certificates import Authority          # noqa: E402
from channel import KINDS, Channel          # noqa: E402
from client import DIALECTS, Http           # noqa: E402
from database import Database               # noqa: E402
from sockjs import Service                  # noqa: E402
from stack import ALL_CHANNELS, LOOPBACK, SERVERS, Stack  # noqa: E402
from target import Target                   # noqa: E402


def pytest_configure(config):
    for line in ("options(**config): configuration of the test's stack",
                 "prefix(path): where the test's stack is mounted",
                 "environment(**params): FastCGI parameters of its server",
                 "anonymous(targets): what requests without a token may reach"
                 "; None: there is no token of that name"):
        config.addinivalue_line("markers", line)


# Those that the protocol's own tests ask for: what the application does, and
# the columns of its token.
SOCKJS_SERVICES = {
    "echo": ("echo", {}),
    "close": ("close", {}),
    "disabled_websocket_echo": ("echo", {"sockjs_websocket": 0}),
    "cookie_needed_echo": ("echo", {"sockjs_cookie": 1}),
}

# What a test leaves behind must not hold its end up.
DEFAULTS = {"drain_timeout": "0s", "close_timeout": "1s"}


class Pool:
    """The shared stacks of this process, by what they were asked to be.

    Few at a time: a web server has hundreds of threads, and the machine
    counts them all.
    """

    SIZE = 4

    def __init__(self):
        self.stacks = {}        # the least recently used first
        self.complaints = []

    def get(self, server, prefix, options, environment, targets):
        key = (server, prefix, tuple(sorted(options.items())),
               tuple(sorted(environment.items())), targets)
        if key in self.stacks and self.stacks[key].bridge.poll() is not None:
            self.retire(key)
        stack = self.stacks.pop(key, None)
        if stack is None:
            while len(self.stacks) >= self.SIZE:
                self.retire(next(iter(self.stacks)))
            stack = Stack(server, prefix, {**DEFAULTS, **options},
                          environment=environment, targets=targets).start()
        self.stacks[key] = stack
        return stack

    def retire(self, key):
        stack = self.stacks.pop(key)
        stack.stop(keep=True)
        self.complaints += stack.complaints()
        stack.stop()

    def stop(self):
        for key in list(self.stacks):
            self.retire(key)
        assert not self.complaints, self.complaints


@pytest.fixture(scope="session")
def pool():
    pool = Pool()
    yield pool
    pool.stop()


@pytest.fixture(params=SERVERS)
def server(request):
    return request.param


@pytest.fixture(params=DIALECTS)
def dialect(request):
    return request.param


@pytest.fixture
def prefix(request):
    marker = request.node.get_closest_marker("prefix")
    return marker.args[0] if marker else ""


@pytest.fixture
def stack(request, pool, server, prefix):
    anonymous = request.node.get_closest_marker("anonymous")
    stack = pool.get(server, prefix, marked(request, "options"),
                     marked(request, "environment"),
                     anonymous.args[0] if anonymous else LOOPBACK)
    yield stack
    assert stack.bridge.poll() is None, "the bridge ended"
    assert stack.workers.poll() is None, "the workers ended"


@pytest.fixture
def new_stack(server):
    """Makes stacks that only this test uses."""
    made = []

    def make(start=True, **kwargs):
        options = {**DEFAULTS, **kwargs.pop("options", {})}
        made.append(Stack(kwargs.pop("server", server), options=options,
                          **kwargs))
        return made[-1].start() if start else made[-1]

    make.made = made
    yield make
    complaints = []
    for stack in made:
        stack.stop(keep=True)
        complaints += stack.complaints()
        stack.stop()
    assert not complaints, complaints


@pytest.fixture
def new_token(request):
    """Makes a token in the test's stack, or another, and returns its secret
    once every worker knows it; it goes when the test ends."""
    made = []

    def make(stack=None, origins=("*",), targets=LOOPBACK,
             channels=ALL_CHANNELS, wait=True, **columns):
        stack = stack or request.getfixturevalue("stack")
        secret = columns.pop("secret", None) or secrets.token_hex(16)
        made.append((stack, stack.add_token(secret, origins, targets,
                                            channels, **columns)))
        if wait:
            stack.wait_policy()
        return secret

    yield make
    for stack in {stack for stack, _ in made}:
        if stack.db_path.exists():
            stack.sql(*(f"DELETE FROM tokens WHERE id = {number}"
                        for its, number in made if its is stack))


@pytest.fixture
def admin(new_token):
    """The token of an administrator."""
    return new_token(admin=1)


@pytest.fixture(scope="session")
def new_database(tmp_path_factory):
    return Database.create(tmp_path_factory.mktemp("schema") / "t.db").path


@pytest.fixture
def database(new_database, tmp_path):
    """A new one, without programs that use it."""
    return Database(shutil.copy(new_database, tmp_path / "x.db"))


@pytest.fixture
def tokens(database):
    """The same with the tokens 1 (a), 2 (b) and 3 (anonymous)."""
    database.sql("INSERT INTO tokens (name, secret) VALUES ('a', 'secret-a'),"
                 " ('b', 'secret-b')",
                 "INSERT INTO tokens (name) VALUES ('anonymous')")
    return database


@pytest.fixture(scope="session")
def responder():
    """Where applications are called back."""
    with Responder() as responder:
        yield responder


@pytest.fixture
def new_application(request, responder):
    """Makes an application in the test's stack, or another, see Application;
    it goes when the test ends."""
    made = []

    def make(behaviour="quiet", stack=None, **options):
        stack = stack or request.getfixturevalue("stack")
        made.append(Application(stack, responder, behaviour, **options))
        return made[-1]

    yield make
    for application in made:
        if application.stack.db_path.exists():
            application.stack.sql("DELETE FROM tokens WHERE id = "
                                  f"{application.token_id}")


@pytest.fixture(scope="session")
def its_applications():
    return {}


@pytest.fixture
def shared_application(stack, responder, its_applications):
    """The one of that kind that the tests of a stack share."""
    def get(behaviour="quiet", **columns):
        key = (stack.directory, behaviour, *sorted(columns.items()))
        if key not in its_applications:
            its_applications[key] = Application(stack, responder, behaviour,
                                                **columns)
        return its_applications[key]

    return get


@pytest.fixture
def sockjs(http, shared_application):
    """The SockJS service of that name, for one client of all tests."""
    def get(name="echo"):
        behaviour, columns = SOCKJS_SERVICES[name]
        application = shared_application(behaviour, **columns)
        if "everyone" not in application.socket_ids:
            application.authorize("everyone")
        return Service(http, application.socket_ids["everyone"])

    return get


@pytest.fixture
def parked(stack):
    """Begins a request of a session and waits until the bridge holds it."""
    def park(session, kind="poll", **params):
        return stack.until_held(lambda: session.begin(kind, **params))

    return park


@pytest.fixture
def http(stack):
    return Http(stack.port, stack.prefix)


@pytest.fixture
def http2(stack):
    return Http(stack.port, stack.prefix, "2")


@pytest.fixture
def relay(http, dialect):
    return DIALECTS[dialect](http)


@pytest.fixture
def channel(http):
    """One that nobody else uses."""
    return Channel(http, "room-" + secrets.token_hex(4))


@pytest.fixture(params=KINDS)
def kind(request):
    """A way to listen to a channel."""
    return request.param


@pytest.fixture
def target():
    with Target() as target:
        yield target


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


def marked(request, name):
    """The keywords of all markers of that name, the closest winning."""
    merged = {}
    for marker in reversed(list(request.node.iter_markers(name))):
        merged.update(marker.kwargs)
    return merged


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Shows the logs of a failed test's stacks."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    used = getattr(item, "funcargs", {})
    stacks = [used.get("stack"), *getattr(used.get("new_stack"), "made", [])]
    for stack in filter(None, stacks):
        report.sections.append((f"logs of {stack.server}", stack.tails()))
