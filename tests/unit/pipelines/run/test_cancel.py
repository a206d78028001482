"""A run stops when it is asked to, whoever asks, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from concurrent.futures import Future
from types import FrameType
from typing import Any

import pytest

from dspex_lab.errors import Cancelled, DeadlineExceeded
from dspex_lab.pipelines import (
    Pipeline,
    RunState,
    native,
    predict,
)
from dspex_lab.pipelines.outcome.result import TRANSITIONS
from dspex_lab.testing.stage import Stage

LIMIT_S = 10.0


def slow(stage: Stage, **others: Any) -> Pipeline:
    """A pipeline with a step that waits until it is cancelled."""
    return stage.pipeline(waiting=predict("q -> slow"), **others)


def is_in_result(frame: FrameType | None) -> bool:
    """Whether the thread of ``frame`` waits in a future's result()."""
    while frame is not None:
        if frame.f_code is Future.result.__code__:
            return True
        frame = frame.f_back
    return False


def test_cancel_from_another_thread_ends_the_run(stage: Stage) -> None:
    """The waiting call raises Cancelled, the step's call is stopped, and the router serves the next run."""
    run = slow(stage).submit(q="x")
    assert stage.is_slow.wait(LIMIT_S)
    assert run.cancel()
    with pytest.raises(Cancelled):
        run.result(LIMIT_S)
    assert stage.was_stopped.wait(LIMIT_S)
    assert (run.state, run.cancel()) == (RunState.CANCELLED, False)
    assert stage.told("run.end")[0]["status"] == "cancelled"
    assert stage.pipeline(mood=predict("q -> mood"))(q="x").mood == "mood of q"


def test_a_run_is_cancelled_before_it_began(stage: Stage) -> None:
    """A cancel that comes at once is not lost."""
    run = slow(stage).submit(q="x")
    run.cancel()
    with pytest.raises(Cancelled):
        run.result(LIMIT_S)


def test_a_step_that_will_not_stop_holds_nobody_up(stage: Stage) -> None:
    """A function that swallows its cancellation is left behind after the grace."""
    let_go = threading.Event()

    async def stubborn(q: str) -> None:
        stage.is_slow.set()
        while not let_go.is_set():
            try:
                await asyncio.to_thread(let_go.wait, LIMIT_S)
            except asyncio.CancelledError:
                continue

    run = stage.pipeline(a=native(stubborn)).submit(q="x")
    assert stage.is_slow.wait(LIMIT_S)
    run.cancel()
    with pytest.raises(Cancelled):
        run.result(2.0)
    let_go.set()


def test_an_interrupt_cancels_the_run(stage: Stage) -> None:
    """Kernel → Interrupt ends the wait at once, and the run with it."""
    run = slow(stage).submit(q="x")

    main = threading.main_thread().ident or 0

    def interrupt() -> None:
        stage.is_slow.wait(LIMIT_S)
        while not is_in_result(sys._current_frames()[main]):
            stage.was_stopped.wait(0.001)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run.result(LIMIT_S)
    assert stage.was_stopped.wait(LIMIT_S)
    with pytest.raises(Cancelled):
        run.result(LIMIT_S)


def test_cancelling_the_task_that_waits_cancels_the_run(stage: Stage) -> None:
    """acall() is a coroutine like others: cancelling it stops the work."""

    async def give_up() -> None:
        task = asyncio.create_task(slow(stage).acall(q="x"))
        await asyncio.to_thread(stage.is_slow.wait, LIMIT_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert stage.was_stopped.wait(LIMIT_S)


def test_a_reader_that_goes_away_stops_the_run(stage: Stage) -> None:
    """Breaking out of a stream cancels what nobody waits for."""
    stream = slow(stage).stream(q="x")
    for chunk in stream:
        assert chunk.text == "wait"
        break
    stream.close()
    assert stage.was_stopped.wait(LIMIT_S)
    with pytest.raises(Cancelled):
        _ = stream.result


def test_closing_the_portal_ends_its_runs(stage: Stage) -> None:
    """Nobody waits for ever for a lab that was closed."""
    run = slow(stage).submit(q="x")
    assert stage.is_slow.wait(LIMIT_S)
    stage.portal.close()
    with pytest.raises(Cancelled):
        run.result(LIMIT_S)


def test_waiting_has_a_limit_of_its_own(stage: Stage) -> None:
    """result(timeout_s) raises DeadlineExceeded, and the run goes on."""
    run = slow(stage).submit(q="x")
    with pytest.raises(DeadlineExceeded):
        run.result(0.01)
    assert not run.is_over
    run.cancel()


def test_waiting_on_the_labs_own_loop_is_refused(stage: Stage) -> None:
    """result() there would wait for itself; it says what to do instead."""
    run = slow(stage).submit(q="x")
    assert stage.is_slow.wait(LIMIT_S)
    with pytest.raises(RuntimeError, match="await run"):
        stage.portal.call_soon(run.result)
    run.cancel()


def test_the_launcher_remembers_and_cancels(stage: Stage) -> None:
    """The latest runs are there by age; cancel_all ends those under way."""
    run = slow(stage).submit(q="x")
    assert stage.is_slow.wait(LIMIT_S)
    assert (stage.launcher.runs, stage.launcher.cancel_all()) == ((run,), 1)
    with pytest.raises(Cancelled):
        run.result(LIMIT_S)
    assert repr(stage.launcher) == "<Launcher [runs: 1, under way: 0]>"


@pytest.mark.parametrize("state", list(RunState))
def test_ends_are_final(state: RunState) -> None:
    """A state is over exactly when none follows it."""
    assert state.is_over is (not TRANSITIONS[state])
    assert state not in TRANSITIONS[state]
