"""The runs of today and before: found by their ids, shown as a table, gone on with.

Brings together the launcher, which has the runs of this process, and the journal, which has those of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dspex_lab.errors import ConfigurationError
from dspex_lab.pipelines.journal.classes import classes_of
from dspex_lab.pipelines.journal.journal import Journal
from dspex_lab.pipelines.journal.records import RunRecord
from dspex_lab.pipelines.journal.recovery import (
    check_same_plan,
    check_under_way,
    inputs_again,
    not_defined,
    remembered,
)
from dspex_lab.pipelines.launcher import Launcher
from dspex_lab.pipelines.outcome.memory import SPENT_KEY
from dspex_lab.pipelines.past_run import PastRun
from dspex_lab.pipelines.plan.fingerprint import differing, fingerprint
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.pipelines.run.rerun import affected_steps, as_kept
from dspex_lab.pipelines.run.run import Run
from dspex_lab.router import Budget

__all__ = ["FindPlan", "History"]

#: The plan of the pipeline that has a name now, or None.
FindPlan = Callable[[str], Plan | None]

_SHORTEST_PREFIX = 4


class History:
    """Runs by id. ``find_plan`` knows the pipelines that are defined now."""

    def __init__(self, launcher: Launcher, journal: Journal, find_plan: FindPlan) -> None:
        self._launcher = launcher
        self._journal = journal
        self._find_plan = find_plan

    def records(self, *, limit: int | None = None) -> list[RunRecord]:
        """The journalled runs, the newest first."""
        return self._journal.runs(limit=limit)

    def run(self, run_id: str) -> Run | PastRun:
        """The run with this id, or with the one that begins so. Raises ``ConfigurationError`` when there is none, and
        when there are several."""
        live = {run.id: run for run in self._launcher.runs if run.id.startswith(run_id)} if run_id else {}
        past = {record.run_id: record for record in self._journal.find(run_id)}
        ids = [*live, *(one for one in past if one not in live)]
        if not ids:
            raise ConfigurationError(
                f"There is no run {run_id!r}.", "run", "an id of lab.runs()", run_id, hint="lab.runs() lists them."
            )
        if len(ids) > 1:
            names = ", ".join(one[: len(run_id) + _SHORTEST_PREFIX] for one in ids[:5])
            raise ConfigurationError(
                f"There are {len(ids)} runs whose id begins with {run_id!r}.",
                "run",
                "more of the id",
                run_id,
                hint=f"Write more of it: {names}.",
            )
        return live[ids[0]] if ids[0] in live else self._past(past[ids[0]])

    def unfinished(self, pipeline: str) -> PastRun | None:
        """The newest run of ``pipeline`` that has not come to its result and is not under way, or None."""
        for record in self._journal.unfinished(pipeline):
            if not record.is_under_way:
                return self._past(record)
        return None

    def resume(
        self, run_id: str, inputs: Mapping[str, Any], budget: Budget | None = None, *, plan: Plan | None = None
    ) -> Run:
        """Go on with a run, under its id, with another ``budget`` than its own where one is given. The pipeline that
        has its name now is taken, else ``plan``, when the first is not there or does not fit. Raises ``PipelineError``
        and ``ConfigurationError``."""
        record = self._record(run_id)
        check_under_way(record)
        kept = self._journal.steps(record.run_id)
        chosen = self._choose(record, plan, {one.step for one in kept})
        check_same_plan(record, chosen, kept)
        known = remembered(record, chosen, kept)
        given = inputs_again(record, chosen, inputs)
        return self._launcher.go_on(chosen, record, given, known, budget=budget)

    def rerun(self, run_id: str, step: str | None, inputs: Mapping[str, Any]) -> Run:
        """Begin a run again from ``step`` on (None: all of it), as a new one of the pipeline that has its name now.
        Raises ``PipelineError`` and ``ConfigurationError``."""
        record = self._record(run_id)
        check_under_way(record)
        plan = self._find_plan(record.pipeline)
        if plan is None:
            raise not_defined(record)
        again = None if step is None else affected_steps(plan, step)
        kept = [one for one in self._journal.steps(record.run_id) if again is not None and one.step not in again]
        kept = [one for one in kept if one.key != SPENT_KEY]  # that is the other run's
        check_same_plan(record, plan, kept)
        known = {key: as_kept(one.outputs, one.metrics) for key, one in remembered(record, plan, kept).items()}
        given = inputs_again(record, plan, inputs)
        return self._launcher.begin_anew(plan, record, given, known)

    def _record(self, run_id: str) -> RunRecord:
        found = self._journal.find(run_id)
        if not found:
            raise ConfigurationError(
                f"The run {run_id[:8]} was not written down.", "run", hint="Only what the journal has can go on."
            )
        return found[0]

    def _choose(self, record: RunRecord, own: Plan | None, finished: set[str]) -> Plan:
        defined = self._find_plan(record.pipeline)
        if defined is None:
            if own is None:
                raise not_defined(record)
            return own
        if own is not None and differing(record.prints, fingerprint(defined), finished) is not None:
            return own
        return defined

    def _past(self, record: RunRecord) -> PastRun:
        plan = self._find_plan(record.pipeline)
        return PastRun(
            record,
            steps=lambda: self._journal.steps(record.run_id),
            states=lambda: self._journal.states(record.run_id),
            classes=classes_of(plan) if plan is not None else (),
            resume=self.resume,
            rerun=self.rerun,
        )

    def __repr__(self) -> str:
        return f"<History {self._launcher!r} {self._journal!r}>"
