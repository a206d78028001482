"""The contract of every clock, held against the real and the fake one; then what only the fake one promises."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.testing import FakeClock


@pytest.fixture(params=[SystemClock, FakeClock], ids=["system", "fake"])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


async def pass_time(clock: Clock, seconds: float) -> None:
    if isinstance(clock, FakeClock):
        await clock.run_for(seconds)
    else:
        await clock.sleep(seconds)


def test_now_is_epoch_seconds(clock: Clock) -> None:
    """now() lies after 2020 and before 2100, in seconds."""
    assert 1_577_836_800 < clock.now() < 4_102_444_800


async def test_monotonic_grows_by_the_time_slept(clock: Clock) -> None:
    """After a sleep of d seconds, monotonic() is at least d larger (up to the resolution of the timer)."""
    before = clock.monotonic()
    sleeper = asyncio.create_task(clock.sleep(0.02))
    await pass_time(clock, 0.02)
    await sleeper
    assert clock.monotonic() - before >= 0.019


async def test_sleep_of_nothing_yields_once(clock: Clock) -> None:
    """sleep(0) comes back by itself and lets other tasks run."""
    ran: list[str] = []

    async def other() -> None:
        ran.append("other")

    task = asyncio.create_task(other())
    await clock.sleep(0)
    await task
    assert ran == ["other"]


async def test_sleepers_wake_in_the_order_of_their_times(clock: Clock) -> None:
    """Whoever sleeps shorter wakes first, whatever the order of the calls."""
    woken: list[str] = []

    async def sleep(delay_s: float, name: str) -> None:
        await clock.sleep(delay_s)
        woken.append(name)

    tasks = [asyncio.create_task(sleep(delay, name)) for delay, name in ((0.06, "c"), (0.02, "a"), (0.04, "b"))]
    await pass_time(clock, 0.08)
    await asyncio.gather(*tasks)
    assert woken == ["a", "b", "c"]


async def test_a_cancelled_sleep_raises_cancelled_error(clock: Clock) -> None:
    """Cancelling the task that sleeps ends the sleep at once."""
    task = asyncio.create_task(clock.sleep(1_000))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_fake_time_stands_still() -> None:
    """Without advance no sleeper wakes and no time passes."""
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(0.001))
    await clock.settle()
    assert (task.done(), clock.monotonic(), clock.sleepers) == (False, 0.0, 1)
    clock.advance(0.001)
    await task


async def test_equal_times_wake_in_the_order_of_the_calls() -> None:
    """Two sleepers with the same time wake in the order in which they went to sleep."""
    clock = FakeClock()
    woken: list[int] = []

    async def sleep(number: int) -> None:
        await clock.sleep(1)
        woken.append(number)

    tasks = [asyncio.create_task(sleep(number)) for number in range(10)]
    await clock.wait_for_sleepers(10)
    clock.advance(1)
    await asyncio.gather(*tasks)
    assert woken == list(range(10))


async def test_run_for_runs_a_periodic_task_at_every_period() -> None:
    """run_for goes from waking to waking: a loop of 1 s sees each second of 3."""
    clock = FakeClock()
    seen: list[float] = []

    async def tick() -> None:
        while True:
            await clock.sleep(1)
            seen.append(clock.monotonic())

    task = asyncio.create_task(tick())
    await clock.run_for(3.5)
    task.cancel()
    assert seen == [1.0, 2.0, 3.0]
    assert clock.monotonic() == 3.5


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """A sleep that was cancelled leaves nothing behind."""
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(5))
    await clock.wait_for_sleepers()
    task.cancel()
    await clock.settle()
    assert repr(clock) == "<FakeClock [elapsed: 0 s, sleepers: 0]>"


async def test_advance_from_another_thread_wakes_a_sleeper() -> None:
    """The test may live on another thread than the loop that sleeps."""
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(5))
    await clock.wait_for_sleepers()
    thread = threading.Thread(target=clock.advance, args=(5,))
    thread.start()
    await asyncio.wait_for(task, 5)
    thread.join()


def test_time_does_not_go_back() -> None:
    """A negative advance is an error."""
    with pytest.raises(ValueError, match="does not go back"):
        FakeClock().advance(-1)
