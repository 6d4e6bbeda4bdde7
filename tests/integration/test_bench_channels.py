"""bench/channels with few members and without a look at its times: however
they listen, each gets every event once and in order."""

import os
import re
import subprocess

from stack import SOURCE

KINDS = ("floor", "own-ws", "channel-ws", "channel-events", "channel-lines",
         "channel-poll")
PARTS = ("broadcasts", "one", "fairness")


def test_every_member_gets_every_event():
    build = os.environ.get("POLYSOCKET_BUILD") or SOURCE
    done = subprocess.run(
        ["bench/channels", "--quick", "--seconds", "0.3", "--members", "20",
         "--crowd", "40", "--set", "receiver_grace=1s",
         *(f"--of={kind}" for kind in KINDS),
         *(f"--only={part}" for part in PARTS)],
        cwd=SOURCE, text=True, capture_output=True, timeout=180,
        env={**os.environ, "POLYSOCKET_BUILD": os.path.abspath(build)})
    assert done.returncode == 0, done.stdout + done.stderr
    rates = re.findall(r"^\| (?:channel|floor), .* \| 20 \| ([\d,]+) \|",
                       done.stdout, re.M)
    # Each kind with one event under way, and with several.
    assert len(rates) == 2 * len(KINDS), done.stdout
    assert "0" not in rates, done.stdout
