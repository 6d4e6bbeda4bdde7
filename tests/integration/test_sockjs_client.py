"""sockjs-client in node, by every transport that it has there."""

import json

import pytest

from application import Answer
from node import Node, why_not
from talks import OPTIONS, Talks

TRANSPORTS = ("websocket", "xhr-streaming", "eventsource", "xhr-polling")

pytestmark = [
    pytest.mark.skipif(bool(why_not("sockjs-client")),
                       reason=why_not("sockjs-client") or "it is there"),
    pytest.mark.options(**OPTIONS)]


REPLY = {"message": {"a": [1, "\ud800 \udc00"]},
         "messages": ["half \udfff a pair", {"b": "\ud800 x"}, [], None]}


@pytest.fixture(scope="module")
def node():
    with Node("sockjs.cjs") as node:
        yield node


class TestNode(Talks):
    @pytest.fixture(params=TRANSPORTS)
    def transport(self, request):
        return request.param

    @pytest.fixture
    def connect(self, node, transport):
        return lambda url: node.connect(url, transport)


def test_a_reply_may_be_of_any_kind_and_have_halves_of_pairs(
        node, stack, new_application):
    application = new_application(lambda _callback: Answer(body=REPLY), stack)
    user = node.connect(f"{stack.url}/{application.authorize()}")
    user.say("well?")
    assert json.loads(user.next()) == REPLY["message"]
    assert user.next() == REPLY["messages"][0]
    assert [json.loads(user.next())
            for _ in REPLY["messages"][1:]] == REPLY["messages"][1:]


def test_it_chooses_a_websocket_where_it_may(node, stack, new_application):
    application = new_application("echo")
    user = node.connect(f"{stack.url}/{application.authorize()}")
    assert user.transport == "websocket"
    user.say("hello")
    assert user.next() == "hello"


def test_it_chooses_another_where_there_is_no_websocket(node, stack,
                                                        new_application):
    application = new_application("echo", sockjs_websocket=0)
    user = node.connect(f"{stack.url}/{application.authorize()}")
    assert user.transport == "xhr-streaming"
    user.say("hello")
    assert user.next() == "hello"
