"""Starts runs: binds plans to a portal and a router. One per lab.

The only thing of this room that ``lab`` has to build.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dspex_lab.calls import TraceContext, new_id
from dspex_lab.errors import ConfigurationError
from dspex_lab.pipelines.journal import Journal, RunRecord
from dspex_lab.pipelines.outcome.memory import Remembered
from dspex_lab.pipelines.outcome.result import RunState
from dspex_lab.pipelines.plan.inputs import check_inputs
from dspex_lab.pipelines.plan.overrides import overridden
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.pipelines.run.options import RunOptions, options_from_plain, options_to_plain
from dspex_lab.pipelines.run.rerun import KnownSteps
from dspex_lab.pipelines.run.run import Run
from dspex_lab.pipelines.run.runner import RunSettings
from dspex_lab.portal import Portal
from dspex_lab.router import Budget, Router
from dspex_lab.telemetry import Recorder
from dspex_lab.telemetry.spans import current_trace, new_span_id

__all__ = ["Launcher", "LauncherStatistics", "StartRun"]


#: How a run of this process goes on when it is over, with the inputs that could not be written down, and with another
#: budget than its own (None: with that).
ResumeRun = Callable[[Run, Mapping[str, Any], Budget | None], Run]


class StartRun(Protocol):
    """How programs and pipelines begin a run; :meth:`Launcher.start` is one."""

    def __call__(
        self,
        plan: Plan,
        inputs: Mapping[str, Any],
        *,
        options: RunOptions | None = None,
        is_program: bool = False,
    ) -> Run: ...


@dataclass(frozen=True, slots=True)
class LauncherStatistics:
    """The remembered runs by their state."""

    runs: int
    under_way: int
    succeeded: int
    failed: int
    cancelled: int


class Launcher:
    """Starts runs and remembers the latest ones by id."""

    def __init__(
        self,
        portal: Portal,
        router: Router,
        *,
        journal: Journal | None = None,
        resume: ResumeRun | None = None,
        remembered: int = 100,
        recorder: Recorder | None = None,
        place: Callable[[], TraceContext | None] = current_trace,
    ) -> None:
        """``journal`` is where runs of pipelines are written down, ``resume`` how those that are over go on.
        ``recorder`` follows what runs tell; ``place`` says what a run that begins now hangs under in its trace."""
        self._recorder = recorder
        self._place = place
        self._portal = portal
        self._journal = journal
        self._resume = resume
        self._router = router
        self._remembered = remembered
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def start(
        self,
        plan: Plan,
        inputs: Mapping[str, Any],
        *,
        options: RunOptions | None = None,
        is_program: bool = False,
    ) -> Run:
        """Check the inputs and begin a run, from any thread. Raises ``PipelineError`` before anything runs.

        The options of single steps are in the ``plan`` already (``overrides``)."""
        check_inputs(plan, inputs)
        return self.start_again(plan, inputs, {}, options=options or RunOptions(), is_program=is_program)

    def start_again(
        self,
        plan: Plan,
        inputs: Mapping[str, Any],
        known: Mapping[str, Remembered],
        *,
        options: RunOptions,
        is_program: bool,
    ) -> Run:
        """Begin a run whose inputs were checked, and which has what is ``known`` by step from another one."""
        settings = self._settings(new_id(), options)
        entry = None
        if self._journal is not None and settings.options.journal and not is_program:
            plain = options_to_plain(settings.options)
            entry = self._journal.enter(plan, settings.run_id, inputs, plain, known=known)
        return self._begin(
            Run(
                plan,
                inputs,
                self._portal,
                self._router,
                settings,
                is_program=is_program,
                entry=entry,
                memory=KnownSteps(known) if known else None,
                resume=self._resume,
            )
        )

    def go_on(
        self,
        plan: Plan,
        record: RunRecord,
        inputs: Mapping[str, Any],
        known: Mapping[str, Remembered],
        *,
        budget: Budget | None = None,
    ) -> Run:
        """Begin a run of the journal again, under its id; what is ``known`` by step is not done again, and ``budget``
        takes the place of its own. Raises ``ConfigurationError`` when somebody else was quicker."""
        if self._journal is None:
            raise ConfigurationError("There is no journal.", "journal")
        options = options_from_plain(record.options)
        if budget is not None:
            options = options.updated(budget=budget)
        plan = overridden(plan, options.steps)
        check_inputs(plan, inputs)
        entry = self._journal.take_over(record, plan, inputs, options_to_plain(options), known)
        settings = self._settings(record.run_id, options)
        return self._begin(Run(plan, inputs, self._portal, self._router, settings, entry=entry, resume=self._resume))

    def begin_anew(
        self, plan: Plan, record: RunRecord, inputs: Mapping[str, Any], known: Mapping[str, Remembered]
    ) -> Run:
        """Begin a new run as one of the journal was begun, which has what is ``known`` by key from that."""
        options = options_from_plain(record.options)
        plan = overridden(plan, options.steps)
        check_inputs(plan, inputs)
        return self.start_again(plan, inputs, known, options=options, is_program=False)

    def _settings(self, run_id: str, options: RunOptions) -> RunSettings:
        """The run hangs under what it was begun in, a notebook's cell as a rule; else it is a trace of its own."""
        outer = self._place()
        if outer is None:
            return RunSettings(run_id, options, trace=TraceContext(run_id, new_span_id()))
        return RunSettings(
            run_id, options, trace=TraceContext(outer.trace_id, new_span_id()), trace_parent=outer.span_id
        )

    def _begin(self, run: Run) -> Run:
        """Keep the run, and forget the oldest that are over: those under way must be there to be cancelled."""
        run.start_again = self.start_again
        with self._lock:
            self._runs[run.id] = run
            too_many = len(self._runs) - self._remembered
            if too_many > 0:
                over = (one.id for one in self._runs.values() if one.is_over)
                for run_id in list(itertools.islice(over, too_many)):
                    del self._runs[run_id]
        if self._recorder is not None:
            self._recorder.follow(run.events())
        return run.start()

    def statistics(self) -> LauncherStatistics:
        """How many of the remembered runs there are in each state."""
        states = Counter(run.state for run in self.runs)
        return LauncherStatistics(
            runs=len(self._runs),
            under_way=sum(count for state, count in states.items() if not state.is_over),
            succeeded=states[RunState.SUCCEEDED],
            failed=states[RunState.FAILED],
            cancelled=states[RunState.CANCELLED],
        )

    @property
    def runs(self) -> tuple[Run, ...]:
        """The latest runs, oldest first."""
        with self._lock:
            return tuple(self._runs.values())

    def find(self, run_id: str) -> Run | None:
        """The run with this id, if it is one of the latest here."""
        with self._lock:
            return self._runs.get(run_id)

    def cancel(self, run_id: str) -> bool:
        """Cancel the run with this id, from any thread; False when there is none here, or it is over."""
        run = self.find(run_id)
        return run is not None and run.cancel()

    def leave_all(self) -> int:
        """Stop every run under way because the process ends; the journal has them as interrupted."""
        return sum(run.leave() for run in self.runs)

    def cancel_all(self) -> int:
        """Cancel every run under way; how many there were."""
        return sum(run.cancel() for run in self.runs)

    def __repr__(self) -> str:
        statistics = self.statistics()
        return f"<Launcher [runs: {statistics.runs}, under way: {statistics.under_way}]>"
