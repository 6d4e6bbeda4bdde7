"""RFC 6455 as clients of channels see it, rule by rule.

Most of it is said to wsbridge itself, since it is wsbridge that keeps the
rules; what a web server in between might change goes through both.

A member that may emit hears its own events, so an EMIT is an echo: what comes
back as DATA was understood to the last byte.
"""

import json
import struct
import zlib

import pytest

from rawsocket import (BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT,
                       RawSocket, client_frame, close_payload, head)
from stack import LOOPBACK

PATH = "/room/listen"
BEGIN, END = b'{"type":"EMIT","payload":"', b'"}'
SIZES = (125, 126, 127, 128, 65535, 65536, 65537)


@pytest.fixture(params=["bridge", "lighttpd", "apache"])
def door(request, pool):
    return open_door(request.param, pool)


@pytest.fixture
def bridge_door(pool):
    return open_door("bridge", pool)


def open_door(name, pool):
    """Where connections go that lead to the bridge's ws_socket."""
    server = "lighttpd" if name == "bridge" else name
    stack = pool.get(server, "", {}, {}, LOOPBACK)
    return (stack.ws_socket if name == "bridge" else
            ("127.0.0.1", stack.port))


@pytest.fixture
def raw(bridge_door):
    with RawSocket(bridge_door) as raw:
        raw.handshake()
        yield raw


@pytest.fixture
def far(door):
    with RawSocket(door) as far:
        far.handshake()
        yield far


def emit(text=None, size=None):
    """The frame that emits a text, or one of so many bytes."""
    if text is None:
        text = "a" * (size - len(BEGIN) - len(END))
    return BEGIN + text.encode() + END


def assert_echo(raw, message):
    assert raw.find("DATA")["payload"] == json.loads(message)["payload"]


def assert_works(raw):
    raw.say(TEXT, emit("still here"))
    assert_echo(raw, emit("still here"))


def assert_fails(raw, code, reason=None):
    """It is told why, and the connection ends."""
    got = raw.next_close()
    assert got[0] == code and (reason is None or got[1] == reason), got
    assert raw.at_end()


# 5.2: lengths, in whatever pieces they come.

@pytest.mark.parametrize("chop", [None, 1, 997])
@pytest.mark.parametrize("size", SIZES)
def test_texts_of_any_size(raw, size, chop):
    if chop == 1 and size > 128:
        chop = 4097
    raw.say(TEXT, emit(size=size), chop=chop)
    assert_echo(raw, emit(size=size))
    assert_works(raw)


@pytest.mark.parametrize("size", [125, 126, 65535, 65536, 300000])
def test_texts_of_any_size_through_a_web_server(far, size):
    far.say(TEXT, emit(size=size))
    assert_echo(far, emit(size=size))


def test_empty_text_is_a_message(raw):
    raw.say(TEXT, b"")
    assert raw.find("ERROR")["payload"]["code"] == "BAD_MESSAGE"
    assert_works(raw)


def test_many_messages_in_one_write(raw):
    raw.send(b"".join(client_frame(TEXT, emit(str(i))) for i in range(100)))
    assert [raw.find("DATA")["payload"] for _ in range(100)] == [
        str(i) for i in range(100)]


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff",
                                  b"\x01\x02\x03\x04"])
def test_any_masking_key(raw, mask):
    for size in range(40, 60):
        raw.say(TEXT, emit(size=size), mask=mask)
        assert_echo(raw, emit(size=size))


@pytest.mark.parametrize("length", [
    struct.pack("!BH", 0x80 | 126, 125), struct.pack("!BH", 0x80 | 126, 0),
    struct.pack("!BQ", 0x80 | 127, 65535), struct.pack("!BQ", 0x80 | 127, 5),
], ids=["125 in 16 bits", "0 in 16 bits", "65535 in 64 bits",
        "5 in 64 bits"])
def test_lengths_are_minimal(raw, length):
    raw.send(b"\x81" + length + MASK)
    assert_fails(raw, 1002, "length not minimal")


def test_a_length_has_63_bits(raw):
    raw.send(b"\x81" + struct.pack("!BQ", 0x80 | 127, 1 << 63) + MASK)
    assert_fails(raw, 1002)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE, CONTINUATION])
