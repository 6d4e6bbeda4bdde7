"""What is kept of a channel: how much, how long, through restarts, crashes
and whatever an administrator does to the database."""

import datetime
import json
import re
import signal

import pytest

from channel import Channel
from client import Http

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def own_stack(new_stack, request):
    """For tests that break something, or change what others share."""
    marks = request.node.iter_markers("options")
    return new_stack(options={name: value for mark in marks
                              for name, value in mark.kwargs.items()})


@pytest.fixture
def own_channel(own_stack):
    return Channel(Http(own_stack.port), "room")


def emit_many(channel, *payloads):
    return [channel.emit(payload)["eventID"] for payload in payloads]


def payloads(channel, **params):
    return [event["payload"] for event in channel.history(**params)]


def answer(channel, **params):
    """All of it, with its flags."""
    response = channel.http.get(channel.path("history"), None,
                                **channel.params(params))
    assert response.status == 200, response
    return response.json


def kept(stack, channel):
    """How many rows the database has."""
    return stack.database.value("SELECT count(*) FROM channel_events"
                                f" WHERE channel = '{channel.name}'")


def wait_kept(stack, channel, number):
    stack.wait_until(lambda: kept(stack, channel) == number,
                     f"{number} events")


# What the answer has.

def test_events_are_listed_oldest_first_as_they_were_sent(channel):
    assert answer(channel) == {"history": []}
    texts = ['{"b":1.50,"a":{"b":[]}}', '"\\u00e4 \N{EURO SIGN} </script>"',
             "12345678901234567890", "false"]
    ids = [channel.emit(text=text)["eventID"] for text in texts]
    response = channel.http.get(channel.path("history"))
    assert response.header("Content-Type") == (
        "application/json; charset=utf-8")
    listed = [f'{{"eventID":"{event}","payload":{text},"time":"'
              for event, text in zip(ids, texts)]
    found = re.sub(TIME, "", response.text)
    assert found == '{"history":[' + ",".join(
        begin + '"}' for begin in listed) + "]}"


def test_times_are_those_of_the_emits(channel):
    begin = datetime.datetime.now(datetime.timezone.utc)
    emit_many(channel, 1, 2)
    end = datetime.datetime.now(datetime.timezone.utc)
    times = [event["time"] for event in channel.history()]
    assert all(re.fullmatch(TIME, time) for time in times), times
    first, second = map(datetime.datetime.fromisoformat,
                        [time.replace("Z", "+00:00") for time in times])
    # They have milliseconds only.
    assert begin - datetime.timedelta(milliseconds=1) <= first <= second <= end


def test_limit_is_of_the_last_and_since_of_the_first(channel):
    ids = emit_many(channel, *range(6))
    assert payloads(channel, limit=2) == [4, 5]
    assert payloads(channel, limit=100) == list(range(6))
    assert payloads(channel, since=ids[3]) == [4, 5]
    assert payloads(channel, since=ids[5]) == []
    assert answer(channel, since=ids[0], limit=2)["more"] is True
    assert payloads(channel, since=ids[0], limit=2) == [1, 2]


def test_all_of_it_is_fetched_page_by_page(channel):
    ids = emit_many(channel, *range(10))
    last, found = ids[0], []
    while True:
        page = answer(channel, since=last, limit=4)
        found += page["history"]
        if not page.get("more"):
            break
        last = page["history"][-1]["eventID"]
    assert [event["eventID"] for event in found] == ids[1:]


def test_a_hundred_are_listed_unless_asked_otherwise(channel):
    channel.try_emit_batch(list(range(150)))
    assert payloads(channel) == list(range(50, 150))
    assert payloads(channel, limit=120) == list(range(30, 150))


def test_large_events_come_in_several_answers(channel):
    big = "x" * 900_000
    ids = emit_many(channel, *[big] * 5)
    first = answer(channel, since=ids[0])
    assert [event["eventID"] for event in first["history"]] == ids[1:3]
    assert first["more"] is True
    rest = answer(channel, since=ids[2])
    assert [event["eventID"] for event in rest["history"]] == ids[3:]
    assert "more" not in rest


def test_what_came_after_an_unknown_event_is_all_there_is(channel):
    emit_many(channel, 1, 2)
    for since in ("evt_nothing_", "x", "evt_" + "x" * 500):
        page = answer(channel, since=since)
        assert page["gap"] is True
        assert [event["payload"] for event in page["history"]] == [1, 2]
    assert "gap" not in answer(channel)


def test_a_script_may_ask(channel):
    channel.emit("\N{LINE SEPARATOR}</script>")
    response = channel.http.get(channel.path("history"), None, cb="f")
    body = re.fullmatch(r"/\*\*/f\((.*)\);", response.text, re.DOTALL)[1]
    assert "\\u2028<\\/script>" in body
    assert json.loads(body)["history"][0]["payload"] == (
        "\N{LINE SEPARATOR}</script>")


def test_what_was_for_some_is_not_kept(channel):
    with channel.join() as member:
        channel.emit("all")
        channel.emit("one", clients=member.id)
        channel.emit("any", clients=1)
        channel.emit("all again")
        assert member.data(4) == ["all", "one", "any", "all again"]
    assert payloads(channel) == ["all", "all again"]


def test_channels_have_histories_of_their_own(http, channel):
    other = Channel(http, channel.name + "2")
    ids = emit_many(channel, 1, 2)
    other.emit(3)
    assert (payloads(channel), payloads(other)) == ([1, 2], [3])
    page = answer(other, since=ids[0])
    assert (page["gap"], page["history"][0]["payload"]) == (True, 3)


