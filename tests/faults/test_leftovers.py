"""What a cancelled call left running, on a real host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, end_of, python_call, until


def work_in_threads(mark: str) -> None:
    """Threads that make calls of their own, and one that only computes."""
    import threading

    from dspex_lab.worker.context import current_context  # travels by name; the variable itself cannot

    context = current_context.get()
    assert context is not None
    submit, on_services = context.submit, context.on_services

    async def ask() -> None:
        await submit(Call("system.echo", pool="target")).result()

    def ask_on() -> None:
        while True:
            on_services(ask()).result(10)

    threads = [threading.Thread(target=ask_on, daemon=True) for _ in range(3)]
    threads.append(threading.Thread(target=time.sleep, args=(60,), daemon=True))
    for thread in threads:
        thread.start()
    Path(mark).touch()
    for thread in threads:
        thread.join()


async def test_threads_of_a_cancelled_call_make_no_calls_and_end_with_their_worker(
    site: Site, connect: Callable[[Settings], KernelBackend], tmp_path: Path
) -> None:
    """After the call's end its threads are refused, and the worker is replaced when it has nothing else to do."""
    pools = (PoolSpec(name="general", size=1, cancel_grace_s=20.0), PoolSpec(name="target", size=1, concurrency=8))
    backend = connect(site.settings(*pools, heartbeat_s=0.2))
    first = (await backend.submit(python_call(abs, -1)).result()).worker
    pending = backend.submit(python_call(work_in_threads, str(tmp_path / "mark")))
    await until((tmp_path / "mark").exists)
    pending.cancel()
    assert await end_of(pending) == "Cancelled"

    async def submitted() -> int:
        return int((await backend.request("status"))["pools"]["target"]["counters"]["submitted"])

    count = await submitted()
    async with asyncio.timeout(45):
        while (await backend.submit(python_call(abs, -1)).result()).worker == first:
            pass
    assert await submitted() == count
