"""A batch on disk: each row that is done, durable before it counts as done. In the journal's file, with its own tables.

Rows that end close together share a commit. What cannot be written is told once, and the batch goes on without.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from dspex_lab.clock import Clock
from dspex_lab.errors import LabError, ValidationError
from dspex_lab.pipelines.batch.result_row import ResultRow
from dspex_lab.pipelines.batch.statistics import BatchState
from dspex_lab.pipelines.journal.database import open_for_reading
from dspex_lab.pipelines.journal.values import read_value, write_value
from dspex_lab.pipelines.journal.writer import Statement, Writer

__all__ = ["BatchBook", "KeptRows"]

_INSERT = (
    "INSERT OR REPLACE INTO batch_rows (batch, key, position, at, succeeded, error, outputs)"
    " SELECT number, ?, ?, ?, ?, ?, ? FROM batches WHERE batch_id = ?"
)
_NUMBER = "SELECT number FROM batches WHERE batch_id = ?"
_SELECT = "SELECT outputs FROM batch_rows WHERE batch = ? AND key = ? AND succeeded"
_UPDATE = "UPDATE batches SET state = ?, changed_at = ? WHERE batch_id = ?"
_END_TIMEOUT_S = 5.0


class KeptRows:
    """What earlier lives of a batch did, by key. Lives on one thread; close it."""

    def __init__(self, path: Path, batch_id: str, classes: Collection[type]) -> None:
        self._database = open_for_reading(path)
        self._classes = classes
        self._number: int | None = None
        if self._database is not None:
            found = self._database.execute(_NUMBER, (batch_id,)).fetchone()
            self._number = None if found is None else int(found[0])

    def outputs(self, key: bytes) -> Mapping[str, Any] | None:
        """The outputs of a row that succeeded; None: it is to be run, as one whose outputs cannot be read any more."""
        if self._database is None:
            return None
        row = self._database.execute(_SELECT, (self._number, key)).fetchone()
        if row is None:
            return None
        try:
            outputs: Mapping[str, Any] = read_value(row[0], self._classes)
        except LabError:
            return None
        return outputs

    def close(self) -> None:
        if self._database is not None:
            self._database.close()


class BatchBook:
    """One batch's place. ``is_resumed``: there are rows of earlier lives. ``on_trouble`` is told what is not kept."""

    def __init__(
        self,
        batch_id: str,
        path: Path,
        writer: Writer,
        classes: Collection[type],
        clock: Clock,
        *,
        is_resumed: bool = False,
    ) -> None:
        self.batch_id = batch_id
        self.is_resumed = is_resumed
        self.on_trouble: Callable[[str], None] = lambda message: None
        self._path = path
        self._writer = writer
        self._classes = classes
        self._clock = clock
        self._is_broken = self._has_told = False

    def kept_rows(self) -> KeptRows | None:
        """What is done already, to be asked on the thread that calls this; None for a new batch."""
        return KeptRows(self._path, self.batch_id, self._classes) if self.is_resumed else None

    async def write(self, rows: Sequence[ResultRow]) -> None:
        """Keep the rows; they are durable when this returns. Never raises but for a cancel."""
        rows = [one for one in rows if one.key is not None and not one.is_reused]
        if self._is_broken or not rows:
            return
        at = self._clock.now()
        unkept: list[str] = []
        try:
            await asyncio.wrap_future(self._writer.submit(lambda: self._statements(rows, at, unkept)))
        except (OSError, sqlite3.Error, LabError) as error:
            self._is_broken = True
            self.on_trouble(f"The batch goes on, but is not written down: {str(error).rstrip('.')}.")
        if unkept and not self._has_told:
            self._has_told = True
            self.on_trouble(f"What a row gave cannot be written down: {unkept[0]}")

    def _statements(self, rows: Sequence[ResultRow], at: float, unkept: list[str]) -> list[Statement]:
        """On the writer's thread."""
        made: list[Statement] = []
        for one in rows:
            error = None if one.error is None else msgspec.json.encode(one.error.to_dict())
            try:
                outputs = write_value(dict(one.outputs), self._classes) if error is None else b""
            except ValidationError as fault:
                unkept.append(fault.message)
                continue
            made.append((_INSERT, (one.key, one.position, at, error is None, error, outputs, self.batch_id)))
        return made

    async def end(self, state: BatchState) -> None:
        """Write how the batch ended; waits for it, but not long."""
        if self._is_broken:
            return
        statement: Statement = (_UPDATE, (str(state), self._clock.now(), self.batch_id))
        done = asyncio.wrap_future(self._writer.submit(lambda: [statement]))
        await asyncio.wait({done}, timeout=_END_TIMEOUT_S)
        if done.done() and not done.cancelled():
            done.exception()
