"""One run of a plan, seen from any thread: its state, its end, its events, its cancelling.

The work goes on on the portal's loop; everything public here may be called from anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from dspex_lab.errors import (
    Cancelled,
    ConfigurationError,
    DeadlineExceeded,
    HostUnavailable,
    LabError,
    PipelineError,
)
from dspex_lab.pipelines.answerable import Answerable
from dspex_lab.pipelines.failures import late_error, run_error
from dspex_lab.pipelines.graph import Graph
from dspex_lab.pipelines.journal.entry import Entry
from dspex_lab.pipelines.journal.records import INTERRUPTED
from dspex_lab.pipelines.plain import plain_values
from dspex_lab.pipelines.plan import Plan
from dspex_lab.pipelines.progress import BlockProgress
from dspex_lab.pipelines.questions import Questions
from dspex_lab.pipelines.result import TRANSITIONS, Metrics, RunResult, RunState, usage_data
from dspex_lab.pipelines.runner import PlanRun, RunSettings
from dspex_lab.pipelines.steps import Leaf
from dspex_lab.pipelines.tape import Tape
from dspex_lab.pipelines.telling import Telling, TextChunk
from dspex_lab.pipelines.walk import Walk, Walked
from dspex_lab.portal import Portal
from dspex_lab.router import AccountStatistics, Router
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.run_view import RunView

__all__ = ["CANCEL_GRACE_S", "JOURNAL_GRACE_S", "Run", "TextChunk"]

#: How long cancelled steps may take to end before the run ends without them.
CANCEL_GRACE_S = 0.8
#: How long a run waits for its end to be written down.
JOURNAL_GRACE_S = 1.0


class Run(Answerable):
    """A run under way or over. ``run.result()`` or ``await run`` waits for its end; an interrupt cancels it."""

    def __init__(
        self,
        plan: Plan,
        inputs: Mapping[str, Any],
        portal: Portal,
        router: Router,
        settings: RunSettings,
        *,
        is_program: bool = False,
        entry: Entry | None = None,
        resume: Callable[[Run, Mapping[str, Any]], Run] | None = None,
    ) -> None:
        self.plan = plan
        self.inputs = dict(inputs)
        self._settings = settings
        self._clock = router.clock
        self._telling = Telling(router.hub, router.clock)
        self._is_program = is_program
        self._portal = portal
        self._entry = entry
        self._resume = resume
        self._questions = Questions(settings.run_id, router.clock, self._telling.emit, self._wait_for_people)
        self._work = PlanRun(
            plan,
            router,
            settings,
            emit=self._telling.emit,
            clock=self._clock,
            memory=entry,
            ask=self._questions.ask,
            threads=portal.threads,
        )
        if entry is not None:
            entry.on_trouble = self._warn
        # Where the run begins with plain functions: how far they came, before there is anything for the loop to do.
        self._progress: BlockProgress | None = None
        self._walk: Walk | None = None
        self._walked: Walked | None = None
        self._state = RunState.PENDING
        self._done: Future[RunResult] = Future()
        # From here on nobody can cancel the future itself: the run's end comes from the loop only.
        self._done.set_running_or_notify_cancel()
        self._lock = threading.Lock()
        self._stop: asyncio.Event | None = None
        self._is_cancel_asked = self._is_left = False
        self._started = self._ended = 0.0

    def start(self) -> Run:
        """Begin: on a thread with a plain function that stands at the beginning, else on the portal's loop. Called
        once, by the launcher."""
        try:
            if self._settings.options.timeout_s is None:
                self._progress = self._work.progress(self.inputs)
                self._walk = self._work.first_walk(self._progress)
            if self._walk is not None:
                self._portal.threads.start(self._go_straight)
            else:
                self._portal.start(self._main)
        except RuntimeError as error:
            raise HostUnavailable("The lab is closed.", hint="Open it again, or restart the kernel.") from error
        except BaseException:  # an interrupt: nobody would have the run in hand
            self.cancel()
            raise
        return self

    # --- what users ask -------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self._settings.run_id

    @property
    def state(self) -> RunState:
        return self._state

    @property
    def is_over(self) -> bool:
        return self._state.is_over

    def result(self, timeout_s: float | None = None) -> RunResult:
        """Wait for the end. Raises the run's error, ``Cancelled`` after a cancel, ``DeadlineExceeded`` when it has not
        ended in time (it goes on then). An interrupt cancels the run. What it asks meanwhile is written out, unless a
        panel shows it."""
        if _running_loop() is self._portal.loop:
            raise RuntimeError("This is the lab's own event loop: use `await run` here.")
        try:
            with self._questions.told_to(self._write_out):
                return self._done.result(timeout_s)
        except FutureTimeoutError:
            raise DeadlineExceeded(
                f"The run has not ended within {timeout_s:g} s.", hint="It goes on; cancel it with run.cancel()."
            ) from None
        except KeyboardInterrupt:
            self.cancel()
            raise

    def __await__(self) -> Generator[Any, None, RunResult]:
        return self._wait().__await__()

    def cancel(self) -> bool:
        """Ask the run to stop, from any thread; it ends as cancelled within a second. False when it was over."""
        with self._lock:
            if self._state.is_over:
                return False
            self._is_cancel_asked = True
        if self._walk is not None:
            self._walk.ask_to_stop()
        with contextlib.suppress(RuntimeError):  # the loop is closed, and all that was on it has ended
            self._portal.loop.call_soon_threadsafe(self._take_over)
        return True

    def leave(self) -> bool:
        """Stop the run because its process ends: the journal has it as interrupted then, not as cancelled."""
        self._is_left = True
        return self.cancel()

    def resume(self, **inputs: Any) -> Run:
        """Go on with a run that is over: a new :class:`Run` with the same id, which does not repeat what has finished.
        ``inputs`` are those that could not be written down. Raises ``PipelineError`` while it is under way."""
        if self._resume is None or self._entry is None:
            raise ConfigurationError(
                "The run was not written down.",
                "journal",
                hint="Begin a new one; pipelines are journalled as they are.",
            )
        if not self.is_over:
            raise PipelineError(f"The run {self.id[:8]} is under way.", hint="Wait for it: run.result().")
        return self._resume(self, inputs)

    def events(self) -> Tape[Event]:
        """The run's events from its start, as they come: for ``for`` and ``async for``."""
        return self._telling.events

    def stream(self) -> Tape[TextChunk]:
        """The streamed text from the start, as it comes: for ``for`` and ``async for``."""
        return self._telling.chunks

    @property
    def metrics(self) -> Metrics:
        """What each step took so far."""
        end = self._ended or self._clock.monotonic()
        return Metrics(self._work.book.figures, duration_s=end - self._started if self._started else 0.0)

    @property
    def errors(self) -> Mapping[str, LabError]:
        """The errors of the steps that failed so far, by name; the run may go on all the same."""
        return dict(self._work.errors)

    @property
    def account(self) -> AccountStatistics | None:
        """What the run has used of its budget so far; None when it has none."""
        return self._work.account.statistics() if self._work.account is not None else None

    @property
    def view(self) -> RunView:
        """The run as panels see it: all of its events so far."""
        view = RunView()
        for event in self._telling.events.snapshot():
            view = view.apply(event)
        return view

    @property
    def graph(self) -> Graph:
        """The plan's picture with the state of each step as it is now; a notebook shows it."""
        return Graph(self.plan, self.view)

    def __repr__(self) -> str:
        over = sum(1 for one in self.plan.block.steps if one.name in self._work.book.figures)
        count = len(self.plan.block.steps)
        return f"<Run {self.plan.name} {self.id[:8]} [{self._state}, steps: {over}/{count}]>"

    # --- what goes on on the loop ---------------------------------------------------------------------------------

    async def _wait(self) -> RunResult:
        try:
            return await asyncio.wrap_future(self._done)
        except asyncio.CancelledError:
            self.cancel()
            raise

    def _begin(self) -> None:
        self._started = self._clock.monotonic()
        self._move_to(RunState.RUNNING)
        self._telling.emit(
            "run.start",
            self._settings.trace,
            run_id=self.id,
            parent=self._settings.trace_parent,
            pipeline=self.plan.name,
            steps=self.plan.description,
            inputs=plain_values(self.inputs),
        )
        for one in self.plan.warnings:
            self._warn(one.message, one.step)

    def _go_straight(self) -> None:
        """The run's beginning, on a thread, and its end where there is nothing else to do."""
        try:
            self._begin()
            walked = self._walk.go() if self._walk is not None else None
            if walked is None:
                return  # who stopped it ends the run
            if walked.is_stopped:
                self._end(RunState.CANCELLED, error=self._cancelled())
            elif self._progress is not None and self._progress.is_over:
                self._end(RunState.SUCCEEDED, outputs=self._progress.fields())
            else:
                self._walked = walked
                self._portal.start(self._main)
        except BaseException as error:
            if self._state.is_over:
                raise
            is_closed = self._portal.is_closed
            self._end(
                RunState.CANCELLED if is_closed else RunState.FAILED,
                error=self._cancelled() if is_closed else self._told(error),
            )

    def _take_over(self) -> None:
        """Stop the run, on the loop; where it has not come there, end it without the function that runs."""
        if self._stop is not None:
            self._stop.set()
        elif self._walk is not None and (taken := self._walk.stop()) is not None:
            self._work.book.cancelled(*taken)
            self._end(RunState.CANCELLED, error=self._cancelled())

    async def _main(self) -> None:
        """Carry the plan out and end the run, whatever happens."""
        self._stop = asyncio.Event()
        if self._is_cancel_asked:
            self._stop.set()
        if self._state is RunState.PENDING:
            self._begin()
        work = asyncio.ensure_future(self._carry_out())
        ends: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._stop.wait())]
        if self._settings.options.timeout_s is not None:
            ends.append(asyncio.ensure_future(self._clock.sleep(self._settings.options.timeout_s)))
        try:
            await asyncio.wait({work, *ends}, return_when=asyncio.FIRST_COMPLETED)
            is_late = not work.done() and not self._is_cancel_asked
            if not work.done():
                work.cancel()
                await asyncio.wait({work}, timeout=CANCEL_GRACE_S)
        except asyncio.CancelledError:
            work.cancel()
            if self._entry is not None:
                self._entry.note(self._written(RunState.CANCELLED), self._cancelled())
            self._end(RunState.CANCELLED, error=self._cancelled())
            raise
        finally:
            for one in ends:
                one.cancel()
            work.add_done_callback(_take_error)
        state, outputs, error = self._conclusion(work, is_late=is_late)
        if self._entry is not None:
            await self._entry.end(self._written(state), error, timeout_s=JOURNAL_GRACE_S)
        self._end(state, outputs=outputs, error=error)

    async def _carry_out(self) -> dict[str, Any]:
        if self._entry is not None:
            await self._entry.begin()
        if self._progress is not None and self._walked is not None:
            return await self._work.go_on(self._progress, self._walked)
        return await self._work.run(self.inputs)

    def _conclusion(
        self, work: asyncio.Future[dict[str, Any]], *, is_late: bool
    ) -> tuple[RunState, Mapping[str, Any] | None, LabError | None]:
        """How the run ends, as its work ended; work that did not stop in time counts as cancelled, and work that was
        stopped because the run ``is_late`` as failed."""
        if is_late:
            return RunState.FAILED, None, late_error(self.plan.name, self._settings.options.timeout_s or 0.0)
        if not work.done() or work.cancelled():
            return RunState.CANCELLED, None, self._cancelled()
        error = work.exception()
        if error is None:
            return RunState.SUCCEEDED, work.result(), None
        if isinstance(error, Cancelled) or self._is_cancel_asked:
            return RunState.CANCELLED, None, self._cancelled()
        return RunState.FAILED, None, self._told(error)

    def _written(self, state: RunState) -> str:
        return INTERRUPTED if self._is_left and state is RunState.CANCELLED else str(state)

    def _told(self, error: BaseException) -> LabError:
        return run_error(self.plan, error, self._work.errors, is_program=self._is_program)

    def _end(self, state: RunState, *, outputs: Mapping[str, Any] | None = None, error: LabError | None = None) -> None:
        self._ended = self._clock.monotonic()
        self._move_to(state)
        metrics = self.metrics
        fields = dict(outputs or {})
        outer = self.plan.block.steps[0]
        if self._is_program and isinstance(outer.step, Leaf) and outer.name in self._work.records:
            # A program gives all of its step's outputs, a chain of thought's reasoning among them.
            fields = self._work.records[outer.name].to_dict()
        self._telling.emit(
            "run.end",
            self._settings.trace,
            run_id=self.id,
            status=state.value,
            duration_s=metrics.duration_s,
            usage=usage_data(metrics.usage),
            error=error.to_dict() if error is not None else None,
            outputs=plain_values(fields),
        )
        self._telling.close()
        if error is not None:
            self._done.set_exception(error)
            return
        result = RunResult(fields, steps=self._work.records, metrics=metrics, errors=self._work.errors, run_id=self.id)
        self._done.set_result(result)

    def _move_to(self, state: RunState) -> None:
        with self._lock:
            if state not in TRANSITIONS[self._state]:
                raise RuntimeError(f"A run that is {self._state} cannot become {state}.")
            self._state = state

    def _cancelled(self) -> Cancelled:
        return Cancelled(f"The run of {self.plan.name} was cancelled.")

    def _wait_for_people(self, is_waiting: bool) -> None:
        state = RunState.WAITING if is_waiting else RunState.RUNNING
        if self._state not in (RunState.RUNNING, RunState.WAITING) or self._state is state:
            return
        self._move_to(state)
        if self._entry is not None:
            self._entry.note(state)

    def _warn(self, message: str, step: str | None) -> None:
        self._telling.emit("pipeline.warning", None, run_id=self.id, step=step, message=message)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _take_error(work: asyncio.Future[Any]) -> None:
    # Work that outlived its run has nobody left to hear of its error; asked for, asyncio does not report it as lost.
    if not work.cancelled():
        work.exception()
