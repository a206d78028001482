"""Threads for functions: each its own, used again, with the caller's context, and gone with their owner."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator

import pytest

from dspex_lab.threads import Threads

LIMIT_S = 10.0
WHO = contextvars.ContextVar("WHO", default="nobody")


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads()
    yield made
    made.close()


async def test_a_thread_is_used_again(threads: Threads) -> None:
    """One after the other, functions run on one and the same thread, which is not the loop's."""
    first = await threads.run(threading.get_ident)
    while threads.statistics().idle == 0:  # noqa: ASYNC110 - it is on another thread
        await asyncio.sleep(0)
    assert await threads.run(threading.get_ident) == first != threading.get_ident()
    assert len(threads._all) == 1


async def test_a_function_that_blocks_holds_up_nobody(threads: Threads) -> None:
    """However many wait, the next one has a thread."""
    let_go = threading.Event()
    blocked = [asyncio.create_task(threads.run(lambda: let_go.wait(LIMIT_S))) for _ in range(60)]
    await asyncio.sleep(0)
    assert await threads.run(lambda: "quick") == "quick"
    assert threads.statistics().busy >= 60
    let_go.set()
    assert all(await asyncio.gather(*blocked))


async def test_functions_see_the_callers_context(threads: Threads) -> None:
    """Context variables go along, and what the function sets stays with it."""
    WHO.set("caller")

    def read() -> str:
        found = WHO.get()
        WHO.set("function")
        return found

    assert [await threads.run(read), WHO.get()] == ["caller", "caller"]


async def test_errors_come_through(threads: Threads) -> None:
    """What the function raises is raised where it is awaited."""
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)


async def test_nothing_begins_once_closed(threads: Threads) -> None:
    """A closed one says so, also when threads had waited for work; it may be closed twice."""
    await threads.run(lambda: None)
    threads.close()
    threads.close()
    with pytest.raises(RuntimeError, match="closed"):
        threads.start(lambda: None)


async def test_a_busy_thread_ends_with_its_work(threads: Threads) -> None:
    """Closing waits for nobody; the thread goes when its function is through."""
    let_go = threading.Event()
    work = asyncio.create_task(threads.run(lambda: let_go.wait(LIMIT_S)))
    await asyncio.sleep(0)
    threads.close()
    assert repr(threads) == "<Threads [busy: 1, idle: 0]>"
    let_go.set()
    assert await work
