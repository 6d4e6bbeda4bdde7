"""RFC 6455 in the small: the handshake's key, frames in and out.

Knows no socket, so that the target of the tests can say what no library would
let it say: a frame with reserved bits, text that is no UTF-8, a close frame
with any code.
"""

import base64
import hashlib
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def accept_key(key):
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    digest = hashlib.sha1(key.encode("ascii") + GUID).digest()
    return base64.b64encode(digest).decode("ascii")


def frame(opcode, payload=b"", fin=True, rsv1=False, mask=None):
    """One frame; `mask` is four bytes, given by clients only."""
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    masked = 0x80 if mask else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, masked | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    if mask:
        return head + mask + apply_mask(payload, mask)
    return head + payload


def close_payload(code, reason=""):
    """The body of a close frame; code None stands for an empty one."""
    if code is None:
        return b""
    return struct.pack("!H", code) + reason.encode("utf-8")


def apply_mask(payload, mask):
    size = len(payload)
    if not size:
        return b""
    key = (mask * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return mixed.to_bytes(size, "big")


async def read_frame(reader):
    """(opcode, fin, rsv1, masked, payload) from an asyncio.StreamReader."""
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        size, = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        size, = struct.unpack("!Q", await reader.readexactly(8))
    mask = await reader.readexactly(4) if second & 0x80 else None
    payload = await reader.readexactly(size)
    if mask:
        payload = apply_mask(payload, mask)
    return (first & 0x0F, bool(first & 0x80), bool(first & 0x40),
            mask is not None, payload)
