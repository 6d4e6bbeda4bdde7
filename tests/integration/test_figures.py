"""The figures of the bridge, for Prometheus and as JSON."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import prometheus
from client import Http, Polysocket
from resolver import SILENCE, Resolver
from service import LIMITS, METRICS, STATS, figures, is_refused, new_admin
from stack import SOURCE

FIGURES = (METRICS, STATS)


def stats(http, token):
    response = http.get(STATS, token=token)
    assert response.status == 200, response
    assert response.json["ok"] is True
    return response.json["stats"]


@pytest.mark.parametrize("path", FIGURES)
def test_figures_are_for_administrators(http, new_token, path):
    assert is_refused(http.get(path), 403, "admin_required")
    assert is_refused(http.get(path, token=new_token()), 403,
                      "admin_required")
    head = http.request("HEAD", path)
    assert (head.status, head.body) == (403, b"")
    assert http.get(path, token=new_token(admin=1)).status == 200


@pytest.mark.options(metrics_from="127.0.0.2, 127.3.0.0/16, ::1")
@pytest.mark.parametrize("path", FIGURES)
def test_figures_are_for_listed_addresses(stack, path, new_token):
    for source in ("127.0.0.2", "127.3.77.9"):
        http = Http(stack.port, source=source)
        for token in (None, "nobody's", new_token()):
            response = http.get(path, token=token)
            assert response.status == 200, "whatever token it sends"
        # The address is that of a browser: a page needs a token.
        for header in ({"Origin": "https://page.example"},
                       {"Referer": "https://page.example/"}):
            assert is_refused(http.get(path, header), 403, "admin_required")
            response = http.get(path, header, token=new_token(admin=1))
            assert response.status == 200
    response = http.get(STATS, cb="cb")
    assert response.jsonp("cb")["code"] == "admin_required"
    for source in ("127.0.0.1", "127.0.0.3", "127.4.0.1"):
        response = Http(stack.port, source=source).get(path)
        assert is_refused(response, 403, "admin_required")


@pytest.mark.options(metrics_from="127.0.0.1")
def test_listed_address_sees_limits_of_tokens_only(http):
    assert is_refused(http.get(LIMITS, token="nobody's"), 403,
                      "token_unknown")


def test_listed_address_needs_no_database(new_stack):
    stack = new_stack(start=False, options={"metrics_from": "127.0.0.0/8"})
    stack.write_config()
    stack.start_workers()
    stack.start_server()
    response = Http(stack.port).get(METRICS)
    assert is_refused(response, 503, "bridge_unavailable")


def test_listed_addresses_may_change(new_stack):
    stack = new_stack()
    http = Http(stack.port)
    assert http.get(METRICS).status == 403
    stack.write_config(metrics_from="127.0.0.1")
    os.kill(stack.worker_parent_pid, signal.SIGHUP)
    stack.wait_until(lambda: http.get(METRICS).status == 200,
                     "the new configuration")


def test_metrics_are_well_formed(http, admin, new_token, target):
    token = new_token(name='a "name" with \\ and ä')
    session = Polysocket(http).create(target.url("quiet"), token=token)
    response = http.get(METRICS, token=admin)
    assert response.header("Content-Type") == (
        "text/plain; version=0.0.4; charset=utf-8")
    found = prometheus.parse(response.text)
    assert all(name.startswith("polysocket_") for name in found.types)
    assert found.sum("polysocket_token_sockets",
                     token='a "name" with \\ and ä') == 1
    session.finish()
    promtool = shutil.which("promtool")
    if promtool is not None:
        done = subprocess.run([promtool, "check", "metrics"],
                              input=response.body, capture_output=True,
                              timeout=30, check=False)
        assert (done.returncode, done.stderr) == (0, b""), done


def documented_metrics():
    """The labels of each, by its name."""
    text = (SOURCE / "doc" / "http-api.md").read_text("utf-8")
    table = text.partition("| name | labels | |\n")[2].partition("\n\n")[0]
    found = {}
    for row in table.splitlines()[1:]:
        names, labels = (re.findall(r"`(\w+)`", cell)
                         for cell in row.split("|")[1:3])
        found.update({"polysocket_" + name: set(labels) for name in names})
    return found


def test_metrics_are_those_that_are_documented(http, admin, target):
    session = Polysocket(http).create(target.url("quiet"))
    found = figures(http, admin)
    session.finish()
    assert found.types.keys() == documented_metrics().keys()
    for name, labels in documented_metrics().items():
        series = [labels for known, labels in found.samples if known == name]
        assert series and all({label for label, _ in one} == labels
                              for one in series), name


def flat(stats):
    """The figures of stats as those of metrics are."""
    found = {}
    for name, value in stats.items():
        for entry in value if isinstance(value, list) else [{"value": value}]:
            labels = {k: v for k, v in entry.items() if k != "value"}
            key = "polysocket_" + name, tuple(sorted(labels.items()))
            assert key not in found
            found[key] = entry["value"]
    return found


@pytest.mark.options(node="figures")
def test_stats_are_the_same_figures(http, admin, target, stack):
    session = Polysocket(http).create(target.url("quiet"))
    session.send("hello")
    target.connection(0).send("back")
    stack.wait_until(lambda: figures(http, admin).value(
        "polysocket_queued_messages", direction="down") == 1, "a message")
    stack.wait_until(lambda: figures(http, admin).value(
        "polysocket_records_waiting") == 0, "records written")
    of_stats = "polysocket_requests_total", (("type", "stats"),)
    # Something may have gone on beside it: a record was written, or a thread
    # of a worker has connected.
    for _ in range(20):
        before = figures(http, admin).samples
        between = flat(stats(http, admin))
        after = figures(http, admin).samples
        moved = {key for key in between if before[key] != after[key]}
        # A timer comes and goes with each answer, to close its descriptor.
        moved.discard(("polysocket_timers", ()))
        if moved == {of_stats}:
            break
    assert moved == {of_stats}
    assert between.keys() == before.keys()
    assert between.pop(("polysocket_timers", ())) >= 1
    for key, value in between.items():
        assert before[key] <= value <= after[key], key
    assert between[of_stats] == before[of_stats] + 1
    session.finish()


def open_sessions(found, **labels):
    return found.sum("polysocket_sessions", kind="relay", state="open",
                     **labels)


@pytest.mark.options(node="life")
def test_figures_follow_what_lives_in_channels(http, admin, stack, channel):
    def value(name, **labels):
        return figures(http, admin).value("polysocket_" + name, **labels)

    def becomes(name, wanted, **labels):
        stack.wait_until(lambda: value(name, **labels) == wanted,
                         f"{name} being {wanted}")

    becomes("channels", 0)
    events, deliveries = (value(name) for name in (
        "events_total", "event_deliveries_total"))
    ids = value("emit_ids")
    with channel.join() as one, channel.join("events") as two:
        assert value("channels") == 1
        assert value("channel_members", joined="yes") == 2
        channel.emit("x", id="known")
        channel.emit("x", id="known")
        assert value("emit_ids") == ids + 1
        with http.begin("POST", channel.path("emit"),
                        {"require-ack": "true"},
                        {"Content-Type": "application/json"},
                        '"ack me"') as exchange:
            event = one.events(2)[1]
            assert value("emits_waiting") == 1
            one.ack(event.event_id)
            two.ack(two.events(2)[1].event_id)
            assert exchange.response().status == 200
        assert value("emits_waiting") == 0
        becomes("channel_log_entries", 0)
        assert value("events_total") == events + 2
        assert value("event_deliveries_total") == deliveries + 4
    becomes("channels", 0)
    becomes("channel_members", 0, joined="yes")


@pytest.mark.options(node="life")
def test_figures_follow_what_lives(http, admin, target, stack, new_token):
    token = new_token(name="counted")
    relay = Polysocket(http)
    start = figures(http, admin)
    sessions = [relay.create(target.url("quiet"), token=token)
                for _ in range(5)]
    found = figures(http, admin)
    assert open_sessions(found) == 5
    assert open_sessions(found, receiver="no") == 5
    assert found.value("polysocket_sessions_total") == start.value(
        "polysocket_sessions_total") + 5
    assert found.value("polysocket_remote_addresses") == 1
    assert found.sum("polysocket_token_sockets", token="counted") == 5
    # Used.
    sessions[0].send("one", "three")
    sessions[0].send(b"\0\1")
    target.connection(1).send("down!")
    assert sessions[1].receive() == ["down!"]
    found = figures(http, admin)
    for name, up, down in (("messages", 3, 1), ("message_bytes", 10, 5)):
        for direction, value in (("up", up), ("down", down)):
            name_total = f"polysocket_{name}_total"
            assert found.value(name_total, direction=direction) - start.value(
                name_total, direction=direction) == value
    assert found.sum("polysocket_token_messages_today", token="counted") == 4
    assert found.sum("polysocket_token_bytes_today", token="counted") == 15
    # Received, and waiting.
    with sessions[2].begin(timeout=20000):
        stack.wait_until(lambda: open_sessions(
            figures(http, admin), receiver="yes") == 1, "a receiver")
        found = figures(http, admin)
        assert found.value("polysocket_held_requests") == 1
        assert found.value("polysocket_open_requests") == 2
        target.connection(3).send("waits")
        stack.wait_until(lambda: figures(http, admin).value(
            "polysocket_queued_bytes", direction="down") == 5, "its bytes")
    # Closed by the client, by the target, killed by the administrator.
    sessions[0].finish()
    target.connection(1).send_close()
    sessions[1].receive()
    number = int(start.value("polysocket_sessions_total")) + 3
    stack.wait_until(lambda: stack.sql(
        "UPDATE sessions SET close_requested = 1 "
        f"WHERE id LIKE '%-{number}' RETURNING id"), "the session's row")
    stack.wait_until(lambda: open_sessions(figures(http, admin)) == 2,
                     "a closed session")
    stack.sql("UPDATE tokens SET enabled = 0 WHERE name = 'counted'")
    stack.wait_until(lambda: open_sessions(figures(http, admin)) == 0,
                     "no session open")
    for session in sessions[2:]:
        session.try_poll()
    stack.wait_until(lambda: figures(http, admin).sum(
        "polysocket_sessions") == 0, "no session left")
    found = figures(http, admin)
    for name in ("queued_messages", "queued_bytes", "held_requests",
                 "remote_addresses", "unsent_bytes", "names_resolving"):
        assert found.sum("polysocket_" + name) == 0, name
    assert found.value("polysocket_open_requests") == 1     # this one
    assert found.sum("polysocket_token_sockets", token="counted") == 0
    for name in ("messages", "message_bytes"):
        name = f"polysocket_{name}_total"
        assert found.sum(name) > start.sum(name), "totals only grow"


@pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"],
                                        check=False).returncode != 0,
    reason="a name server of our own needs root")
def test_names_that_are_being_resolved_are_counted(new_stack, tmp_path):
    with Resolver({"silent.example.test": SILENCE}, tmp_path) as resolver:
        stack = new_stack(start=False, targets=["ws://*.example.test:*"])
        stack.bridge_wrapper = resolver.wrapper
        stack.start()
        http, token = Http(stack.port), new_admin(stack)

        def connecting(n):
            found = figures(http, token)
            return n == found.value("polysocket_names_resolving") == found.sum(
                "polysocket_sessions", state="connecting")

        assert connecting(0)
        begun = [http.begin("POST", "/polysocket/create", body={
            "target": "ws://silent.example.test/"}) for _ in range(3)]
        stack.wait_until(lambda: connecting(3), "three names")
        for exchange in begun:
            exchange.close()


@pytest.mark.options(node="refused")
def test_tokens_are_listed_up_to_a_bound(new_stack, target):
    """Beyond 500 in use they are summed up, and none is left out."""
    stack = new_stack(server="lighttpd", options={
        "max_creates_per_second": "1000", "max_sessions_per_address": "1000",
        "first_receiver_grace": "10m"})
    n = 503
    numbers = ("WITH RECURSIVE n(i) AS (VALUES (10) UNION ALL"
               f" SELECT i + 1 FROM n WHERE i < 9 + {n}) ")
    stack.sql(f"{numbers} INSERT INTO tokens (id, name, secret, admin)"
              " SELECT i, 't' || i, 's' || i, 1 FROM n",
              f"{numbers} INSERT INTO token_targets"
              " SELECT i, 'ws://127.0.0.1:*' FROM n")
    stack.wait_policy()
    relay = Polysocket(Http(stack.port))
    for i in range(10, 10 + n):
        relay.create(target.url("quiet"), token=f"s{i}").send("hello")
    for name, total in (("sockets", n), ("messages_today", n),
                        ("bytes_today", 5 * n)):
        name = f"polysocket_token_{name}"
        found = figures(relay.http, "s10")
        assert found.sum(name) == total
        assert len([key for key in found.samples if key[0] == name]) == 501
        assert found.value(name, id="", token="others") > 0


def test_refusals_are_counted(http, admin, stack, target, new_token):
    relay = Polysocket(http)
    start = figures(http, admin)
    # What has no tag of a living bridge a worker refuses alone.
    for socket_id in ("none.0", f"{stack.bridge_tag()}.0"):
        assert http.get("/polysocket/xhr", socket=socket_id).status == 403
    assert relay.try_create(target.url("quiet"),
                            token=new_token(targets=())).status == 403
    assert relay.try_create(target.url("quiet"),
                            token=new_token(max_sockets=0)).status == 429
    found = figures(http, admin)
    for code in ("socket_unknown", "target_refused", "connection_limit"):
        assert found.value("polysocket_refusals_total", code=code) == (
            start.value("polysocket_refusals_total", code=code) + 1), code
    for kind, n in (("refuse", 1), ("create", 1), ("receive", 1)):
        assert found.value("polysocket_requests_total", type=kind) == (
            start.value("polysocket_requests_total", type=kind) + n), kind


@pytest.mark.options(node="abcd")
def test_figures_tell_who_they_are_of(http, admin, stack):
    found = figures(http, admin)
    tag = re.search(r"is ready \(tag (\w+)\)", stack.log("wsbridge")).group(1)
    (labels,) = [dict(labels) for name, labels in found.samples
                 if name == "polysocket_info"]
    assert (labels["node"], labels["tag"]) == ("abcd", tag)
    started = found.value("polysocket_start_time_seconds")
    assert 0 <= time.time() - started < 3600


def test_a_new_bridge_counts_anew(new_stack, target):
    """But knows what a token has used of its day."""
    stack = new_stack()
    http, token = Http(stack.port), new_admin(stack)
    session = Polysocket(http).create(target.url("quiet"))
    session.send("hello")
    stack.wait_until(lambda: stack.database.value(
        "SELECT coalesce(sum(messages_up), 0) FROM token_usage") == 1,
        "usage that was written")
    stack.stop_bridge(signal.SIGKILL)
    stack.start_bridge()
    found = figures(http, token)
    assert found.value("polysocket_sessions_total") == 0
    assert found.sum("polysocket_messages_total") == 0
    assert open_sessions(found) == 0
    assert found.sum("polysocket_token_sockets") == 0
    assert found.sum("polysocket_token_messages_today",
                     token="anonymous") == 1


# The reader of this format, which would not be worth much if it took all.

GOOD = ('# HELP a_total Help with \\\\ and \\n.\n# TYPE a_total counter\n'
        'a_total{x="1",y="\\"\\\\\\n"} 1\na_total{x="2",y=""} 2.5e3\n'
        '# HELP b Help.\n# TYPE b gauge\nb -1\n')


def test_reader_takes_what_is_good():
    found = prometheus.parse(GOOD)
    assert found.value("a_total", x="1", y='"\\\n') == 1
    assert found.value("a_total", x="2", y="") == 2500
    assert found.value("b") == -1
    assert found.sum("a_total") == 2501


@pytest.mark.parametrize("old, new", [
    ("b -1\n", "b -1"),                             # no end
    ("b -1\n", "\nb -1\n"),                         # an empty line
    ("# HELP b Help.\n", ""),                       # no help
    ("# TYPE b gauge\n", ""),                       # no type
    ("# TYPE b gauge", "# TYPE b"),
    ("# TYPE b gauge", "# TYPE b guage"),
    ("# TYPE b gauge", "# TYPE b gauge\n# TYPE b gauge"),
    ("# HELP b Help.", "# HELP b "),
    ("# HELP b Help.", "# HELP b \\x"),
    ("b -1", "b -1\nb -1"),                         # twice
    ("b -1", "c -1"),                               # another's
    ("b -1", "b"), ("b -1", "b x"), ("b -1", "b  1"), ("b -1", "b 1 "),
    ("b -1", "b{} {} 1"), ("b -1", 'b{x="1"}1'),
    ('x="1"', 'x="1",x="2"'), ('x="1"', "x='1'"), ('x="1"', 'x="\\q"'),
    ('x="1"', '__x="1"'), ('x="1"', '1x="1"'), ('x="1",', 'x="1"'),
    ('x="2",y=""', 'x="1",y="\\"\\\\\\n"'),         # the same labels
    ("a_total counter", "a_total gauge"), ("b gauge", "b counter"),
    ("2.5e3", "-1"),                                # of a counter
    ("b -1\n", 'b -1\na_total{x="3",y=""} 1\n'),    # in two parts
])
def test_reader_refuses_what_is_not(old, new):
    assert old in GOOD
    with pytest.raises(prometheus.FormatError):
        prometheus.parse(GOOD.replace(old, new, 1))
