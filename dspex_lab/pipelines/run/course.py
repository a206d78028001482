"""The course of one run: how it begins, walks, goes on on the portal's loop, is stopped and ends, each once.

The events and the end are here for ``run``, which is what users hold. Knows nothing of who looks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from dspex_lab.errors import Cancelled, HostUnavailable, LabError
from dspex_lab.pipelines.journal.entry import Entry
from dspex_lab.pipelines.journal.records import INTERRUPTED
from dspex_lab.pipelines.outcome.memory import StepMemory
from dspex_lab.pipelines.outcome.plain import plain_values
from dspex_lab.pipelines.outcome.result import Metrics, RunResult, RunState, usage_data
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.pipelines.run.failures import late_error, run_error
from dspex_lab.pipelines.run.progress import BlockProgress
from dspex_lab.pipelines.run.questions import Questions
from dspex_lab.pipelines.run.runner import PlanRun, RunSettings
from dspex_lab.pipelines.run.standing import Standing
from dspex_lab.pipelines.run.telling import Telling
from dspex_lab.pipelines.run.walk import Walk, Walked
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.portal import Portal
from dspex_lab.router import Router

__all__ = ["CANCEL_GRACE_S", "JOURNAL_GRACE_S", "Course"]

#: How long cancelled steps may take to end before the run ends without them.
CANCEL_GRACE_S = 0.8
#: How long a run waits for its end to be written down.
JOURNAL_GRACE_S = 1.0


class Course:
    """One run of ``plan`` from its beginning to its end. ``done`` has its result or its error; ``work`` is what its
    steps came to so far."""

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
    ) -> None:
        self.plan = plan
        self.inputs = dict(inputs)
        self.settings = settings
        self.portal = portal
        self.clock = router.clock
        self.telling = Telling(settings.run_id, router.hub, router.clock)
        self.standing = Standing(entry)
        self.questions = Questions(settings.run_id, router.clock, self.telling.emit, self.standing.wait_for_people)
        self.work = PlanRun(
            plan,
            router,
            settings,
            emit=self.telling.emit,
            clock=self.clock,
            memory=memory if entry is None else entry,
            ask=self.questions.ask,
            threads=portal.threads,
        )
        self.done: Future[RunResult] = Future()
        # From here on nobody can cancel the future itself: the run's end comes from the loop only.
        self.done.set_running_or_notify_cancel()
        self._is_program = is_program
        self._entry = entry
        if entry is not None:
            entry.on_trouble = self.telling.warn
            entry.account = self.work.account
        # Where the run begins with plain functions: how far they came, before there is anything for the loop to do.
        self._progress: BlockProgress | None = None
        self._walk: Walk | None = None
        self._walked: Walked | None = None
        self._stop: asyncio.Event | None = None
        self._is_left = False
        self._started = self._ended = 0.0

    def start(self) -> None:
        """Begin: on a thread with a plain function that stands at the beginning, else on the portal's loop. Called
        once."""
        try:
            if self.settings.options.timeout_s is None:
                self._progress = self.work.progress(self.inputs)
                self._walk = self.work.first_walk(self._progress)
            if self._walk is not None:
                self.portal.threads.start(self._go_straight)
            else:
                self.portal.start(self._main)
        except RuntimeError as error:
            raise HostUnavailable("The lab is closed.", hint="Open it again, or restart the kernel.") from error
        except BaseException:  # an interrupt: nobody would have the run in hand
            self.cancel()
            raise

    @property
    def metrics(self) -> Metrics:
        """What each step took so far, and the run from its beginning until now, or its end."""
        end = self._ended or self.clock.monotonic()
        return Metrics(self.work.book.figures, duration_s=end - self._started if self._started else 0.0)

    def cancel(self) -> bool:
        """Ask the run to stop, from any thread; it ends as cancelled within a second. False when it was over."""
        if not self.standing.ask_to_cancel():
            return False
        if self._walk is not None:
            self._walk.ask_to_stop()
        with contextlib.suppress(RuntimeError):  # the loop is closed, and all that was on it has ended
            self.portal.loop.call_soon_threadsafe(self._take_over)
        return True

    def leave(self) -> bool:
        """Stop the run because its process ends: the journal has it as interrupted then, not as cancelled."""
        self._is_left = True
        return self.cancel()

    # --- off the loop ---------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._started = self.clock.monotonic()
        self.standing.move_to(RunState.RUNNING)
        self.telling.emit(
            "run.start",
            self.settings.trace,
            run_id=self.settings.run_id,
            parent=self.settings.trace_parent,
            pipeline=self.plan.name,
            steps=self.plan.description,
            inputs=plain_values(self.inputs),
        )
        for one in self.plan.warnings:
            self.telling.warn(one.message, one.step)

    def _go_straight(self) -> None:
        """The run's beginning, on a thread, and its end where there is nothing else to do."""
        try:
            self._begin()
            before = None if self._entry is None else self._entry.begin_here
            walked = self._walk.go(before) if self._walk is not None else None
            if walked is None:
                return  # who stopped it ends the run
            if walked.is_stopped:
                self._end_here(RunState.CANCELLED, error=self._cancelled())
            elif self._progress is not None and self._progress.is_over:
                self._end_here(RunState.SUCCEEDED, outputs=self._progress.fields())
            else:
                self._walked = walked
                self.portal.start(self._main)
        except BaseException as error:
            if self.standing.state.is_over:
                raise
            is_closed = self.portal.is_closed
            self._end_here(
                RunState.CANCELLED if is_closed else RunState.FAILED,
                error=self._cancelled() if is_closed else self._told(error),
            )

    def _take_over(self) -> None:
        """Stop the run, on the loop; where it has not come there, end it without the function that runs."""
        if self._stop is not None:
            self._stop.set()
        elif self._walk is not None and self._walk.stop():
            self._note(RunState.CANCELLED, self._cancelled())
            self._end(RunState.CANCELLED, error=self._cancelled())

    # --- on the loop ----------------------------------------------------------------------------------------------

    async def _main(self) -> None:
        """Carry the plan out and end the run, whatever happens."""
        self._stop = asyncio.Event()
        if self.standing.is_cancel_asked:
            self._stop.set()
        if self.standing.state is RunState.PENDING:
            self._begin()
        work = asyncio.ensure_future(self._carry_out())
        ends: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._stop.wait())]
        if self.settings.options.timeout_s is not None:
            ends.append(asyncio.ensure_future(self.clock.sleep(self.settings.options.timeout_s)))
        try:
            await asyncio.wait({work, *ends}, return_when=asyncio.FIRST_COMPLETED)
            is_late = not work.done() and not self.standing.is_cancel_asked
            if not work.done():
                work.cancel()
                await asyncio.wait({work}, timeout=CANCEL_GRACE_S)
        except asyncio.CancelledError:
            work.cancel()
            self._note(RunState.CANCELLED, self._cancelled())
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
            return await self.work.go_on(self._progress, self._walked)
        return await self.work.run(self.inputs)

    def _conclusion(
        self, work: asyncio.Future[dict[str, Any]], *, is_late: bool
    ) -> tuple[RunState, Mapping[str, Any] | None, LabError | None]:
        """How the run ends, as its work ended; work that did not stop in time counts as cancelled, and work that was
        stopped because the run ``is_late`` as failed."""
        if is_late:
            return RunState.FAILED, None, late_error(self.plan.name, self.settings.options.timeout_s or 0.0)
        if not work.done() or work.cancelled():
            return RunState.CANCELLED, None, self._cancelled()
        error = work.exception()
        if error is None:
            return RunState.SUCCEEDED, work.result(), None
        if isinstance(error, Cancelled) or self.standing.is_cancel_asked:
            return RunState.CANCELLED, None, self._cancelled()
        return RunState.FAILED, None, self._told(error)

    # --- its end --------------------------------------------------------------------------------------------------

    def _written(self, state: RunState) -> str:
        return INTERRUPTED if self._is_left and state is RunState.CANCELLED else str(state)

    def _note(self, state: RunState, error: LabError) -> None:
        """Have the run's end written, and wait for nothing."""
        if self._entry is not None:
            self._entry.note(self._written(state), error)

    def _end_here(
        self, state: RunState, *, outputs: Mapping[str, Any] | None = None, error: LabError | None = None
    ) -> None:
        """End the run on a thread, once its end is written."""
        if self._entry is not None:
            self._entry.end_here(self._written(state), error, timeout_s=JOURNAL_GRACE_S)
        self._end(state, outputs=outputs, error=error)

    def _told(self, error: BaseException) -> LabError:
        return run_error(self.plan, error, self.work.errors, is_program=self._is_program)

    def _end(self, state: RunState, *, outputs: Mapping[str, Any] | None = None, error: LabError | None = None) -> None:
        self._ended = self.clock.monotonic()
        self.standing.move_to(state)
        metrics = self.metrics
        fields = dict(outputs or {})
        outer = self.plan.block.steps[0]
        if self._is_program and isinstance(outer.step, Leaf) and outer.name in self.work.records:
            # A program gives all of its step's outputs, a chain of thought's reasoning among them.
            fields = self.work.records[outer.name].to_dict()
        self.telling.emit(
            "run.end",
            self.settings.trace,
            run_id=self.settings.run_id,
            parent=self.settings.trace_parent,
            pipeline=self.plan.name,
            status=state.value,
            duration_s=metrics.duration_s,
            usage=usage_data(metrics.usage),
            error=error.to_dict() if error is not None else None,
            outputs=plain_values(fields),
        )
        self.telling.close()
        if error is not None:
            self.done.set_exception(error)
            return
        result = RunResult(
            fields, steps=self.work.records, metrics=metrics, errors=self.work.errors, run_id=self.settings.run_id
        )
        self.done.set_result(result)

    def _cancelled(self) -> Cancelled:
        return Cancelled(f"The run of {self.plan.name} was cancelled.")


def _take_error(work: asyncio.Future[Any]) -> None:
    # Work that outlived its run has nobody left to hear of its error; asked for, asyncio does not report it as lost.
    if not work.cancelled():
        work.exception()
