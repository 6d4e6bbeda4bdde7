"""bench/soak, for some seconds: nothing is left of conversations of all kinds
that came, broke, and went."""

import os
import subprocess

import pytest

from stack import SOURCE, SERVERS


@pytest.mark.parametrize("server", SERVERS)
def test_nothing_is_left_of_conversations_that_ended(server):
    build = os.path.abspath(os.environ.get("POLYSOCKET_BUILD") or SOURCE)
    done = subprocess.run(
        ["bench/soak", "--minutes", "0.3", "--clients", "40", "--server",
         server, "--build", build],
        cwd=SOURCE, text=True, capture_output=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| open rows |" in done.stdout
