"""bench/applications with few sessions and without a look at its times:
every echo, every message that is published, and every one that is accepted
arrives once and in order."""

import os
import re
import subprocess

from stack import SOURCE

TRANSPORTS = ("WebSocket", "XHR streaming", "XHR polling")


def test_every_message_arrives():
    build = os.environ.get("POLYSOCKET_BUILD") or SOURCE
    done = subprocess.run(
        ["bench/applications", "--quick", "--seconds", "0.3", "--members",
         "20", "--clients", "8", "--set", "receiver_grace=1s", "--of",
         "polysocket", "--only", "echo", "--only", "publish", "--only",
         "accepted"],
        cwd=SOURCE, text=True, capture_output=True, timeout=240,
        env={**os.environ, "POLYSOCKET_BUILD": os.path.abspath(build)})
    assert done.returncode == 0, done.stdout + done.stderr
    for pattern in (*(rf"polysocket, callback: {transport}"
                      for transport in TRANSPORTS),
                    *(rf"polysocket, {transport} \| 20"
                      for transport in TRANSPORTS),
                    r"`outbox = yes`, tmpfs", r"`outbox_sync = yes`, disk",
                    r"`outbox = no`"):
        assert re.search(rf"^\| {pattern} \| [1-9]", done.stdout,
                         re.M), f"{pattern}: {done.stdout}"
