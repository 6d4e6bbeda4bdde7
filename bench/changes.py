"""How soon what an administrator says to sqlite3 takes effect."""

import contextlib
import http.client
import itertools
import json
import random
import statistics
import time

from creates import WITH_RIGHTS
from front import relay_alone, say
from report import table

PERIOD_S = 0.2      # between two looks of the programs
# Every worker looks for changes by itself: what was so for longer than a
# period is so in all of them.
CERTAIN_S = 1.5 * PERIOD_S
PROBE_S = 0.005
PATIENCE_S = 10
LIMIT_S = 1
BESIDE_PER_S = 1000


class Change:
    """One that is seen in the answer to create."""

    def __init__(self, title, statement, status, is_new=False):
        self.title = title
        self.statement = statement
        self.status = status
        self.is_new = is_new

    def time(self, client, statement):
        """Seconds until the last worker knew."""
        began = time.monotonic()
        client.front.sql(statement)
        since, now = None, began
        while since is None or now < since + CERTAIN_S:
            if now > began + PATIENCE_S:
                raise SystemExit(f"bench: no effect: {statement}")
            is_known = client.try_create() == self.status
            now = time.monotonic()
            since = (since or now) if is_known else None
            time.sleep(PROBE_S)
        return since - began


class Closing(Change):
    """One that is seen by a session's receiver."""

    def __init__(self, title, statement):
        super().__init__(title, statement, None)

    def time(self, client, statement):
        _, session = client.create()
        client.begin_poll(session)
        # What the administrator has not seen he cannot have closed.
        client.front.wait_until(
            lambda: client.front.sql("SELECT 1 FROM sessions WHERE token_id "
                                     f"= {client.token_id}"), "its row")
        time.sleep(random.uniform(0, PERIOD_S))
        began = time.monotonic()
        client.front.sql(statement)
        events = client.end_poll()
        took_s = time.monotonic() - began
        if [event["type"] for event in events] != ["close"]:
            raise SystemExit(f"bench: {statement}: {events}")
        return took_s


CHANGES = (
    Change("a new token is accepted",
           "BEGIN; INSERT INTO tokens (name, secret) VALUES ('{0}', '{0}');"
           " INSERT INTO token_origins SELECT id, '*' FROM tokens"
           " WHERE name = '{0}';"
           " INSERT INTO token_targets SELECT id, '*://*:*' FROM tokens"
           " WHERE name = '{0}'; COMMIT", 200, is_new=True),
    Change("a disabled token is refused",
           "UPDATE tokens SET enabled = 0 WHERE id = {1}", 403),
    Change("a target that is taken away is refused",
           "DELETE FROM token_targets WHERE token_id = {1}", 403),
    Change("a new limit is kept to",
           "UPDATE tokens SET max_sockets = 0 WHERE id = {1}", 429),
    Closing("`close_requested` closes a session",
            "UPDATE sessions SET close_requested = 1 WHERE token_id = {1}"),
    Closing("a disabled token's session is closed",
            "UPDATE tokens SET enabled = 0 WHERE id = {1}"),
)


class Client:
    """The relay's JSON dialect over one connection."""

    def __init__(self, front, token, token_id):
        self.front = front
        self.token = token
        self.token_id = token_id
        self.path = front.prefix + "/polysocket/"
        self.target = f"ws://127.0.0.1:{front.echo_port}/"
        self.http = http.client.HTTPConnection("127.0.0.1", front.port,
                                               timeout=PATIENCE_S)

    def post(self, route, **body):
        self.http.request("POST", self.path + route, json.dumps(body),
                          {"Content-Type": "application/json"})
        answer = self.http.getresponse()
        return answer.status, json.loads(answer.read())

    def create(self):
        """Returns the status and the session."""
        status, answer = self.post("create", target=self.target,
                                   token=self.token)
        return status, answer.get("socket")

    def try_create(self):
        status, session = self.create()
        if session:
            self.post("close", socket=session, code=1000)
        return status

    def begin_poll(self, session):
        self.http.request("GET", f"{self.path}xhr?socket={session}"
                          f"&timeout={PATIENCE_S * 1000}")

    def end_poll(self):
        return json.loads(self.http.getresponse().read())["events"]


@contextlib.contextmanager
def sessions(load):
    """Has others open and close sessions meanwhile."""
    process = load.begin("create", 16, seconds=900, rate=BESIDE_PER_S,
                         **WITH_RIGHTS)
    try:
        yield
        if process.poll() is not None:
            load.result(process)
    finally:
        process.terminate()
        process.communicate()


class Changes:
    def __init__(self, run):
        self.run = run
        self.n = 4 if run.quick else 20
        self.names = (f"changed-{number}" for number in itertools.count())
        self.seconds = {}

    def measure(self):
        with relay_alone(self.run.options, self.run.build) as (front, load):
            for is_beside in (False, True):
                for change in CHANGES:
                    say(f"changes: {change.title}"
                        + (", beside sessions" if is_beside else ""))
                    with (sessions(load) if is_beside
                          else contextlib.nullcontext()):
                        self.seconds[change, is_beside] = self.times(
                            front, change)

    def times(self, front, change):
        tokens = list(itertools.islice(self.names, self.n))
        ids = [None if change.is_new else front.add_token(token)
               for token in tokens]
        time.sleep(2 * CERTAIN_S)
        times = []
        for token, token_id in zip(tokens, ids):
            client = Client(front, token, token_id)
            time.sleep(random.uniform(0, PERIOD_S))
            with contextlib.closing(client.http):
                times.append(change.time(
                    client, change.statement.format(token, token_id)))
        return times

    def check(self, goals):
        for change in CHANGES:
            longest_s = max(self.seconds[change, False]
                            + self.seconds[change, True])
            goals.at_most(f"{change.title}, at most after", longest_s * 1000,
                          LIMIT_S * 1000, " ms")

    def text(self):
        def rows():
            for (change, is_beside), times in self.seconds.items():
                yield (change.title,
                       f"{BESIDE_PER_S:,}" if is_beside else "0", len(times),
                       f"{statistics.median(times) * 1000:,.0f}",
                       f"{max(times) * 1000:,.0f}")
        return ("## From sqlite3's start to the effect\n\n"
                + table(["change", "beside sessions/s", "times", "median ms",
                         "max ms"], rows()))
