"""A process that was forked from one with a lab."""

from __future__ import annotations

import subprocess
import sys

FORK = """
import os, signal
from dspex_lab import lab

with lab._lock:  # as another thread has it while it makes the lab
    pid = os.fork()
    if not pid:
        signal.alarm(30)
        lab.current_lab().close()
        print("made", flush=True)
        os._exit(0)
print(os.waitpid(pid, 0)[1])
"""


def test_a_fork_makes_its_own_lab_while_another_is_being_made() -> None:
    """A thread that warms the lab up does not come along, and neither does its lock."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["made", "0"], "")