# How much is kept.

@pytest.mark.options(history_events="10")
def test_the_last_events_are_kept(stack, channel):
    ids = emit_many(channel, *range(25))
    assert payloads(channel, limit=1000) == list(range(15, 25))
    wait_kept(stack, channel, 10)
    assert payloads(channel, since=ids[15]) == list(range(16, 25))
    page = answer(channel, since=ids[14])
    assert page["gap"] is True and len(page["history"]) == 10


@pytest.mark.options(history_events="100")
def test_a_flood_to_one_channel_is_not_written(stack, channel):
    for begin in range(0, 5000, 250):
        assert channel.try_emit_batch(
            list(range(begin, begin + 250))).status == 200
    assert payloads(channel, limit=1000) == list(range(4900, 5000))
    wait_kept(stack, channel, 100)


@pytest.mark.options(history_age="2s")
def test_old_events_are_not_listed(stack, channel):
    last = emit_many(channel, 1, 2)[-1]
    assert payloads(channel) == [1, 2]
    stack.wait_until(lambda: payloads(channel) == [], "the end of their age")
    channel.emit(3)
    page = answer(channel, since=last)
    assert page["gap"] is True
    assert [event["payload"] for event in page["history"]] == [3]


@pytest.mark.parametrize("option", [
    pytest.param(option, marks=pytest.mark.options(**{option: "0"}))
    for option in ("history_events", "history_age")])
def test_without_history_nothing_is_kept(stack, channel, option):
    event = channel.emit("x")["eventID"]
    assert answer(channel) == {"history": []}
    assert answer(channel, since=event) == {"history": [], "gap": True}
    assert kept(stack, channel) == 0


def test_a_reload_changes_what_is_kept(own_stack, own_channel):
    emit_many(own_channel, *range(10))
    assert payloads(own_channel) == list(range(10))
    own_stack.write_config(history_events="4")
    own_stack.bridge.send_signal(signal.SIGHUP)
    own_stack.wait_until(lambda: "config: reloaded"
                         in own_stack.log("wsbridge"), "the reload")
    assert payloads(own_channel) == [6, 7, 8, 9]
    own_channel.emit(10)
    wait_kept(own_stack, own_channel, 4)


# Restarts.

def test_it_survives_a_restart(own_stack, own_channel):
    ids = emit_many(own_channel, 1, 2)
    own_stack.stop_bridge()
    own_stack.start_bridge()
    own_channel.emit(3)
    assert payloads(own_channel, since=ids[0]) == [2, 3]


def test_what_was_listed_survives_a_kill(own_stack, own_channel):
    for i in range(5):
        own_channel.emit(i)
        listed = own_channel.history()
        assert listed[-1]["payload"] == i
        own_stack.stop_bridge(signal.SIGKILL)
        own_stack.start_bridge()
        assert own_channel.history() == listed


@pytest.mark.options(drain_timeout="10m")
def test_it_goes_on_in_a_successor(own_stack, own_channel):
    ids = emit_many(own_channel, *range(3))
    own_stack.replace_bridge()
    own_channel.emit(3)
    assert payloads(own_channel, since=ids[0]) == [1, 2, 3]


# The administrator.

def test_an_administrator_may_delete_events(stack, channel):
    ids = emit_many(channel, *range(6))
    assert len(channel.history()) == 6
    stack.sql(f"DELETE FROM channel_events WHERE event_id = '{ids[2]}'")
    assert payloads(channel) == [0, 1, 3, 4, 5]
    assert answer(channel, since=ids[0])["gap"] is True
    assert answer(channel, since=ids[2])["gap"] is True
    assert "gap" not in answer(channel, since=ids[3])
    with channel.join(since=ids[0]) as member:
        assert member.next("ERROR").payload["code"] == "HISTORY_GAP"
        assert [member.next("DATA").payload for _ in range(4)] == [1, 3, 4, 5]
    stack.sql(f"DELETE FROM channel_events WHERE channel = '{channel.name}'")
    assert answer(channel, since=ids[3]) == {"history": [], "gap": True}
    emit_many(channel, "new")
    assert payloads(channel) == ["new"]


def test_people_see_what_is_kept(stack, channel):
    emit_many(channel, {"a": 1}, [2])
    assert len(channel.history()) == 2
    row = stack.database.row("SELECT * FROM channel_overview WHERE channel ="
                             f" '{channel.name}'")
    assert (row["events"], row["bytes"]) == (2, len('{"a":1}[2]'))
    assert row["oldest"] <= row["newest"]


def test_a_lock_holds_up_no_emit(own_stack, own_channel):
    with own_channel.join() as member, own_stack.database.shell() as shell:
        shell.lock()
        for i in range(20):
            assert own_channel.emit(i)["delivered"] == 1
        assert member.data(20) == list(range(20))
        with own_stack.until_held(lambda: own_channel.http.begin(
                "GET", own_channel.path("history"))) as asked:
            assert shell.run("COMMIT") == ""
            events = asked.response().json["history"]
    assert [event["payload"] for event in events] == list(range(20))


def test_a_lock_that_stays_is_503_for_the_history(own_stack, own_channel):
    with own_stack.database.shell() as shell:
        shell.lock()
        own_channel.emit("x")
        response = own_channel.http.get(own_channel.path("history"))
        assert response.status == 503
        assert response.json["success"] is False
        assert response.json["code"] == "database_unavailable"
        assert own_channel.emit("y")["success"] is True
    own_stack.wait_until(lambda: own_channel.http.get(
        own_channel.path("history")).status == 200, "the history")
    assert payloads(own_channel) == ["x", "y"]
