"""One run of a plan, as its user holds it: its state, its end, its events, its cancelling, from any thread.

How it goes on is its ``course``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from dspex_lab.errors import ConfigurationError, DeadlineExceeded, LabError, PipelineError
from dspex_lab.errors.interrupts import shown_briefly
from dspex_lab.pipelines.journal.entry import Entry
from dspex_lab.pipelines.outcome.memory import StepMemory
from dspex_lab.pipelines.outcome.result import Metrics, RunResult, RunState
from dspex_lab.pipelines.plan.graph import Graph
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.pipelines.run.answerable import Answerable
from dspex_lab.pipelines.run.course import Course
from dspex_lab.pipelines.run.options import RunOptions
from dspex_lab.pipelines.run.rerun import Repeatable
from dspex_lab.pipelines.run.runner import RunSettings
from dspex_lab.pipelines.run.tape import Tape
from dspex_lab.pipelines.run.telling import TextChunk
from dspex_lab.portal import Portal
from dspex_lab.router import AccountStatistics, Budget, Router, checked_budget
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.run_view import RunView

__all__ = ["Run", "TextChunk"]


class Run(Answerable, Repeatable):
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
        memory: StepMemory | None = None,
        resume: Callable[[Run, Mapping[str, Any], Budget | None], Run] | None = None,
    ) -> None:
        self._is_program = is_program
        self._course = Course(plan, inputs, portal, router, settings, is_program=is_program, entry=entry, memory=memory)
        self._questions = self._course.questions
        self._resume = resume if entry is not None else None

    def start(self) -> Run:
        """Begin; called once, by the launcher."""
        self._course.start()
        return self

    @property
    def id(self) -> str:
        return self._course.settings.run_id

    @property
    def plan(self) -> Plan:
        """What is run, with the options of this run."""
        return self._course.plan

    @property
    def inputs(self) -> Mapping[str, Any]:
        return self._course.inputs

    @property
    def state(self) -> RunState:
        return self._course.standing.state

    @property
    def is_over(self) -> bool:
        return self._course.standing.state.is_over

    def result(self, timeout_s: float | None = None) -> RunResult:
        """Wait for the end. Raises the run's error, ``Cancelled`` after a cancel, ``DeadlineExceeded`` when it has not
        ended in time (it goes on then). An interrupt cancels the run. What it asks meanwhile is written out, unless a
        panel shows it."""
        if _running_loop() is self._course.portal.loop:
            raise RuntimeError("This is the lab's own event loop: use `await run` here.")
        try:
            self._questions.listen(self._write_out)
            return self._course.done.result(timeout_s)
        except FutureTimeoutError:
            raise DeadlineExceeded(
                f"The run has not ended within {timeout_s:g} s.", hint="It goes on; cancel it with run.cancel()."
            ) from None
        except KeyboardInterrupt as interrupt:
            self.cancel()
            shown_briefly(interrupt, f"the run {self.id[:8]} of {self.plan.name} was cancelled.")
            raise
        finally:
            self._questions.unlisten(self._write_out)

    def __await__(self) -> Generator[Any, None, RunResult]:
        return self._wait().__await__()

    def cancel(self) -> bool:
        """Ask the run to stop, from any thread; it ends as cancelled within a second. False when it was over."""
        return self._course.cancel()

    def leave(self) -> bool:
        """Stop the run because its process ends: the journal has it as interrupted then, not as cancelled."""
        return self._course.leave()

    def resume(self, budget: Budget | None = None, /, **inputs: Any) -> Run:
        """Go on with a run that is over: a new :class:`Run` with the same id, which does not repeat what has finished.
        What was spent is spent: a larger ``budget`` takes the place of its own. ``inputs`` are those that could not be
        written down. Raises ``PipelineError`` while it is under way."""
        if self._resume is None:
            raise ConfigurationError(
                "The run was not written down.",
                "journal",
                hint="Begin a new one; pipelines are journalled as they are.",
            )
        if not self.is_over:
            raise PipelineError(f"The run {self.id[:8]} is under way.", hint="Wait for it: run.result().")
        return self._resume(self, inputs, checked_budget(budget))

    @property
    def options(self) -> RunOptions:
        return self._course.settings.options

    def finished(self) -> tuple[Mapping[str, Mapping[str, Any]], Metrics, bool]:
        return self._course.work.book.outputs, self.metrics, self._is_program

    def events(self) -> Tape[Event]:
        """The run's events from its start, as they come: for ``for`` and ``async for``."""
        return self._course.telling.events

    def stream(self) -> Tape[TextChunk]:
        """The streamed text from the start, as it comes: for ``for`` and ``async for``."""
        return self._course.telling.chunks

    @property
    def metrics(self) -> Metrics:
        """What each step took so far."""
        return self._course.metrics

    @property
    def errors(self) -> Mapping[str, LabError]:
        """The errors of the steps that failed so far, by name; the run may go on all the same."""
        return dict(self._course.work.errors)

    @property
    def account(self) -> AccountStatistics | None:
        """What the run has used of its budget so far; None when it has none."""
        return self._course.work.account.statistics() if self._course.work.account is not None else None

    @property
    def view(self) -> RunView:
        """The run as panels see it: all of its events so far."""
        view = RunView()
        for event in self._course.telling.events.snapshot():
            view = view.apply(event)
        return view

    @property
    def graph(self) -> Graph:
        """The plan's picture with the state of each step as it is now; a notebook shows it."""
        return Graph(self.plan, self.view)

    def __repr__(self) -> str:
        over = sum(1 for one in self.plan.block.steps if one.name in self._course.work.book.figures)
        count = len(self.plan.block.steps)
        return f"<Run {self.plan.name} {self.id[:8]} [{self.state}, steps: {over}/{count}]>"

    async def _wait(self) -> RunResult:
        try:
            return await asyncio.wrap_future(self._course.done)
        except asyncio.CancelledError:
            self.cancel()
            raise


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
