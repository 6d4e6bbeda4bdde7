"""Nothing lost, nothing doubled: ack, seq and Last-Event-ID to the client,
numbered sends from it, whatever happens to its connections."""

import json
import random
import threading

import pytest

from client import DIALECTS, HEARTBEAT, Close, Http, Stream

FAST = pytest.mark.options(hold_min="100ms", hold_default="300ms",
                           hold_max="1s")
KINDS = ["poll", "jsonp", "stream", "events"]


@pytest.fixture
def quiet(relay, target):
    return relay.create(target.url("quiet"))


def receive(session, kind, **params):
    """(messages, seq) of the first answer, or the first of a stream."""
    if kind in ("stream", "events"):
        with session.stream(kind, **params) as stream:
            assert stream.exchange.head() == 200
            reply = stream.chunk()
    elif kind == "jsonp":
        response = session.try_poll(kind=kind, callback="cb", **params)
        assert response.status == 200, response
        reply = response.jsonp("cb")
    else:
        response = session.try_poll(kind=kind, **params)
        assert response.status == 200, response
        reply = response.json
    return session.relay.decode(reply), reply.get("seq")


def check_gap(response, expected, callback=None):
    answer = response.jsonp(callback) if callback else response.json
    assert (response.status, answer["ok"], answer["code"],
            answer["expected"]) == (409, False, "gap", expected), response
    assert answer["error"]


# To the client: numbers.

@pytest.mark.parametrize("kind", KINDS)
def test_answer_to_an_ack_tells_the_number_of_its_last_message(quiet, target,
                                                               kind):
    target.connection().do("say", "one", "two")
    target.connection().send(b"three")
    assert receive(quiet, "poll", ack=0)[1] in (1, 2, 3)
    # Until all of it was read from the target.
    while receive(quiet, "poll", ack=0)[1] < 3:
        pass
    assert receive(quiet, kind, ack=0) == (["one", "two", b"three"], 3)
    assert receive(quiet, kind, ack=2) == ([b"three"], 3)


@pytest.mark.parametrize("kind", KINDS)
def test_answer_without_an_ack_has_no_number(quiet, target, kind):
    target.connection().send("hello")
    assert receive(quiet, kind) == (["hello"], None)