def test_frames_are_masked(raw, opcode):
    if opcode == CONTINUATION:
        raw.say(TEXT, b"{", fin=False)
    raw.send(client_frame(opcode, b"", mask=None))
    assert_fails(raw, 1002, "unmasked frame")


# 5.2: reserved bits and opcodes.

@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_reserved_bits(raw, opcode, bits):
    frame = client_frame(opcode, b"\x03\xe8")
    raw.send(bytes([frame[0] | bits << 4]) + frame[1:])
    assert_fails(raw, 1002, "reserved bits")


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"payload"],
                         ids=["empty", "payload"])
def test_reserved_opcodes(raw, opcode, payload):
    raw.say(opcode, payload)
    assert_fails(raw, 1002, "reserved opcode")


def test_what_came_before_a_broken_rule_counts(raw):
    raw.send(client_frame(TEXT, emit("first")) + client_frame(5) +
             client_frame(TEXT, emit("never")))
    assert_echo(raw, emit("first"))
    assert_fails(raw, 1002)


# 5.4: fragments.

def fragments(message, sizes, opcode=TEXT):
    """The frames of a message cut at these places."""
    places = [0, *sizes, len(message)]
    parts = [message[a:b] for a, b in zip(places, places[1:])]
    return [client_frame(CONTINUATION if i else opcode, part,
                         fin=i == len(parts) - 1)
            for i, part in enumerate(parts)]


@pytest.mark.parametrize("places", [
    [1], [10], [0], [33, 33], [5, 10, 15, 20], list(range(1, 30)), [-1],
], ids=str)
@pytest.mark.parametrize("chop", [None, 1])
def test_fragments_are_put_together(raw, places, chop):
    message = emit("fragmented")
    places = [place % len(message) for place in places]
    raw.send(b"".join(fragments(message, places)), chop)
    assert_echo(raw, message)


def test_fragments_through_a_web_server(far):
    message = emit(size=200000)
    for part in fragments(message, [1, 70000, 70001]):
        far.send(part)
    assert_echo(far, message)


@pytest.mark.parametrize("control", [PING, PONG])
def test_control_frames_between_fragments(raw, control):
    first, second, third = fragments(emit("cut in three"), [3, 9])
    raw.send(first + client_frame(control, b"1") + second)
    if control == PING:
        assert raw.next_frame() == (PONG, b"1")
    raw.send(client_frame(control, b"2") + third)
    if control == PING:
        assert raw.next_frame() == (PONG, b"2")
    assert_echo(raw, emit("cut in three"))


def test_a_close_between_fragments(raw):
    raw.send(fragments(emit("never"), [3])[0])
    raw.say(CLOSE, close_payload(1000, "enough"))
    assert raw.next_close() == (1000, "enough")


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("before", [b"", client_frame(TEXT, emit("whole"))],
                         ids=["first", "after a message"])
def test_nothing_to_continue(raw, before, fin):
    raw.send(before + client_frame(CONTINUATION, b"x", fin=fin))
    assert_fails(raw, 1002, "nothing to continue")


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_a_message_is_finished_before_another(raw, opcode, fin):
    raw.say(TEXT, b"{", fin=False)
    raw.say(opcode, b"}", fin=fin)
    assert_fails(raw, 1002, "unfinished message")


# 5.5: control frames.

@pytest.mark.parametrize("size", [0, 1, 124, 125])
@pytest.mark.parametrize("chop", [None, 1])
def test_pings_are_answered(raw, size, chop):
    payload = bytes(range(size))
    raw.say(PING, payload, chop=chop)
    assert raw.next_frame() == (PONG, payload)


def test_pings_are_answered_through_a_web_server(far):
    far.say(PING, b"\x00\xff binary")
    assert far.next_frame() == (PONG, b"\x00\xff binary")


def test_ten_pings_at_once(raw):
    raw.send(b"".join(client_frame(PING, b"%d" % i) for i in range(10)))
    assert [raw.next_frame() for _ in range(10)] == [
        (PONG, b"%d" % i) for i in range(10)]


@pytest.mark.parametrize("payload", [b"", b"x", b"y" * 125],
                         ids=["empty", "short", "long"])
