"""The host's parent: starts it, waits for its end, and then ends everything that is left of it.

A program of its own that is run as a file, with the standard library alone: it must be small, and must not fail with
what it watches over. As a "child subreaper" it inherits every process below the host whose own parents are gone,
whatever it did to get away (``setsid``, a cleared environment). When the warden itself is killed, its host ends too.

Usage: ``python -I -S warden.py PYTHON``, with the host's settings on standard input.
"""

import ctypes
import os
import signal
import sys
import time
from typing import NoReturn

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
#: What forks faster than it is killed is given up after so many seconds.
_LIMIT_S = 10.0


def _be_host(python: str, warden: int) -> NoReturn:
    """Become the host, which ends with its warden."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != warden:
        os._exit(1)
    os.execv(python, [python, "-m", "dspex_lab.pool"])  # noqa: S606 - our own interpreter and code


def _end_children() -> None:
    """Kill and reap until there is nobody left: each that ends leaves us its own children."""
    until = time.monotonic() + _LIMIT_S
    while time.monotonic() < until:
        with open("/proc/thread-self/children") as listing:  # noqa: PTH123 - pathlib is half of this program's memory
            children = [int(pid) for pid in listing.read().split()]
        for pid in children:
            os.kill(pid, signal.SIGKILL)  # our own child: its pid is its own until we reap it
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def main() -> None:
    """Be the warden, in a session of its own and as nobody's child."""
    if os.fork():
        os._exit(0)
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    warden = os.getpid()
    host = os.fork()
    if host == 0:
        _be_host(sys.argv[1], warden)
    os.close(0)
    os.waitpid(host, 0)
    _end_children()


if __name__ == "__main__":
    main()
