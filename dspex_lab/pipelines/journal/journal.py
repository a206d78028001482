"""The journal: runs and their finished steps in one SQLite file of the user's, for all of their notebooks.

Bounded by age and count. Safe from any thread; reading waits for what this process is writing.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import ConfigurationError
from dspex_lab.pipelines.journal.database import open_for_reading
from dspex_lab.pipelines.journal.entry import Entry
from dspex_lab.pipelines.journal.owner import Owner
from dspex_lab.pipelines.journal.records import (
    KeptStep,
    RunRecord,
    count_of_steps,
    metrics_from_bytes,
    prints_from_bytes,
    prints_to_bytes,
)
from dspex_lab.pipelines.journal.writer import Statement, Writer
from dspex_lab.pipelines.outcome.memory import Remembered
from dspex_lab.pipelines.outcome.result import RunState
from dspex_lab.pipelines.plan.fingerprint import fingerprint
from dspex_lab.pipelines.plan.plan import Plan

__all__ = ["Journal", "JournalStatistics"]

_DAY_S = 86_400.0
#: Unfinished runs are kept so many times as long, and as many.
_UNFINISHED = 4
#: Old runs are looked for with the first run and with each so-many-th after it.
_PRUNE_EVERY = 50
#: How long reading waits for what is being written.
_FLUSH_S = 10.0


@dataclass(frozen=True, slots=True)
class JournalStatistics:
    """What the journal holds, and what this process wrote."""

    runs: int
    steps: int
    orders: int
    commits: int
    failed: int


class Journal:
    """Runs on disk. Nothing is opened before the first run is written or asked for; close it."""

    def __init__(
        self, path: Path, *, max_age_days: float = 30.0, max_runs: int = 1000, clock: Clock | None = None
    ) -> None:
        self._path = path
        self._max_age_s = max_age_days * _DAY_S
        self._max_runs = max_runs
        self._clock = clock or SystemClock()
        self._writer = Writer(path)
        self._begun = 0

    # --- writing --------------------------------------------------------------------------------------------------

    def enter(
        self,
        plan: Plan,
        run_id: str,
        inputs: Mapping[str, Any],
        options: Mapping[str, Any],
        *,
        known: Mapping[str, Remembered] | None = None,
    ) -> Entry:
        """A place for a new run. It is written when the run begins, with what it knows of another one."""
        if self._begun % _PRUNE_EVERY == 0:
            self._writer.submit(self._pruning).add_done_callback(_take_error)
        self._begun += 1
        return Entry(plan, run_id, inputs, options, self._writer, clock=self._clock, known=known, is_new=True)

    def take_over(
        self,
        record: RunRecord,
        plan: Plan,
        inputs: Mapping[str, Any],
        options: Mapping[str, Any],
        known: Mapping[str, Remembered],
    ) -> Entry:
        """The place of a run that goes on here. Raises ``ConfigurationError`` when another notebook was quicker."""
        at, owner = self._clock.now(), Owner.this_process()
        row = (
            str(RunState.RUNNING),
            at,
            owner.pid,
            owner.started,
            prints_to_bytes(fingerprint(plan)),
            count_of_steps(plan),
            msgspec.json.encode(options),
            record.run_id,
            record.written_state,
            record.changed_at,
        )
        statements: list[Statement] = [(_TAKE_OVER, row), (_NOTE, (record.run_id, at, str(RunState.RUNNING)))]
        try:
            count = self._writer.submit(lambda: statements).result(_FLUSH_S)
        except (OSError, sqlite3.Error, TimeoutError) as error:
            raise ConfigurationError(
                f"The run {record.run_id[:8]} cannot go on: the journal cannot be written ({error}).",
                "data_dir",
                hint="Make room on the disk, or set DSPEX_LAB_DATA_DIR to a folder of yours.",
            ) from error
        if count != len(statements):
            raise ConfigurationError(
                f"The run {record.run_id[:8]} is under way already.",
                "run",
                hint="Another notebook resumed it just now: see lab.runs().",
            )
        return Entry(plan, record.run_id, inputs, options, self._writer, clock=self._clock, known=known)

    def flush(self) -> None:
        """Wait until all that was to be written is. Raises nothing: what failed was told where it was asked for."""
        if not self._writer.has_begun:
            return
        order = self._writer.submit(tuple)
        with contextlib.suppress(OSError, sqlite3.Error, ConfigurationError, TimeoutError):
            order.result(_FLUSH_S)

    def close(self) -> None:
        """Write what waits and let go of the file. Safe to call twice."""
        self._writer.close()

    # --- reading --------------------------------------------------------------------------------------------------

    def runs(self, *, limit: int | None = None) -> list[RunRecord]:
        """The runs, the newest first. Raises ``sqlite3.Error`` when the file cannot be read."""
        return self._select("ORDER BY started_at DESC, number DESC LIMIT ?", -1 if limit is None else limit)

    def unfinished(self, pipeline: str) -> list[RunRecord]:
        """The runs of ``pipeline`` that have not come to their result, the newest first."""
        return self._select("WHERE pipeline = ? AND state <> 'succeeded' ORDER BY started_at DESC", pipeline)

    def find(self, prefix: str) -> list[RunRecord]:
        """The runs whose id begins so."""
        if not prefix.isalnum():
            return []
        return self._select("WHERE run_id GLOB ? ORDER BY started_at DESC", f"{prefix}*")

    def states(self, run_id: str) -> list[tuple[float, str]]:
        """The states that a run went through, each with its time."""
        return self._rows(
            "SELECT at, state FROM states WHERE run = (SELECT number FROM runs WHERE run_id = ?) ORDER BY rowid", run_id
        )

    def steps(self, run_id: str) -> list[KeptStep]:
        """What is kept of a run's steps, in the order in which they finished."""
        rows = self._rows(
            "SELECT key, step, at, metrics, outputs FROM steps"
            " WHERE run = (SELECT number FROM runs WHERE run_id = ?) ORDER BY at, key",
            run_id,
        )
        return [KeptStep(key, step, at, metrics_from_bytes(data), outputs) for key, step, at, data, outputs in rows]

    def statistics(self) -> JournalStatistics:
        counts = self._rows("SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM steps)")
        runs, steps = counts[0] if counts else (0, 0)
        written = self._writer.statistics()
        return JournalStatistics(runs, steps, written.orders, written.commits, written.failed)

    def _select(self, rest: str, *values: Any) -> list[RunRecord]:
        return [_record(row) for row in self._rows(f"{_SELECT} {rest}", *values)]

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        self.flush()
        database = open_for_reading(self._path)
        if database is None:
            return []
        try:
            return database.execute(sql, values).fetchall()
        finally:
            database.close()

    # --- what is too old ------------------------------------------------------------------------------------------

    def _pruning(self) -> list[Statement]:
        """Drops what is too old or too much: finished runs first, the others when they are much older."""
        now = self._clock.now()
        made: list[Statement] = []
        for state, factor in (("= 'succeeded'", 1), ("<> 'succeeded'", _UNFINISHED)):
            chosen = (
                f"SELECT number FROM runs WHERE state {state} AND (changed_at < ? OR number NOT IN"  # noqa: S608 - our own texts
                f" (SELECT number FROM runs WHERE state {state} ORDER BY started_at DESC LIMIT ?))"
            )
            values = (now - self._max_age_s * factor, self._max_runs * factor)
            made += [
                (f"DELETE FROM steps WHERE run IN ({chosen})", values),  # noqa: S608 - our own texts
                (f"DELETE FROM states WHERE run IN ({chosen})", values),  # noqa: S608 - our own texts
                (f"DELETE FROM runs WHERE number IN ({chosen})", values),  # noqa: S608 - our own texts
            ]
        return made

    def __repr__(self) -> str:
        return f"<Journal {self._path} {self._writer!r}>"


