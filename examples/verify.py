"""Whether a callback comes from polysocket."""

import base64
import hashlib
import hmac
import time


def verify_callback(key, id, timestamp, signatures, body, window_s=300):
    """It is signed as Standard Webhooks describe, and not older than five
    minutes. `key` is the token's callback_key, whsec_ and all; `body` the
    bytes as they came."""
    secret = base64.b64decode(key.removeprefix("whsec_"), validate=True)
    if not key.startswith("whsec_") or len(secret) < 24:
        raise ValueError("that is no callback_key")
    if not (timestamp.isascii() and timestamp.isdigit()
            and abs(time.time() - int(timestamp)) <= window_s):
        return False
    signed = f"{id}.{timestamp}.".encode("latin-1") + body
    signature = b"v1," + base64.b64encode(
        hmac.new(secret, signed, hashlib.sha256).digest())
    # compare_digest() takes as long for any.
    return any(hmac.compare_digest(signature, one.encode("latin-1"))
               for one in signatures.split(" "))