def test_pongs_need_no_answer(raw, payload):
    raw.say(PONG, payload)
    raw.say(PING, b"mark")
    assert raw.next_frame() == (PONG, b"mark")


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [126, 127, 65536])
def test_control_frames_are_short(raw, opcode, size):
    raw.say(opcode, bytes(size))
    assert_fails(raw, 1002, "control frame too long")


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_are_whole(raw, opcode):
    raw.say(opcode, fin=False)
    assert_fails(raw, 1002, "fragmented control frame")


# 5.6: what is text.

@pytest.mark.parametrize("text", [
    "κόσμε", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000",
    "\ufffd", "\ufffe", "\uffff", "\U00010000", "\U0010ffff", "a\u0301",
], ids=ascii)
@pytest.mark.parametrize("chop", [None, 1])
def test_valid_text(raw, text, chop):
    raw.say(TEXT, emit(text), chop=chop)
    assert_echo(raw, emit(text))


def test_characters_cut_by_fragments(raw):
    message = emit("κόσμε \U0001f600 ☃")
    parts = fragments(message, range(1, len(message)))
    raw.send(b"".join(parts))
    assert_echo(raw, message)


INVALID = [
    b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3(", b"\xe0\x80\x80",
    b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
    b"\xf8", b"\xfe", b"\xff", b"\xe2\x28\xa1", b"\xe2\x82\x28",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"]


@pytest.mark.parametrize("data", INVALID, ids=bytes.hex)
def test_invalid_text(raw, data):
    raw.say(TEXT, b"{" + data + b"}")
    assert_fails(raw, 1007, "invalid UTF-8")


@pytest.mark.parametrize("data", [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"],
                         ids=bytes.hex)
@pytest.mark.parametrize("fragmented", [False, True])
def test_text_that_ends_within_a_character(raw, data, fragmented):
    raw.say(TEXT, b"x" + data, fin=not fragmented)
    if fragmented:
        raw.say(CONTINUATION)
    assert_fails(raw, 1007)


@pytest.mark.parametrize("data", INVALID, ids=bytes.hex)
def test_invalid_text_is_seen_at_once(raw, data):
    """In a message that is not finished, byte by byte, so that what refuses it
    has only just come."""
    raw.say(TEXT, b"{" + data, fin=False, chop=1)
    assert_fails(raw, 1007)


def test_invalid_text_in_an_unfinished_frame(raw):
    frame = client_frame(TEXT, b"\xed\xa0\x80" + bytes(1000))
    raw.send(frame[:10])
    assert_fails(raw, 1007)


@pytest.mark.parametrize("fin", [True, False])
def test_binary_messages_are_refused(raw, fin):
    raw.say(BINARY, b"\x00", fin=fin)
    assert_fails(raw, 1003)


# 5.5.1 and 7: closing.

@pytest.mark.parametrize("code", [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
    3000, 3999, 4000, 4999])
def test_codes_of_clients(raw, code):
    raw.say(CLOSE, close_payload(code, "why"))
    assert raw.next_close() == (code, "why")
    assert raw.at_end()


@pytest.mark.parametrize("code", [
    0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_codes_that_no_frame_may_have(raw, code):
    raw.say(CLOSE, close_payload(code))
    assert_fails(raw, 1002, "invalid close code")


def test_a_close_without_code(raw):
    raw.say(CLOSE)
    assert raw.next_close() == (None, "")
    assert raw.at_end()


def test_a_close_of_one_byte(raw):
    raw.say(CLOSE, b"\x03")
    assert_fails(raw, 1002)


@pytest.mark.parametrize("reason", ["", "a", "é" * 61, "x" * 123])
def test_reasons_of_clients(raw, reason):
    raw.say(CLOSE, close_payload(1000, reason), chop=1)
    assert raw.next_close() == (1000, reason)


@pytest.mark.parametrize("reason", INVALID[:8], ids=bytes.hex)
def test_reasons_are_text(raw, reason):
    raw.say(CLOSE, close_payload(1000) + reason)
    assert_fails(raw, 1007)


def test_closing_through_a_web_server(far):
    far.say(CLOSE, close_payload(4321, "über"))
    assert far.next_close() == (4321, "über")
    assert far.at_end()


def test_nothing_is_heard_behind_a_close(raw, bridge_door):
    with RawSocket(bridge_door) as other:
        other.handshake()
        raw.send(client_frame(CLOSE, close_payload(1000)) +
                 client_frame(TEXT, emit("never")) + client_frame(PING))
        assert raw.next_close() == (1000, "")
        assert other.find("PRESENCE:LEFT")
        other.say(TEXT, emit("mark"))
        assert_echo(other, emit("mark"))


@pytest.mark.parametrize("part", [b"", b"\x81", b"\x81\xfe\x00",
                                  client_frame(TEXT, emit("x"))[:-1]],
                         ids=["nothing", "a byte", "a header", "a payload"])
def test_a_connection_that_just_ends(raw, bridge_door, part):
    with RawSocket(bridge_door) as other:
        other.handshake()
        raw.send(part)
        raw.socket.close()
        assert other.find("PRESENCE:LEFT")


# 5.4, 10.4: what is too much.

@pytest.mark.parametrize("announced", [True, False],
                         ids=["by its length", "by its fragments"])
def test_messages_that_are_too_large(raw, announced):
    size = (1 << 20) + 1
    if announced:
        raw.send(client_frame(TEXT, bytes(size))[:20])
    else:
        raw.say(TEXT, b"a" * (size // 2), fin=False)
        raw.send(client_frame(CONTINUATION, b"a" * (size // 2 + 1)))
    assert_fails(raw, 1009, "message too large")


def test_the_largest_message(raw):
    raw.say(TEXT, emit(size=1 << 20))
    assert_echo(raw, emit(size=1 << 20))


# RFC 7692.

OFFER = "permessage-deflate"
NONE = "; server_no_context_takeover; client_no_context_takeover"


def deflate(data, level=6):
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert packed.endswith(b"\0\0\xff\xff")
    return packed[:-4]


def inflate(data):
    return zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")


@pytest.mark.parametrize("offer, answer", [
    (OFFER, OFFER + NONE),
    (OFFER + NONE, OFFER + NONE),
    (OFFER + "; client_max_window_bits", OFFER + NONE),
    (OFFER + "; client_max_window_bits=10", OFFER + NONE),
    (OFFER + "; server_max_window_bits=15",
     OFFER + NONE + "; server_max_window_bits=15"),
    (OFFER + '; server_max_window_bits="15"',
     OFFER + NONE + "; server_max_window_bits=15"),
    (OFFER + "; server_max_window_bits=10", None),
    (OFFER + "; server_max_window_bits=10, " + OFFER, OFFER + NONE),
    (OFFER + "; server_max_window_bits", None),
    (OFFER + "; server_max_window_bits=16", None),
    (OFFER + "; client_max_window_bits=7", None),
    (OFFER + "; server_no_context_takeover=1", None),
    (OFFER + NONE + "; client_no_context_takeover", None),
    (OFFER + "; unknown", None),
    ("x-webkit-deflate-frame", None),
    ("x-other, " + OFFER, OFFER + NONE),
    ("PERMESSAGE-DEFLATE", OFFER + NONE),
], ids=lambda text: str(text)[18:])
def test_offers_of_deflate(bridge_door, offer, answer):
    with RawSocket(bridge_door) as raw:
        answered = raw.handshake(Sec_WebSocket_Extensions=offer)
        assert answered.get("sec-websocket-extensions") == answer
        assert_works(raw)


def test_compressed_messages(door):
    with RawSocket(door) as raw:
        raw.handshake(Sec_WebSocket_Extensions=OFFER)
        for size in (40, 600, 70000):
            message = emit(size=size)
            raw.say(TEXT, deflate(message), rsv1=True)
            while True:
                opcode, payload = raw.next_frame()
                assert opcode == TEXT
                if raw.compressed:
                    payload = inflate(payload)
                if json.loads(payload)["type"] == "DATA":
                    break
            assert raw.compressed == (size >= 600)
            assert json.loads(payload)["payload"] == \
                json.loads(message)["payload"]


def test_compressed_fragments(bridge_door):
    with RawSocket(bridge_door) as raw:
        raw.handshake(Sec_WebSocket_Extensions=OFFER)
        packed = deflate(emit("packed and cut"))
        raw.say(TEXT, packed[:5], fin=False, rsv1=True)
        raw.say(PING, b"between")
        raw.say(CONTINUATION, packed[5:])
        assert raw.next_frame() == (PONG, b"between")
        assert_echo(raw, emit("packed and cut"))
        assert_works(raw)


@pytest.mark.parametrize("frames, code", [
    (client_frame(TEXT, b"{", fin=False) +
     client_frame(CONTINUATION, b"}", rsv1=True), 1002),
    (client_frame(PING, b"", rsv1=True), 1002),
    (client_frame(TEXT, b"\xff\xff\xff", rsv1=True), 1007),
    (client_frame(TEXT, deflate(b"\xc3\x28"), rsv1=True), 1007),
    (client_frame(TEXT, deflate(bytes((1 << 20) + 1)), rsv1=True), 1009),
    (client_frame(TEXT, deflate(bytes(100 << 20)), rsv1=True), 1009),
], ids=["on a continuation", "on a ping", "no deflate", "no UTF-8",
        "too large", "a bomb"])
def test_compressed_frames_that_are_wrong(bridge_door, frames, code):
    with RawSocket(bridge_door) as raw:
        raw.handshake(Sec_WebSocket_Extensions=OFFER)
        raw.send(frames)
        assert_fails(raw, code)


# 4: the opening handshake.

@pytest.mark.parametrize("headers", [
    {"Upgrade": "WebSocket"}, {"Connection": "keep-alive, Upgrade"},
    {"Upgrade": "h2c, websocket"}, {"Sec_WebSocket_Protocol": "chat"},
    {"Origin": "https://a.test"}, {"Cookie": "a=b"},
], ids=str)
def test_handshakes(bridge_door, headers):
    with RawSocket(bridge_door) as raw:
        answered = raw.handshake(**headers)
        assert "sec-websocket-protocol" not in answered
        assert_works(raw)


@pytest.mark.parametrize("headers, status, code", [
    ({"Upgrade": None}, 426, "upgrade_required"),
    ({"Upgrade": "h2c"}, 426, "upgrade_required"),
    ({"Connection": None}, 426, "upgrade_required"),
    ({"Connection": "close"}, 426, "upgrade_required"),
    ({"Sec_WebSocket_Version": "8"}, 426, "upgrade_required"),
    ({"Sec_WebSocket_Version": "14"}, 426, "upgrade_required"),
    ({"Sec_WebSocket_Version": None}, 426, "upgrade_required"),
    ({"Sec_WebSocket_Key": None}, 400, "bad_request"),
    ({"Sec_WebSocket_Key": ""}, 400, "bad_request"),
    ({"Sec_WebSocket_Key": "short"}, 400, "bad_request"),
    ({"Sec_WebSocket_Key": "A" * 24}, 400, "bad_request"),
    ({"Sec_WebSocket_Key": "A" * 32}, 400, "bad_request"),
    ({"Host": None}, 400, "bad_request"),
], ids=str)
def test_handshakes_that_are_none(bridge_door, headers, status, code):
    with RawSocket(bridge_door) as raw:
        raw.send(head(PATH, **headers))
        got, answered, body = raw.answer()
        answer = json.loads(body)
        assert (got, answer["code"], answer["success"]) == (
            status, code, False)
        assert answered["x-content-type-options"] == "nosniff"
        assert "no-store" in answered["cache-control"]
        if status == 426:
            assert answered["sec-websocket-version"] == "13"
            assert answered["upgrade"] == "websocket"
        assert raw.at_end()


@pytest.mark.parametrize("request_line, status", [
    ("POST /room/listen HTTP/1.1", 405), ("HEAD /room/listen HTTP/1.1", 405),
    ("GET /room/listen HTTP/1.0", 400), ("GET /room/listen", 400),
    ("GET room/listen HTTP/1.1", 400), ("GET /room/listen HTTP/2.0", 400),
    ("GET http://localhost/room/listen HTTP/1.1", 101),
    ("GET /room HTTP/1.1", 404), ("GET /room/listen/ HTTP/1.1", 404),
    ("GET /a/b/listen HTTP/1.1", 404), ("GET / HTTP/1.1", 404),
    ("GET //listen HTTP/1.1", 400), ("GET /polysocket/listen HTTP/1.1", 400),
    ("GET /%zz/listen HTTP/1.1", 400), ("GET /%ff/listen HTTP/1.1", 400),
    ("GET /%00/listen HTTP/1.1", 400), ("GET /%0a/listen HTTP/1.1", 400),
    ("GET /%s/listen HTTP/1.1" % ("a" * 129), 400),
    ("GET /room/listen?presence=[] HTTP/1.1", 400),
    ("GET /room/listen?presence={ HTTP/1.1", 400),
    ("GET /room/listen?presence=%s HTTP/1.1" % (
        '{"a":"%s"}' % ("x" * 4096)), 400),
    ("GET /room/listen?since=a&since=b HTTP/1.1", 400),
    ("GET /room/listen?token=%zz HTTP/1.1", 400),
    ("GET /room/listen?token=nobody HTTP/1.1", 403),
    ("\x00\x01\x02", 400), ("\x16\x03\x01", 400),
])
def test_requests(bridge_door, request_line, status):
    rest = head(PATH).split(b"\r\n", 1)[1]
    with RawSocket(bridge_door) as raw:
        raw.send(request_line.encode("latin-1") + b"\r\n" + rest)
        assert raw.answer()[0] == status


@pytest.mark.parametrize("line", [
    b"No colon", b" folded: x", b"Name : x", b": x", b"Name: \x01",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13", b"Host: other",
])
def test_headers_that_are_wrong(bridge_door, line):
    with RawSocket(bridge_door) as raw:
        raw.send(head(PATH)[:-2] + line + b"\r\n\r\n")
        assert raw.answer()[0] in (400, 426)
        assert raw.at_end()


@pytest.mark.parametrize("fill", [b"X-Fill: " + b"x" * 40000,
                                  b"\r\n".join([b"X: y"] * 100)],
                         ids=["bytes", "lines"])
def test_heads_that_are_too_large(bridge_door, fill):
    with RawSocket(bridge_door) as raw:
        raw.send(head(PATH)[:-2] + fill + b"\r\n\r\n")
        assert raw.answer()[0] == 400
        assert raw.at_end()


def test_a_head_byte_by_byte(bridge_door):
    with RawSocket(bridge_door) as raw:
        raw.send(head(PATH) + client_frame(TEXT, emit("at once")), chop=1)
        assert raw.answer()[0] == 101
        assert_echo(raw, emit("at once"))


def test_frames_right_behind_the_head(bridge_door):
    with RawSocket(bridge_door) as raw:
        raw.send(head(PATH) + client_frame(TEXT, emit("at once")))
        assert raw.answer()[0] == 101
        assert raw.next_message()["type"] == "CONNECTED"
        assert_echo(raw, emit("at once"))


@pytest.mark.parametrize("segment", [
    "room", "a%2Fb", "a%20b", "50%25", "%C3%A9t%C3%A9", "a+b", "%E2%98%83",
    "a%3Fb", "a;b", "%7Ea", "a%23b", "a" * 128])
def test_names_of_channels(door, segment):
    """Whatever way leads there, and a worker takes them for the same."""
    with RawSocket(door) as one, RawSocket(door) as other:
        one.handshake(f"/{segment}/listen")
        other.handshake(f"/{segment}/listen")
        other.say(TEXT, emit(segment))
        assert one.find("DATA")["payload"] == segment


@pytest.mark.parametrize("path", ["/a/b/listen", "/room/listen/x", "/room",
                                  "/room/Listen", "/listen"])
def test_upgrades_elsewhere_are_requests_like_any(door, path):
    with RawSocket(door) as raw:
        raw.send(head(path))
        status, answered, body = raw.answer()
        assert (status, json.loads(body)["code"]) == (404, "not_found")


def test_a_broken_rule_of_one_who_does_not_read(bridge_door):
    """It is told behind what was on its way."""
    with RawSocket(bridge_door) as raw:
        raw.handshake()
        text = emit(size=1 << 20)
        raw.send(client_frame(TEXT, text) + client_frame(5))
        assert_echo(raw, text)
        assert_fails(raw, 1002, "reserved opcode")
