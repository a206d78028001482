"""The one handler of SIGINT: it raises in the cancelled call that runs, and does nothing to anybody else."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from dspex_lab.worker.interrupts import Interrupts


class Running:
    """A call that may be cancelled."""

    def __init__(self, *, is_cancelled: bool = False) -> None:
        self.is_cancelled = is_cancelled


def interrupt_myself() -> str:
    signal.raise_signal(signal.SIGINT)
    return "on"


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = signal.getsignal(signal.SIGINT)
    made = Interrupts()
    made.install()
    yield made
    signal.signal(signal.SIGINT, before)


def test_a_signal_ends_the_cancelled_call_that_runs(interrupts: Interrupts) -> None:
    """KeyboardInterrupt is raised in it."""
    running = Running()

    def work() -> None:
        running.is_cancelled = True
        interrupt_myself()

    with pytest.raises(KeyboardInterrupt):
        interrupts.run(running, work)


def test_a_signal_for_another_call_does_nothing(interrupts: Interrupts) -> None:
    """It came late: the call that it was for has ended, and nobody cancelled the one that runs."""
    assert interrupts.run(Running(), interrupt_myself) == "on"


def test_a_signal_while_nothing_runs_does_nothing(interrupts: Interrupts) -> None:
    """The kernel's own loop goes on, whatever ended before."""
    assert interrupt_myself() == "on"
    with pytest.raises(ZeroDivisionError):
        interrupts.run(Running(), lambda: 1 / 0)
    assert interrupt_myself() == "on"


def test_a_call_that_was_cancelled_before_is_not_run(interrupts: Interrupts) -> None:
    """No signal could tell which moment it meant."""
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        interrupts.run(Running(is_cancelled=True), seen.append, 1)
    assert (seen, interrupt_myself()) == ([], "on")


def test_what_cleans_up_is_not_interrupted_again(interrupts: Interrupts) -> None:
    """One cancel raises once, however many signals it sends."""
    running, cleaned = Running(), []

    def work() -> None:
        running.is_cancelled = True
        try:
            interrupt_myself()
        finally:
            cleaned.append(interrupt_myself())

    with pytest.raises(KeyboardInterrupt):
        interrupts.run(running, work)
    assert cleaned == ["on"]


def test_a_handler_that_a_call_left_behind_is_replaced(interrupts: Interrupts) -> None:
    """The next call can be interrupted all the same."""
    interrupts.run(Running(), signal.signal, signal.SIGINT, signal.SIG_IGN)
    running = Running()

    def work() -> None:
        running.is_cancelled = True
        interrupt_myself()

    with pytest.raises(KeyboardInterrupt):
        interrupts.run(running, work)


def test_another_thread_interrupts_the_call_that_waits(interrupts: Interrupts) -> None:
    """A wait in the system ends at once."""
    running, has_begun, has_ended = Running(), threading.Event(), threading.Event()

    def cancel() -> None:
        has_begun.wait(5)
        running.is_cancelled = True
        while not has_ended.wait(0.01):  # one that came before the wait began is for nothing
            interrupts.interrupt(running)

    thread = threading.Thread(target=cancel)
    thread.start()

    def work() -> None:
        has_begun.set()
        time.sleep(30)  # what is interrupted, not waited for

    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupts.run(running, work)
    finally:
        has_ended.set()
        thread.join(5)
    assert time.monotonic() - started < 10


def test_who_does_not_run_is_sent_no_signal(interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that has ended, or waits behind another, costs the one that runs nothing."""
    sent: list[int] = []
    monkeypatch.setattr(signal, "pthread_kill", lambda thread, number: sent.append(number))
    waiting, running = Running(), Running()
    interrupts.run(running, interrupts.interrupt, waiting)
    assert sent == []
    interrupts.run(running, interrupts.interrupt, running)
    assert sent == [signal.SIGINT]


def test_off_the_main_thread_nothing_is_installed() -> None:
    """Where the main loop is on another thread, calls run and SIGINT is whoever's it was."""
    before = signal.getsignal(signal.SIGINT)
    interrupts, found = Interrupts(), []
    thread = threading.Thread(target=lambda: found.append(interrupts.run(Running(), lambda: "done")))
    thread.start()
    thread.join(5)
    assert found == ["done"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_lock_is_not_taken_for_good(interrupts: Interrupts) -> None:
    """A call that uses what other threads use too is interrupted where it computes or waits, and not between taking
    a lock and giving it back."""
    condition = threading.Condition(threading.Lock())
    is_over, current = threading.Event(), Running()

    def storm() -> None:
        while not is_over.is_set():
            current.is_cancelled = True
            interrupts.interrupt(current)

    def work() -> None:
        while True:
            with condition:
                condition.notify_all()

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        for _ in range(10):
            current.is_cancelled = False
            with pytest.raises(KeyboardInterrupt):
                interrupts.run(current, work)
            assert condition.acquire(timeout=5)
            condition.release()
    finally:
        is_over.set()
        thread.join(5)


def test_a_storm_of_signals_hits_nobody_who_was_not_cancelled(interrupts: Interrupts) -> None:
    """Thousands of calls under a signal a moment: each that was cancelled may end early, and no other does."""
    is_over, main = threading.Event(), threading.get_ident()

    def storm() -> None:
        while not is_over.is_set():
            signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        for number in range(3000):
            running = Running()

            def work(running: Running = running, number: int = number) -> int:
                running.is_cancelled = number % 3 == 0
                return number

            try:
                assert interrupts.run(running, work) == number
            except KeyboardInterrupt:
                assert number % 3 == 0
    finally:
        is_over.set()
        thread.join(5)
