"""doc/asyncapi.yaml and doc/openapi.yaml describe what is really sent."""

import json

import pytest

from application import Application, Responder
from channel import KINDS, Channel
from client import Http
from sockjs import connect
from stack import SOURCE

yaml = pytest.importorskip("yaml")
jsonschema = pytest.importorskip("jsonschema")


class Description:
    """One of the two documents, by which objects can be checked."""

    def __init__(self, name):
        text = (SOURCE / "doc" / name).read_text("utf-8")
        self.document = yaml.safe_load(text)

    def check(self, schema, value):
        jsonschema.Draft202012Validator(
            schema, resolver=jsonschema.RefResolver("", self.document)
        ).validate(value)


@pytest.fixture(scope="module")
def frames():
    """Checks a frame by its type; remembers which types it has seen."""
    description = Description("asyncapi.yaml")
    messages = {message["name"]: message["payload"] for message in
                description.document["components"]["messages"].values()}

    def check(frame):
        description.check(messages[frame["type"]], dict(frame))
        check.seen.add(frame["type"])

    check.seen = set()
    return check


@pytest.fixture(scope="module")
def answers():
    """Checks an answer by its operation."""
    description = Description("openapi.yaml")
    operations = {
        operation["operationId"]: operation
        for path in description.document["paths"].values()
        for operation in path.values() if isinstance(operation, dict)}

    def resolve(value):
        while "$ref" in value:
            found = description.document
            for name in value["$ref"].split("/")[1:]:
                found = found[name]
            value = found
        return value

    def check(operation, response):
        described = resolve(
            operations[operation]["responses"][str(response.status)])
        schema = described["content"]["application/json"]["schema"]
        description.check(schema, response.json)

    return check


FROM_SERVER = {"CONNECTED", "PRESENCE:JOINED", "PRESENCE:UPDATED",
               "PRESENCE:LEFT", "DATA", "PING", "ERROR", "ACK-RECEIVED",
               "EMITTED"}


@pytest.mark.options(ping_interval="100ms", ping_timeout="20s")
def test_frames_are_as_described(channel, frames):
    """A conversation in which each type occurs."""
    frames.seen.clear()
    first = channel.emit("first")["eventID"]
    channel.emit("to be replayed")
    with channel.join(pongs=False, since=first) as one:
        frames(one.connected)
        frames(one.next("DATA"))
        with channel.join(presence={"a": 1}) as two:
            frames(two.connected)
            two.set_presence({"a": 2})
            frames(two.next("PRESENCE:UPDATED"))
            frames(one.find("PRESENCE:JOINED"))
            two.say({"type": "EMIT", "payload": "x", "requires_ack": True,
                     "clients": [two.id]})
            event = two.find("DATA")
            frames(event)
            two.ack(event.event_id)
            # The acknowledgement and the answer may come in either order.
            for _ in range(2):
                frames(two.next())
            two.say("nonsense")
            frames(two.find("ERROR"))
            frames(one.find("PING"))
        while "PRESENCE:LEFT" not in frames.seen:
            frames(one.next())
    assert frames.seen == FROM_SERVER


@pytest.mark.parametrize("kind", KINDS[1:])
def test_frames_without_websocket_are_as_described(stack, channel, frames,
                                                   kind):
    with channel.join(kind) as member:
        frames(member.connected)
        channel.emit({"a": 1})
        frames(member.next("DATA"))


def test_a_close_without_websocket_is_as_described(new_stack, frames):
    stack = new_stack()
    channel = Channel(Http(stack.port), "room")
    with channel.http.begin("GET", channel.path("listen"),
                            {"transport": "xhr-streaming"}) as stream:
        stream.line()
        frames(json.loads(stream.line()))
        stack.replace_bridge()
        frames(json.loads(stream.line()))
        assert "CLOSE" in frames.seen


def test_answers_are_as_described(channel, answers, http):
    with channel.join() as member:
        answers("emit", channel.try_emit({"a": 1}))
        answers("emit", channel.try_emit({"a": 1}, clients="nobody"))
        answers("emit", channel.try_emit({}))
        answers("emit", channel.try_emit("x", clients="1,2," + member.id))
        answers("emitByGet", channel.try_emit_by_get(a="1"))
        answers("emit", channel.try_emit_batch([1, 2]))
        answers("members", http.get(channel.path("members")))
        answers("history", http.get(channel.path("history")))
        answers("listen", channel.try_listen())
        answers("listen", channel.try_listen(transport="xhr"))
        answers("say", channel.try_say("client_nobody__", "none.0", {}))
        channel.token = "nobody's"
        answers("emit", channel.try_emit(1))
        answers("members", http.get(channel.path("members"), token="x"))
    answers("ready", http.get("/polysocket/health/ready"))
    answers("limits", http.get("/polysocket/limits"))
    answers("poll", http.get("/polysocket/xhr", socket="none.0"))
    answers("create", http.post("/polysocket/create", {}))


@pytest.mark.options(ack_timeout="50ms")
def test_an_emit_that_is_not_acknowledged_is_as_described(channel, answers):
    with channel.join():
        response = channel.try_emit("x", require_ack="true")
        assert response.status == 408
        answers("emit", response)


def test_answers_to_applications_and_their_callbacks_are_as_described(
        stack, answers):
    """The description of a callback is part of that of authorize."""
    description = Description("openapi.yaml")
    path = description.document["paths"]["/authorize/{application}/{client}"]
    described = path["post"]["callbacks"]["heard"][
        "{$request.body#/callback}"]["post"]
    with Responder() as responder:
        application = Application(stack, responder)
        response = application.try_authorize("ann", events=True)
        answers("authorize", response)
        socket_id = response.json["socket_id"]
        with connect(application.http, socket_id, "xhr_streaming") as user:
            user.send("hello")
            answers("publish", application.try_publish(socket_id, message=1))
            answers("connections", application.http.get(
                application.publish_path(socket_id, None)))
            application.wait_messages("hello")
            session, = application.told("session", event="connected")
            answers("publishToSession", application.try_publish(
                socket_id, session, close={"code": 3001}))
            application.wait_event("disconnected")
        answers("withdraw", application.try_withdraw("ann"))
        answers("publish", application.try_publish(socket_id, message=1))
        answers("authorize", application.try_authorize("ann", {}))
    kinds = set()
    for callback in application.callbacks:
        schema = described["requestBody"]["content"]["application/json"][
            "schema"]
        description.check(schema, callback.json)
        assert set(callback.json) <= set(schema["properties"])
        for header in described["parameters"]:
            description.check(header["schema"],
                              callback.headers[header["name"]])
        kinds.add(callback.get("event"))
    assert kinds == {None, "connected", "disconnected"}
