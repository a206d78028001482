"""The start of a worker: what it is told is told to nobody else."""

from __future__ import annotations

import os
import subprocess
import sys

from dspex_lab.worker.kernel import WORKER_VARIABLE


def test_the_hosts_key_is_nowhere_in_the_environment() -> None:
    """Neither in Python's, nor in a program's that is started, nor in what the system shows of the process."""
    told = '{"worker_id": "w", "pool": "p", "address": "ipc://x", "key": "the-key-of-the-host"}'
    code = (
        "import os, pathlib, subprocess\n"
        "from dspex_lab.worker.kernel import take_config\n"
        "assert take_config().key == 'the-key-of-the-host'\n"
        "shown = pathlib.Path('/proc/self/environ').read_bytes()\n"
        "inherited = subprocess.run(['env'], capture_output=True, check=True).stdout\n"
        "assert b'PATH=' in shown and b'PATH=' in inherited\n"
        "assert b'the-key' not in shown + inherited + repr(os.environ).encode()\n"
    )
    environment = {**os.environ, WORKER_VARIABLE: told}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
