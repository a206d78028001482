"""The start of a worker: an ordinary Jupyter kernel, with the data channel beside it.

Called by the zygote in a freshly forked process, or as ``python -m dspex_lab.worker.kernel`` where another Python
starts it. The worker's own facts come as JSON in the environment variable ``DSPEX_LAB_WORKER``, which is removed
at once so that user code does not find the key there.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import sys
from pathlib import Path

from dspex_lab.worker.channel import Channel, WorkerConfig
from dspex_lab.worker.guards import guard_worker
from dspex_lab.worker.interrupts import Interrupts

__all__ = ["WORKER_VARIABLE", "main", "run_worker", "take_config"]

WORKER_VARIABLE = "DSPEX_LAB_WORKER"


def run_worker(connection_file: str) -> None:
    """Be a worker until told to stop. Call it on the main thread of a process of its own."""
    config = take_config()
    _reseed()
    guards = guard_worker(
        Path(connection_file).parent, is_sandbox=config.sandbox == "on", max_memory_mb=config.max_memory_mb
    )

    from ipykernel.kernelapp import IPKernelApp

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = IPKernelApp.instance(quiet=True)
    app.initialize(["-f", connection_file, "--HistoryManager.enabled=False"])
    interrupts = Interrupts()
    interrupts.install()  # after the kernel has ignored the signal
    channel = Channel(config, loop, guards, interrupts)
    # Only when the main loop runs can it take work.
    loop.call_soon(channel.start)
    app.start()


def take_config() -> WorkerConfig:
    """What this worker was told, which is nowhere in its environment afterwards: neither in ``os.environ`` nor in what
    the system shows of the process."""
    # Removing a variable lets go of its name; its text stays where the process began with it, and /proc shows that.
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    place = libc.getenv(WORKER_VARIABLE.encode())
    told = os.environ.pop(WORKER_VARIABLE)
    if place:
        ctypes.memset(place, 0, len(os.fsencode(told)))
    return WorkerConfig(**json.loads(told))


def _reseed() -> None:
    """Forked workers share the zygote's random state; each begins anew."""
    random.seed()
    if "numpy" in sys.modules:
        import numpy as np

        np.random.seed()


def main() -> None:
    """Start a worker from the command line: ``-f CONNECTION_FILE``, as kernels are started."""
    arguments = sys.argv[1:]
    run_worker(arguments[arguments.index("-f") + 1])


if __name__ == "__main__":
    main()