@FAST
@pytest.mark.parametrize("kind", KINDS)
def test_heartbeat_has_no_number(quiet, target, kind):
    assert receive(quiet, kind, ack=0) == ([HEARTBEAT], None)
    target.connection().send("1")
    assert receive(quiet, kind, ack=0) == (["1"], 1)
    assert receive(quiet, kind, ack=1) == ([HEARTBEAT], None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_receiver_takes_its_ack_from_a_body(http, relay, target, kind):
    session = relay.create(target.url("quiet"))
    connection = target.connection()
    connection.send("one")
    assert receive(session, "poll", ack=0) == (["one"], 1)
    path, params = relay.receiver(kind, session.id)
    with http.begin("POST", path, {"cb": "cb"},
                    body={**params, "ack": 1}) as exchange:
        connection.send("two")
        line = exchange.line()
        while "two" not in line:
            line = exchange.line()
        assert "one" not in line and '"seq":2' in line


# To the client: what is kept, and what is not.

@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_acknowledged_comes_again(quiet, target, kind):
    target.connection().send("one")
    for _ in range(3):
        assert receive(quiet, kind, ack=0) == (["one"], 1)
    target.connection().send("two")
    for _ in range(2):
        assert receive(quiet, kind, ack=1) == (["two"], 2)


@pytest.mark.parametrize("kind", KINDS)
def test_every_transport_gets_what_another_was_sent(quiet, target, kind):
    target.connection().send("one")
    for first in KINDS:
        assert receive(quiet, first, ack=0) == (["one"], 1)
        assert receive(quiet, kind, ack=0) == (["one"], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_sent_is_got_for_a_receiver_without_ack(quiet, target, kind):
    connection = target.connection()
    connection.send("one")
    assert receive(quiet, "poll", ack=0) == (["one"], 1)
    with quiet.begin(kind, **({"cb": "cb"} if kind == "jsonp" else {})) \
            as exchange:
        connection.send("two")
        line = exchange.line()
        while "two" not in line:
            assert "one" not in line
            line = exchange.line()
        assert "one" not in line


@pytest.mark.parametrize("kind", KINDS)
def test_number_below_what_was_acknowledged_is_a_gap(quiet, target, kind):
    target.connection().send("one")
    assert receive(quiet, kind, ack=0) == (["one"], 1)
    target.connection().send("two")
    assert receive(quiet, kind, ack=1) == (["two"], 2)
    params = {"cb": "cb"} if kind == "jsonp" else {}
    check_gap(quiet.try_poll(kind=kind, ack=0, **params), 1, params.get("cb"))
    assert receive(quiet, kind, ack=1) == (["two"], 2)


@pytest.mark.parametrize("kind", KINDS)
def test_number_that_no_message_has_is_a_gap(quiet, kind):
    params = {"cb": "cb"} if kind == "jsonp" else {}
    for ack in (1, 7, 2**63 - 1, 10**30):
        check_gap(quiet.try_poll(kind=kind, ack=ack, **params), 0,
                  params.get("cb"))


def test_gap_is_told_to_a_script_tag(quiet):
    response = quiet.try_poll(kind="jsonp", callback="cb", ack=1, status=200)
    answer = response.jsonp("cb")
    assert (response.status, answer["status"], answer["code"],
            answer["expected"]) == (200, 409, "gap", 0)


def test_gap_replaces_nobody(quiet, target, parked):
    target.connection().send("one")
    assert receive(quiet, "poll", ack=0) == (["one"], 1)
    with parked(quiet, ack=1) as present:
        check_gap(quiet.try_poll(ack=0), 1)
        check_gap(quiet.try_poll(kind="stream", ack=2), 1)
        target.connection().send("two")
        reply = present.response().json
    assert (quiet.relay.decode(reply), reply["seq"]) == (["two"], 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ack", ["-1", "one", "1.5", "", " 1", "0x1"])
def test_ack_that_is_no_number_is_refused(quiet, kind, ack):
    params = {"cb": "cb"} if kind == "jsonp" else {}
    response = quiet.try_poll(kind=kind, ack=ack, **params)
    answer = response.jsonp("cb") if kind == "jsonp" else response.json
    assert (response.status, answer["code"]) == (400, "bad_parameter")


def test_head_acknowledges_nothing(quiet, target):
    target.connection().send("one")
    assert receive(quiet, "poll", ack=0) == (["one"], 1)
    with quiet.begin(method="HEAD", ack=1) as exchange:
        assert exchange.head() == 200
    assert receive(quiet, "poll", ack=0) == (["one"], 1)


# To the client: the close event.

@pytest.mark.parametrize("kind", KINDS)
def test_close_event_has_the_last_number(quiet, target, kind):
    connection = target.connection()
    connection.send("last")
    connection.do("close-with", "4001", "bye")
    close = Close(4001, "bye", True)
    connection.wait_closed()
    while receive(quiet, "poll", ack=0)[1] < 2:
        pass
    assert receive(quiet, kind, ack=0) == (["last", close], 2)
    for _ in range(2):
        assert receive(quiet, kind, ack=1) == ([close], 2)
    params = {"cb": "cb"} if kind == "jsonp" else {}
    assert quiet.try_poll(kind=kind, ack=2, **params).status == 403
    assert quiet.try_poll(ack=1).status == 403


def test_close_event_that_an_eventsource_got_is_over_without_ack(quiet,
                                                                 target):
    target.connection().do("close-with", "1000", "")
    with quiet.stream("events") as stream:
        assert stream.rest() == [Close(1000, "", True)]
        assert stream.last_id == 1
    assert quiet.try_poll().status == 403


@pytest.mark.options(close_linger="1s")
def test_close_event_is_not_kept_for_ever(stack, quiet, target):
    target.connection().do("close-with", "1000", "")
    assert receive(quiet, "poll", ack=0) == ([Close(1000, "", True)], 1)
    stack.wait_until(lambda: quiet.try_poll(ack=0).status == 403,
                     "the end of close_linger")


# EventSource.

def test_eventsource_goes_on_behind_its_last_id(quiet, target):
    connection = target.connection()
    connection.do("say", "1", "2", "3")
    with quiet.stream("events") as stream:
        assert stream.receive(3) == ["1", "2", "3"]
        assert stream.last_id == 3
    for last in (1, 2):
        with quiet.stream("events",
                          headers={"Last-Event-ID": str(last)}) as stream:
            assert stream.receive(3 - last) == ["1", "2", "3"][last:]
            assert stream.last_id == 3
    check_gap(quiet.try_poll(kind="events",
                             headers={"Last-Event-ID": "1"}), 2)


def test_eventsource_has_an_id_before_its_first_message(quiet, target):
    """So that its browser says 0 when it comes again, and not nothing."""
    with quiet.begin("events") as exchange:
        assert exchange.line() == "id: 0"
        target.connection().send("lost on its way")
    assert receive(quiet, "events", headers={"Last-Event-ID": "0"}) == (
        ["lost on its way"], 1)
    with quiet.begin("events", ack=1) as exchange:
        assert exchange.line() == "id: 1"


def test_last_event_id_goes_before_ack(quiet, target):
    connection = target.connection()
    connection.do("say", "1", "2")
    with quiet.stream("events", ack=0) as stream:
        assert stream.receive(2) == ["1", "2"]
    with quiet.stream("events", ack=0,
                      headers={"Last-Event-ID": "1"}) as stream:
        assert stream.receive() == ["2"]


@pytest.mark.parametrize("kind", ["poll", "stream"])
def test_last_event_id_is_for_eventsource_only(quiet, target, kind):
    target.connection().send("1")
    assert receive(quiet, kind, headers={"Last-Event-ID": "77"}) == (
        ["1"], None)


@pytest.mark.parametrize("value", ["-1", "one", "1e3", "1 2"])
def test_last_event_id_that_is_no_number_is_refused(quiet, value):
    response = quiet.try_poll(kind="events", headers={"Last-Event-ID": value})
    assert (response.status, response.code) == (400, "bad_parameter")


def test_empty_last_event_id_is_none(quiet, target):
    target.connection().send("1")
    with quiet.stream("events", headers={"Last-Event-ID": ""}) as stream:
        assert stream.receive() == ["1"]


# Bounds.

@pytest.mark.options(queue_messages="8", hold_min="100ms")
@pytest.mark.parametrize("kind", ["stream", "events"])
def test_stream_ends_for_an_acknowledgement(quiet, target, kind):
    connection = target.connection()
    numbers = [str(i) for i in range(1, 101)]
    flood = threading.Thread(target=lambda: [connection.send(number)
                                             for number in numbers])
    flood.start()
    seen, streams = [], 0
    while len(seen) < 100:
        with quiet.stream(kind, timeout=500, ack=len(seen)) as stream:
            for message in iter(stream.next, None):
                seen += [message] if message != HEARTBEAT else []
                if len(seen) == 100:
                    break
        streams += 1
    flood.join()
    assert seen == numbers
    # Five at least in each but the last, or it would not have ended.
    assert 2 <= streams <= 20


@pytest.mark.options(queue_messages="8", stall_timeout="1s")
def test_client_that_never_acknowledges_is_slow(quiet, target):
    connection = target.connection()
    for i in range(12):
        connection.send(str(i))
    while receive(quiet, "poll", ack=0)[1] < 8:
        pass
    connection.wait_closed()
    assert connection.close == (1008, "slow client")


# Connections that break.

@pytest.mark.parametrize("kind", ["poll", "jsonp", "stream", "events"])
def test_answer_that_was_cut_comes_again(quiet, target, kind):
    text = "x" * 1000000
    target.connection().send(text)
    params = {"cb": "cb"} if kind == "jsonp" else {}
    for _ in range(3):
        with quiet.begin(kind, ack=0, **params) as exchange:
            assert exchange.head() == 200
            exchange.answer.read(5000)
            exchange.reset()
    assert receive(quiet, kind, ack=0) == ([text], 1)


class Faulty:
    """A client that numbers all and whose connections break all the time."""

    def __init__(self, session, dice):
        self.session = session
        self.dice = dice
        self.got = []

    def acknowledgement(self, kind):
        number = str(len(self.got))
        if kind == "events" and self.dice.random() < 0.5:
            return {"headers": {"Last-Event-ID": number}}
        return {"ack": number}

    def take(self, reply):
        messages = [m for m in self.session.relay.decode(reply)
                    if m != HEARTBEAT]
        self.got += messages
        assert reply.get("seq") == (len(self.got) if messages else None)

    def receive(self, kind):
        params = self.acknowledgement(kind)
        if kind == "jsonp":
            params["callback"] = "cb"
        exchange = self.session.begin(kind, 200, **params)
        fate = self.dice.random()
        if fate < 0.15:
            exchange.reset()        # before anything came
            return
        assert exchange.head() == 200
        if fate < 0.3:
            exchange.reset()
        elif kind in ("poll", "jsonp"):
            response = exchange.response()
            exchange.close()
            if fate > 0.5:          # else it was lost behind the last router
                self.take(response.jsonp("cb") if kind == "jsonp"
                          else response.json)
        else:
            self.read(exchange, kind)

    def read(self, exchange, kind):
        stream = Stream(self.session.relay, exchange, kind)
        for _ in range(self.dice.randrange(4)):
            reply = stream.chunk()
            if reply is None:
                break
            self.take(reply)
        exchange.reset()


@FAST
def test_any_transports_and_broken_connections_lose_and_double_nothing(
        quiet, target):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    client = Faulty(quiet, dice)
    connection = target.connection()
    numbers = [str(i) for i in range(200)]
    sent = 0
    kinds = ["jsonp", "events", "stream", "poll"]
    while len(client.got) < len(numbers):
        for kind in kinds:
            more = min(dice.randrange(12), len(numbers) - sent)
            for number in numbers[sent:sent + more]:
                connection.send(number)
            sent += more
            client.receive(kind)
            assert client.got == numbers[:len(client.got)]
    connection.do("close-with", "1000", "done")
    while not isinstance(client.got[-1], Close):
        client.receive(dice.choice(kinds))
    assert client.got == numbers + [Close(1000, "done", True)]
    assert quiet.try_poll(ack=len(client.got)).status == 403


def take_stream(quiet, kind, got, count, **params):
    """Until there are so many, over as many streams as that takes."""
    while len(got) < count:
        headers = {}
        if kind == "events":
            headers["Last-Event-ID"] = str(len(got))
        else:
            params["ack"] = len(got)
        with quiet.stream(kind, headers=headers, **params) as stream:
            while len(got) < count and (reply := stream.chunk()):
                messages = [m for m in quiet.relay.decode(reply)
                            if m != HEARTBEAT]
                got += messages
                assert reply.get("seq") == (len(got) if messages else None)


@FAST
def test_session_goes_on_over_jsonp_then_eventsource_then_streaming(quiet,
                                                                    target):
    """While the target speaks all the time, and what is given up is still
    being answered when its successor comes."""
    numbers = [str(i) for i in range(1, 601)]
    connection = target.connection()
    speaker = threading.Thread(target=lambda: [connection.send(number)
                                               for number in numbers])
    got = []
    speaker.start()
    while len(got) < 200:
        messages, seq = receive(quiet, "jsonp", ack=len(got))
        got += [m for m in messages if m != HEARTBEAT]
        assert seq in (None, len(got))
    with quiet.begin("jsonp", 200, cb="cb", ack=len(got)):
        take_stream(quiet, "events", got, 400)
    with quiet.begin("events", headers={"Last-Event-ID": str(len(got))}):
        take_stream(quiet, "stream", got, 600)
    speaker.join()
    assert got == numbers
    connection.do("close-with", "1000", "done")
    assert receive(quiet, "jsonp", ack=600) == (
        [Close(1000, "done", True)], 601)
    assert quiet.try_poll(ack=601).status == 403


# From the client.

def test_repeated_send_is_sent_once(quiet, target):
    for _ in range(3):
        quiet.send("one", n=1)
    for _ in range(3):
        quiet.send("two", n=2)
    quiet.send("one", n=1)
    quiet.send(b"three", n=3)
    target.connection().wait_for_messages("one", "two", b"three")


def test_send_that_leaves_a_gap_is_refused(quiet, target):
    check_gap(quiet.try_send("two", n=2), 1)
    quiet.send("one", n=1)
    check_gap(quiet.try_send("three", n=3), 2)
    check_gap(quiet.try_send("far", n=2**63 - 1), 2)
    quiet.send("two", n=2)
    target.connection().wait_for_messages("one", "two")


@pytest.mark.parametrize("n", [0, -1, "one", "1.5", ""])
def test_number_that_no_event_has_is_refused(quiet, target, n):
    response = quiet.try_send("hello", n=n)
    assert (response.status, response.code) == (400, "bad_parameter")
    quiet.send("one", n=1)
    target.connection().wait_for_messages("one")


def test_sends_without_a_number_are_counted(quiet, target):
    quiet.send("one")
    quiet.send("two")
    quiet.send("two", n=2)
    check_gap(quiet.try_send("four", n=4), 3)
    quiet.send("three", n=3)
    quiet.send("four")
    target.connection().wait_for_messages("one", "two", "three", "four")


def test_overlapping_sends_are_sent_as_far_as_they_are_new(http, target):
    session = DIALECTS["polysocket"](http).create(target.url("quiet"))
    session.send("1", "2", n=1)
    session.send("2", "3", "4", n=2)
    session.send("1", "2", "3", "4", n=1)
    session.send(n=5)
    session.send("5", n=5)
    check_gap(session.try_send(n=7), 6)
    target.connection().wait_for_messages("1", "2", "3", "4", "5")


def test_dialects_count_together(http, target):
    session = DIALECTS["polysocket"](http).create(target.url("quiet"))
    session.send("1", "2", n=1)
    response = http.get(f"/s/{session.id}", d="2", t="t", n=2, cb="f")
    assert (response.status, response.jsonp("f")) == (201, {"ok": True})
    response = http.get(f"/s/{session.id}", d="4", t="t", n=4, cb="f",
                        status=200)
    answer = response.jsonp("f")
    assert (response.status, answer["status"], answer["code"],
            answer["expected"]) == (200, 409, "gap", 3)
    assert http.get(f"/s/{session.id}", d="3", t="t", n=3).status == 201
    target.connection().wait_for_messages("1", "2", "3")


def test_parts_have_numbers(quiet, target):
    for _ in range(2):
        quiet.send("a", n=1, more=1)
    for _ in range(2):
        quiet.send("b", n=2, more=1)
    check_gap(quiet.try_send("d", n=4), 3)
    for _ in range(2):
        quiet.send("c", n=3)
    quiet.send("d", n=4)
    target.connection().wait_for_messages("abc", "d")


@pytest.mark.options(max_message="1000B")
def test_refused_send_takes_no_number(quiet, target):
    response = quiet.try_send("x" * 1001, n=1)
    assert (response.status, response.code) == (413, "message_too_large")
    quiet.send("one", n=1)
    target.connection().wait_for_messages("one")


@pytest.mark.options(queue_messages="4", queue_bytes="64KiB",
                     max_message="60KiB")
def test_send_to_a_slow_target_may_be_repeated(relay, target):
    session = relay.create(target.url("deaf"))
    texts, n = [], 0
    while True:
        text = f"{n + 1} ".ljust(60000, "x")
        response = session.try_send(text, n=n + 1)
        if response.status != 201:
            break
        texts.append(text)
        n += 1
    assert (response.status, response.code) == (429, "slow_target")
    assert session.try_send(texts[-1], n=n).status == 201
    check_gap(session.try_send("x", n=n + 2), n + 1)
    connection = target.connection()
    connection.resume()
    while session.try_send(text, n=n + 1).status == 429:
        pass
    session.send(text, n=n + 1)
    connection.wait_for_messages(*texts, text)


def test_send_to_a_closed_session_is_refused_as_ever(quiet, target):
    quiet.send("one", n=1)
    quiet.close(code=1000)
    assert quiet.try_send("one", n=1).status == 403


def test_sends_of_several_connections_at_once_are_sent_once(quiet, target):
    """Each repeats all; what comes too early is told where to go on."""
    numbers = [str(i) for i in range(1, 61)]
    failures = []

    def send_all(dice):
        n = 1
        while n <= len(numbers):
            response = quiet.try_send(numbers[n - 1], n=n)
            if response.status == 409:
                n = response.json["expected"]
            elif response.status == 201:
                n += dice.randrange(1, 4) if dice.random() < 0.3 else 1
            else:
                failures.append(response)
                return

    threads = [threading.Thread(target=send_all, args=(random.Random(i),))
               for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    quiet.send("end")
    target.connection().wait_for_messages(*numbers, "end")


def test_sends_whose_answers_are_lost_are_repeated(quiet, relay, target):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    texts = [f"message {i}" for i in range(60)]
    for n, text in enumerate(texts, 1):
        while dice.random() < 0.5:
            begin_send(relay, quiet, text, n).reset()
        quiet.send(text, n=n)
    target.connection().wait_for_messages(*texts)


def begin_send(relay, session, text, n):
    """One that nobody waits for."""
    if relay.name == "polysocket":
        return relay.http.begin("POST", "/polysocket/send", body={
            "socket": session.id, "n": n,
            "events": [{"type": "string", "data": text}]})
    return relay.http.begin("POST", "/s/" + session.id,
                            body={"t": "t", "d": text, "n": n})


# Both ways at once.

@FAST
def test_conversation_over_broken_connections(stack, relay, target):
    session = DIALECTS[relay.name](Http(stack.port, stack.prefix)).create(
        target.url("echo"))
    dice = random.Random(4)
    client = Faulty(session, dice)
    texts = [f"{i} é" for i in range(60)]
    for n, text in enumerate(texts, 1):
        if dice.random() < 0.3:
            begin_send(relay, session, text, n).reset()
        session.send(text, n=n)
        if dice.random() < 0.3:
            client.receive(dice.choice(KINDS))
    while len(client.got) < len(texts):
        client.receive(dice.choice(KINDS))
    assert client.got == texts


def test_an_unknown_socket_is_unknown_with_any_number(relay):
    path, params = relay.receiver("poll", "none.AAAAAAAAAAAAAAAAAAAAAA")
    response = relay.http.get(path, ack=5, **params)
    assert (response.status, json.loads(response.text)["code"]) == (
        403, "socket_unknown")