_TAKE_OVER = (
    "UPDATE runs SET state = ?, changed_at = ?, owner_pid = ?, owner_started = ?, fingerprint = ?, step_count = ?,"
    " options = ?, error = NULL WHERE run_id = ? AND state = ? AND changed_at = ?"
)
#: Only where the update before it took the run over.
_NOTE = "INSERT INTO states (run, at, state) SELECT number, ?2, ?3 FROM runs WHERE run_id = ?1 AND changes() = 1"
#: The steps done leave out what stands in an ``each`` whose outermost one has no mark: it has items left.
_SELECT = (
    "SELECT run_id, pipeline, state, started_at, changed_at, owner_pid, owner_started, fingerprint, inputs, options,"
    " source, step_count, error,"
    " (SELECT count(DISTINCT step) FROM steps AS one WHERE run = number AND key NOT LIKE '%?' AND"
    " (instr(key, '[') = 0 OR EXISTS"
    " (SELECT 1 FROM steps WHERE run = number AND key = substr(one.key, 1, instr(one.key, '[') - 1) || '?'))),"
    " (SELECT coalesce(sum(tokens), 0) FROM steps WHERE run = number),"
    " coalesce((SELECT max(at) FROM steps WHERE run = number), 0) FROM runs"
)


def _record(row: tuple[Any, ...]) -> RunRecord:
    run_id, pipeline, state, started_at, changed_at, pid, started, prints, inputs, options, *rest = row
    source, count, error, done, tokens, last_step_at = rest
    return RunRecord(
        run_id,
        pipeline,
        state,
        started_at,
        changed_at,
        Owner(pid, started),
        prints_from_bytes(prints),
        msgspec.msgpack.decode(inputs),
        msgspec.json.decode(options),
        source,
        count,
        done,
        tokens,
        None if error is None else msgspec.json.decode(error),
        last_step_at,
    )


def _take_error(future: Any) -> None:
    # Pruning that did not work is tried again with a later run.
    future.exception()
