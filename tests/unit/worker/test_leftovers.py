"""Threads that go on after their call was cancelled, and those that only wait for work."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dspex_lab.worker.leftovers import has_leftovers


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set when the test is over."""
    made = threading.Event()
    yield made
    made.set()


def test_a_thread_that_goes_on_is_left_behind(release: threading.Event) -> None:
    """Until it ends."""
    before = threading.enumerate()
    thread = threading.Thread(target=release.wait, args=(10,))
    thread.start()
    assert has_leftovers(before)
    assert not has_leftovers(threading.enumerate())
    release.set()
    thread.join(5)
    assert not has_leftovers(before)


def test_an_executor_that_works_is_left_behind(release: threading.Event) -> None:
    """What it was given goes on."""
    before = threading.enumerate()
    with ThreadPoolExecutor(1) as executor:
        begun = threading.Event()

        def work() -> None:
            begun.set()
            release.wait(10)

        executor.submit(work)
        begun.wait(5)
        assert has_leftovers(before)
        release.set()


def wait_in_an_executor(begun: threading.Event) -> Callable[[], None]:
    executor = ThreadPoolExecutor(1)
    executor.submit(begun.set).result(5)
    return executor.shutdown


def wait_at_a_queue(begun: threading.Event) -> Callable[[], None]:
    inbox: queue.Queue[int] = queue.Queue()

    def work() -> None:
        begun.set()
        inbox.get()

    thread = threading.Thread(target=work)
    thread.start()

    def end() -> None:
        inbox.put(1)
        thread.join(5)

    return end


@pytest.mark.parametrize("wait", [wait_in_an_executor, wait_at_a_queue])
def test_who_waits_for_work_is_none(wait: Callable[[threading.Event], Callable[[], None]]) -> None:
    """Libraries keep such threads for the next call."""
    before, begun = threading.enumerate(), threading.Event()
    end = wait(begun)
    try:
        assert begun.wait(5)
        for _ in range(1000):  # it is on its way there
            if not has_leftovers(before):
                break
        assert not has_leftovers(before)
    finally:
        end()
