"""The one thread of this process that writes to the journal: what waits when it comes is written with one commit.

Knows statements, and nothing of runs. It opens the file with the first order, and again when that did not work.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from dspex_lab.pipelines.journal.database import open_journal

__all__ = ["Prepare", "Statement", "Writer", "WriterStatistics"]

log = logging.getLogger(__name__)

#: SQL, and what stands for its question marks.
Statement = tuple[str, Sequence[Any]]
#: Makes the statements of one order, on the writer's thread: encoding large values holds up no event loop.
Prepare = Callable[[], Sequence[Statement]]

#: So many orders share a commit at most: the first must not wait for all that comes.
_MOST_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """What was written since the start: orders, and the commits that they shared."""

    orders: int = 0
    failed: int = 0
    commits: int = 0


@dataclass(frozen=True, slots=True)
class _Order:
    prepare: Prepare
    done: Future[int]


class Writer:
    """Writes orders in their order, each whole or not at all. Its thread starts with the first; close it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._database: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_closed = False
        self._statistics = WriterStatistics()

    def submit(self, prepare: Prepare) -> Future[int]:
        """Have the statements written that ``prepare`` makes. The future gives the number of rows that changed once
        they are durable, or raises what went wrong: the order left no trace then."""
        order = _Order(prepare, Future())
        # Whoever waits may go away: the order is carried out all the same.
        order.done.set_running_or_notify_cancel()
        with self._lock:
            if self._is_closed:
                order.done.set_exception(sqlite3.ProgrammingError("the journal is closed"))
                return order.done
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="dspex-journal", daemon=True)
                self._thread.start()
            self._orders.put(order)
        return order.done

    @property
    def has_begun(self) -> bool:
        """Whether there ever was an order."""
        return self._thread is not None

    def statistics(self) -> WriterStatistics:
        return self._statistics

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Write what waits, and end; safe to call twice."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
            self._orders.put(None)
        if thread is not None:
            thread.join(timeout_s)

    # --- on the thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        is_last = False
        while not is_last:
            batch, is_last = self._take()
            if batch:
                self._write(batch)
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()

    def _take(self) -> tuple[list[_Order], bool]:
        """What waits, at least one order, and whether the end was reached."""
        taken: list[_Order] = []
        order = self._orders.get()
        while order is not None:
            taken.append(order)
            if len(taken) == _MOST_AT_ONCE:
                return taken, False
            try:
                order = self._orders.get_nowait()
            except Empty:
                return taken, False
        return taken, True

    def _write(self, batch: list[_Order]) -> None:
        prepared: list[tuple[_Order, Sequence[Statement]]] = []
        for order in batch:
            try:
                prepared.append((order, order.prepare()))
            except Exception as error:
                self._failed(order, error)
        if not prepared:
            return
        try:
            counts = self._commit([statements for _, statements in prepared])
        except Exception as error:
            if len(prepared) == 1:
                self._failed(prepared[0][0], error)
                return
            for order, _ in prepared:  # the fault of one is not that of the others
                self._write([order])
            return
        known = self._statistics
        self._statistics = WriterStatistics(known.orders + len(prepared), known.failed, known.commits + 1)
        for (order, _), count in zip(prepared, counts, strict=True):
            order.done.set_result(count)

    def _commit(self, orders: Sequence[Sequence[Statement]]) -> list[int]:
        if self._database is None:
            self._database = open_journal(self._path)
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            counts = [sum(max(0, database.execute(*one).rowcount) for one in statements) for statements in orders]
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        return counts

    def _failed(self, order: _Order, error: Exception) -> None:
        log.debug("An order to the journal failed.", exc_info=error)
        known = self._statistics
        self._statistics = WriterStatistics(known.orders, known.failed + 1, known.commits)
        order.done.set_exception(error)

    def __repr__(self) -> str:
        now = self._statistics
        state = "closed" if self._is_closed else "open"
        return f"<Writer [{state}, orders: {now.orders}, commits: {now.commits}, failed: {now.failed}]>"
