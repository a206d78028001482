"""``python -m dspex_lab.pool``: be the host, with the settings that stand on standard input as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import signal
import sys
from importlib.metadata import version

from dspex_lab.pool.host import Host
from dspex_lab.pool.processes.rendezvous import ConnectionFile, HostLock, clear_remains
from dspex_lab.settings import Settings


async def serve(settings: Settings) -> None:
    """Be the host until told to stop; leave at once when there is one already."""
    folder = settings.private_runtime_dir()
    lock = HostLock(folder)
    if not lock.acquire():
        return
    clear_remains(folder)
    host = Host(settings, ConnectionFile.create(folder, version("dspex-lab")))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.stop)
    try:
        await host.run()
    finally:
        lock.release()


def main() -> None:
    """Read the settings and serve."""
    # A worker takes ten descriptors of its host's, and the usual limit is soon reached.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    text = "" if sys.stdin.isatty() else sys.stdin.read()
    asyncio.run(serve(Settings.create(**json.loads(text or "{}"))))


if __name__ == "__main__":
    main()
