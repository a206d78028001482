"""The way from synchronous code to the loop: values, errors, cancelling, closing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from dspex_lab.errors import HostUnavailable, LabError
from dspex_lab.portal import Portal


@pytest.fixture
def portal() -> Iterator[Portal]:
    with Portal() as made:
        yield made


async def add(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def fail() -> None:
    raise ValueError("no")


def test_run_gives_the_value(portal: Portal) -> None:
    """run() waits for the coroutine and gives its value."""
    assert portal.run(add, 2, 3) == 5


def test_run_raises_what_was_raised(portal: Portal) -> None:
    """The error comes back as it is."""
    with pytest.raises(ValueError, match="no"):
        portal.run(fail)


def test_the_loop_is_on_one_thread_of_its_own(portal: Portal) -> None:
    """Everything runs on the same thread, and that is not the caller's."""
    threads = {portal.call_soon(threading.get_ident) for _ in range(3)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_cancelling_the_future_cancels_the_work(portal: Portal) -> None:
    """What was started sees CancelledError when its future is cancelled."""
    begun, ended = threading.Event(), threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    future = portal.start(wait)
    assert begun.wait(5)
    future.cancel()
    assert ended.wait(5)


def test_an_interrupt_ends_the_wait_and_the_work(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """KeyboardInterrupt in run() is raised there at once, and cancels what it waited for."""
    ended = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    started = portal.start

    def start(*args: object) -> object:
        future = started(wait)

        def interrupt() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(future, "result", interrupt)
        portal.call_soon(lambda: None)  # the work has begun
        return future

    monkeypatch.setattr(portal, "start", start)
    with pytest.raises(KeyboardInterrupt) as caught:
        portal.run(wait)
    assert ended.wait(5)
    assert "test_portal.py" in str(caught.value.__dict__["_render_traceback_"]())


def test_closing_cancels_what_runs() -> None:
    """close() ends the work and the thread; closing twice is closing once."""
    portal = Portal()
    thread = portal.call_soon(threading.current_thread)
    future = portal.start(asyncio.sleep, 60)
    portal.close()
    portal.close()
    assert future.cancelled() or isinstance(future.exception(), CancelledError)
    assert not thread.is_alive()


def test_run_on_its_own_loop_is_an_error(portal: Portal) -> None:
    """Waiting for the loop on the loop's own thread would be for ever."""

    async def wait_for_myself() -> None:
        portal.call_soon(lambda: None)

    with pytest.raises(LabError, match=r"event loop.*\n.*await"):
        portal.run(wait_for_myself)


def test_a_closed_one_says_so() -> None:
    """Whatever is asked of it, with a hint."""
    portal = Portal()
    portal.close()
    for ask in (portal.run, portal.start, portal.call_soon):
        with pytest.raises(HostUnavailable, match=r"closed.*\n.*Lab\(\)"):
            ask(add, 2, 3)


FORK = """
import os, sys
from dspex_lab.errors import HostUnavailable
from dspex_lab.lab import Lab
from dspex_lab.testing import FakeBackend

lab = Lab(backend=FakeBackend({}))
if os.fork() == 0:
    try:
        lab.portal.run(lab.backend.open)
    except HostUnavailable:
        print("told", lab.is_closed, flush=True)
    sys.exit()  # as a program ends: with what is registered for its end
_, status = os.wait()
print(status, lab.is_closed)
lab.close()
"""


def test_a_fork_ends_and_is_told_that_it_has_no_lab() -> None:
    """The loop's thread does not come along: nothing waits for it there, and the process that has it goes on."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["told", "True", "0", "False"], "")
