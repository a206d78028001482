"""All batches on disk, in the journal's file: new ones are entered, and unfinished ones found again.

Nothing is opened before the first batch. Safe from any thread.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dspex_lab.calls import new_id
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import ConfigurationError, PipelineError
from dspex_lab.pipelines.batch.book import BatchBook
from dspex_lab.pipelines.batch.statistics import BatchState
from dspex_lab.pipelines.journal.classes import classes_of
from dspex_lab.pipelines.journal.database import open_for_reading
from dspex_lab.pipelines.journal.owner import Owner
from dspex_lab.pipelines.journal.records import prints_from_bytes, prints_to_bytes
from dspex_lab.pipelines.journal.writer import Statement, Writer
from dspex_lab.pipelines.plan.fingerprint import differing, fingerprint
from dspex_lab.pipelines.plan.plan import Plan

__all__ = ["BatchStore"]

_DAY_S = 86_400.0
_WAIT_S = 10.0

_BATCHES = (
    "CREATE TABLE IF NOT EXISTS batches (number INTEGER PRIMARY KEY, batch_id TEXT NOT NULL UNIQUE,"
    " pipeline TEXT NOT NULL, fingerprint BLOB NOT NULL, state TEXT NOT NULL, started_at REAL NOT NULL,"
    " changed_at REAL NOT NULL, owner_pid INTEGER NOT NULL, owner_started REAL NOT NULL)"
)
_ROWS = (
    "CREATE TABLE IF NOT EXISTS batch_rows (batch INTEGER NOT NULL, key BLOB NOT NULL, position INTEGER NOT NULL,"
    " at REAL NOT NULL, succeeded INTEGER NOT NULL, error BLOB, outputs BLOB NOT NULL,"
    " PRIMARY KEY (batch, key)) WITHOUT ROWID"
)
_TABLES: Sequence[Statement] = ((_BATCHES, ()), (_ROWS, ()))
_INSERT = (
    "INSERT INTO batches (batch_id, pipeline, fingerprint, state, started_at, changed_at, owner_pid, owner_started)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_TAKE_OVER = (
    "UPDATE batches SET state = ?, changed_at = ?, owner_pid = ?, owner_started = ?"
    " WHERE batch_id = ? AND state = ? AND changed_at = ?"
)
_COLUMNS = "batch_id, state, changed_at, owner_pid, owner_started, fingerprint"


class BatchStore:
    """The batches in the file ``path``, kept for ``max_age_days``. Close it."""

    def __init__(self, path: Path, *, max_age_days: float = 30.0, clock: Clock | None = None) -> None:
        self._path = path
        self._max_age_s = max_age_days * _DAY_S
        self._clock = clock or SystemClock()
        self._writer = Writer(path)

    def begin(self, plan: Plan) -> BatchBook:
        """A place for a new batch. Nothing waits for the disk: rows are written after it."""
        batch_id, now, owner = new_id(), self._clock.now(), Owner.this_process()
        prints = prints_to_bytes(fingerprint(plan))
        row = (batch_id, plan.name, prints, str(BatchState.RUNNING), now, now, owner.pid, owner.started)
        statements = [*_TABLES, *self._pruning(now), (_INSERT, row)]
        self._writer.submit(lambda: statements).add_done_callback(_take_error)
        return self._book(plan, batch_id)

    def go_on(self, plan: Plan, which: bool | str) -> BatchBook | None:
        """The place of the latest batch of the same ``plan`` (True), or of the one whose id begins so; None when there
        is none to go on with. Raises ``ConfigurationError`` when it is under way, or there is no such id, and
        ``PipelineError`` when the pipeline is another one by now."""
        prints = prints_to_bytes(fingerprint(plan))
        if isinstance(which, str):
            found = self._find("batch_id GLOB ?", f"{which}*") if which.isalnum() else None
            if found is None:
                raise ConfigurationError(f"There is no batch {which!r}.", "resume", "a batch's id", which)
        else:
            found = self._find("fingerprint = ?", prints)
            if found is None:
                return None
        batch_id, state, changed_at, pid, started, known_prints = found
        names = [one.name for one in plan.steps]
        other = differing(prints_from_bytes(known_prints), fingerprint(plan), names)
        if other is not None:
            raise PipelineError(
                f"The batch {batch_id[:8]} cannot go on: the step {other} is another one by now.",
                other,
                hint="Leave resume= out to begin a new batch.",
            )
        owner, this = Owner(pid, started), Owner.this_process()
        if state == BatchState.RUNNING and owner.is_alive:
            raise self._is_taken(batch_id)
        row = (str(BatchState.RUNNING), self._clock.now(), this.pid, this.started, batch_id, state, changed_at)
        statement: Statement = (_TAKE_OVER, row)
        try:
            count = self._writer.submit(lambda: [statement]).result(_WAIT_S)
        except (OSError, sqlite3.Error, TimeoutError) as error:
            raise ConfigurationError(f"The batch cannot go on: its file cannot be written ({error}).") from error
        if count != 1:
            raise self._is_taken(batch_id)
        return self._book(plan, batch_id, is_resumed=True)

    def flush(self) -> None:
        """Wait until all that was to be written is."""
        if self._writer.has_begun:
            with contextlib.suppress(OSError, sqlite3.Error, ConfigurationError, TimeoutError):
                self._writer.submit(tuple).result(_WAIT_S)

    def close(self) -> None:
        """Write what waits and let go of the file. Safe to call twice."""
        self._writer.close()

    def _book(self, plan: Plan, batch_id: str, *, is_resumed: bool = False) -> BatchBook:
        return BatchBook(batch_id, self._path, self._writer, classes_of(plan), self._clock, is_resumed=is_resumed)

    def _find(self, condition: str, value: Any) -> tuple[Any, ...] | None:
        self.flush()
        database = open_for_reading(self._path)
        if database is None:
            return None
        try:
            sql = f"SELECT {_COLUMNS} FROM batches WHERE {condition} ORDER BY started_at DESC LIMIT 1"  # noqa: S608 - ours
            row: tuple[Any, ...] | None = database.execute(sql, (value,)).fetchone()
        except sqlite3.OperationalError:  # no batch was ever written
            return None
        finally:
            database.close()
        return row

    def _pruning(self, now: float) -> list[Statement]:
        before = (now - self._max_age_s,)
        return [
            ("DELETE FROM batch_rows WHERE batch IN (SELECT number FROM batches WHERE changed_at < ?)", before),
            ("DELETE FROM batches WHERE changed_at < ?", before),
        ]

    @staticmethod
    def _is_taken(batch_id: str) -> ConfigurationError:
        return ConfigurationError(
            f"The batch {batch_id[:8]} is under way already.", "resume", hint="Stop it first, in its own notebook."
        )

    def __repr__(self) -> str:
        return f"<BatchStore {self._path} {self._writer!r}>"


def _take_error(future: Any) -> None:
    # What cannot be written shows with the batch's first row.
    future.exception()
