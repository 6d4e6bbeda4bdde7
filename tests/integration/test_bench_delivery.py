"""bench/delivery, for some seconds and without a look at its times: whatever
breaks, each message arrives once and in order."""

import os
import subprocess

import pytest

from stack import SOURCE, SERVERS


@pytest.mark.parametrize("server", SERVERS)
def test_nothing_is_lost_doubled_or_out_of_order(server):
    build = os.environ.get("POLYSOCKET_BUILD") or SOURCE
    done = subprocess.run(
        ["bench/delivery", "--quick", "--clients", "40", "--server", server],
        cwd=SOURCE, text=True, capture_output=True, timeout=120,
        env={**os.environ, "POLYSOCKET_BUILD": os.path.abspath(build)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"| polysocket, {server} |" in done.stdout
