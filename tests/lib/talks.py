"""What the real sockjs-client is expected to do, whatever runs it.

    class TestNode(Talks):
        @pytest.fixture(params=...)
        def transport(self, request): ...
        @pytest.fixture
        def connect(self, transport): ...   # function of a URL: a node.User

The options of its stack are OPTIONS, which make streams end and heartbeats
come while something is going on.
"""

import pytest

OPTIONS = {"stream_bytes": "16KiB", "heartbeat_interval": "500ms"}
TEXTS = (
    "plain", "", " ", "[1]", '"quoted"', "\\", "\\u0041", "'",
    "".join(map(chr, range(0x20))), "\x7f\x80\x9f", "\r\n\r\n", "\n",
    # What servers and clients of SockJS escape, and its neighbours.
    "\u00ad\u0600\u0604\u070f\u17b4\u17b5\u200b\u200c\u200f\u2010",
    "\u2027\u2028\u2029\u202f\u2030\u205f\u2060\u206f\u2070",
    "\ufeff\uffef\ufff0\ufffd\ufffe\uffff",
    # All planes, and halves of what lies above the first.
    "\u00e4\u4e2d\ud7ff\ue000", "\U0001f600 \U00010000\U0010ffff",
    "".join(chr(plane << 16 | 0xfffd) for plane in range(17)),
    "\ud800", "\udc00\ud800", "a\udbffb\udfffc",
    # What means something on some way: a form, a URL, EventSource, a page.
    "%", "%41%zz%e4%25", "a+b&c=d;e#f?g", "data: x\r\n\r\nid: 1",
    "</script><!--<script>", "]]>", "&lt;&amp;",
)
LONG = ("x" * 102400, "\u00e4\U0001f600\u2028" * 20000)
MANY = 100


class Talks:
    """Tests, of which the subclass says through what."""

    @pytest.fixture
    def application(self, stack, new_application):
        return new_application("echo", stack, events=True)

    @pytest.fixture
    def user(self, application, connect):
        return connect(f"{application.stack.url}/{application.authorize()}")

    def test_the_transport_is_the_one_that_was_asked_for(self, user,
                                                         transport):
        assert user.transport == transport

    def test_every_text_arrives_as_it_was_and_comes_back(self, application,
                                                         user):
        user.say(*TEXTS)
        assert [user.next() for _ in TEXTS] == list(TEXTS)
        assert application.messages() == list(TEXTS)

    def test_long_messages_arrive_both_ways(self, application, user):
        for text in LONG:
            user.say(text)
            assert user.next() == text
        assert application.messages() == list(LONG)

    def test_what_is_published_arrives_in_order(self, application, user):
        texts = [f"{number} {'.' * 500}" for number in range(MANY)]
        for text in texts:
            application.publish(application.socket_ids["ann"], text)
        assert [user.next() for _ in texts] == texts

    def test_users_and_applications_talk_at_once(self, application, user):
        socket_id = application.socket_ids["ann"]
        said = [f"said {number}" for number in range(MANY)]
        published = [f"published {number}" for number in range(MANY)]
        for one, other in zip(said, published):
            user.say(one)
            application.publish(socket_id, other)
        heard = [user.next() for _ in range(2 * MANY)]
        assert [text for text in heard if text in set(said)] == said
        assert [text for text in heard if text in set(published)] == published

    def test_a_silent_connection_stays_open(self, application, user):
        """Through heartbeats, which the client swallows."""
        session = self.session(application)
        application.stack.wait_until(
            lambda: self.age_s(application) >= 2, "three heartbeats")
        assert self.session(application) == session
        user.say("still here")
        assert user.next() == "still here"

    def test_the_application_closes(self, application, user):
        socket_id = application.socket_ids["ann"]
        application.publish(socket_id, "the last word")
        application.publish(
            socket_id, session=self.session(application),
            close={"code": 3001, "reason": "enough \u00e4\U0001f600"})
        assert user.next() == "the last word"
        assert user.happens() == {"code": 3001, "wasClean": True,
                                  "reason": "enough \u00e4\U0001f600"}
        told = application.wait_event("disconnected")
        assert told["code"] == 3001

    def test_a_withdrawal_closes(self, application, user):
        application.withdraw()
        assert user.happens() == {"code": 3000, "reason": "Go away!",
                                  "wasClean": True}

    def test_the_client_closes(self, application, user):
        assert user.close(3333, "bye") == {"code": 3333, "reason": "bye",
                                           "wasClean": True}
        # By HTTP the client just leaves.
        told = application.wait_event("disconnected")
        assert told["client"] == "ann"
        assert application.sessions(application.socket_ids["ann"]) == []

    @staticmethod
    def session(application):
        session, = application.sessions(application.socket_ids["ann"])
        return session["session"]

    @staticmethod
    def age_s(application):
        rows = application.stack.sql(
            "SELECT age_s FROM live_sessions WHERE subject = 'ann' "
            f"AND id = '{Talks.session(application)}'")
        return rows[0]["age_s"] if rows else 0
