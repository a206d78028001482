"""Who writes to the journal: one thread of this process for all, or who waits anyway while that one has nothing to do.

What waits when its turn comes is written with one commit. Knows statements, and nothing of runs. The file is opened
with the first order, and again when that did not work.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from dspex_lab.pipelines.journal.database import open_journal

__all__ = ["Prepare", "Statement", "Writer", "WriterStatistics"]

log = logging.getLogger(__name__)

#: SQL, and what stands for its question marks.
Statement = tuple[str, Sequence[Any]]
#: Makes the statements of one order, off the event loop, which encoding large values would hold up.
Prepare = Callable[[], Sequence[Statement]]

#: So many orders share a commit at most: the first must not wait for all that comes.
_MOST_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """What was written since the start: orders, and the commits that they shared; and how many orders wait now."""

    orders: int = 0
    failed: int = 0
    commits: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _Order:
    prepare: Prepare
    done: Future[int]


class Writer:
    """Writes orders in their order, each whole or not at all. Its thread starts with the first that is submitted;
    close it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._database: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        # Who holds it writes, and nobody else touches the database.
        self._turn = threading.Lock()
        # Orders that were submitted and are not written yet; under the lock.
        self._waiting = 0
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
            self._waiting += 1
            self._orders.put(order)
        return order.done

    def write(self, prepare: Prepare) -> int:
        """The same for a thread that has nothing to do until the statements are durable: the number of rows that
        changed. Written here and now, where nothing else is; else in turn. Raises what went wrong."""
        if self._waiting == 0 and self._turn.acquire(blocking=False):
            try:
                if self._waiting == 0 and not self._is_closed:
                    return self._write_here(prepare)
            finally:
                self._turn.release()
                if self._is_closed and self._thread is None:  # whoever closed it did not wait for this
                    self._let_go()
        return self.submit(prepare).result()

    @property
    def has_begun(self) -> bool:
        """Whether an order was ever submitted."""
        return self._thread is not None

    def statistics(self) -> WriterStatistics:
        return replace(self._statistics, waiting=self._waiting)

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Write what waits, and end; safe to call twice."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
            self._orders.put(None)
        if thread is not None:
            thread.join(timeout_s)
        else:
            self._let_go(timeout_s)

    # --- on the thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        order = self._orders.get()
        while order is not None:
            with self._turn:
                batch, is_last = self._with_others(order)
                ends = self._write(batch)
            with self._lock:
                self._waiting -= len(batch)
            for one, end in ends:
                if isinstance(end, Exception):
                    one.done.set_exception(end)
                else:
                    one.done.set_result(end)
            order = None if is_last else self._orders.get()
        self._let_go()

    def _with_others(self, first: _Order) -> tuple[list[_Order], bool]:
        """``first`` and what waits behind it, and whether the end was reached."""
        taken = [first]
        while len(taken) < _MOST_AT_ONCE:
            try:
                order = self._orders.get_nowait()
            except Empty:
                break
            if order is None:
                return taken, True
            taken.append(order)
        return taken, False

    # --- in one's turn --------------------------------------------------------------------------------------------

    def _write_here(self, prepare: Prepare) -> int:
        try:
            (count,) = self._commit([prepare()])
        except Exception as error:
            self._count_failure(error)
            raise
        self._count(1)
        return count

    def _write(self, batch: list[_Order]) -> list[tuple[_Order, int | Exception]]:
        """Each order with the number of its rows, or what went wrong."""
        ends: list[tuple[_Order, int | Exception]] = []
        prepared: list[tuple[_Order, Sequence[Statement]]] = []
        for order in batch:
            try:
                prepared.append((order, order.prepare()))
            except Exception as error:
                ends.append((order, self._count_failure(error)))
        if not prepared:
            return ends
        try:
            counts = self._commit([statements for _, statements in prepared])
        except Exception as error:
            if len(prepared) == 1:
                return [*ends, (prepared[0][0], self._count_failure(error))]
            # The fault of one is not that of the others.
            return [*ends, *itertools.chain.from_iterable(self._write([order]) for order, _ in prepared)]
        self._count(len(prepared))
        return [*ends, *((order, count) for (order, _), count in zip(prepared, counts, strict=True))]

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

    def _count(self, orders: int) -> None:
        known = self._statistics
        self._statistics = WriterStatistics(known.orders + orders, known.failed, known.commits + 1)

    def _count_failure(self, error: Exception) -> Exception:
        log.debug("An order to the journal failed.", exc_info=error)
        known = self._statistics
        self._statistics = WriterStatistics(known.orders, known.failed + 1, known.commits)
        return error

    def _let_go(self, timeout_s: float = -1) -> None:
        if not self._turn.acquire(timeout=timeout_s):
            return
        try:
            if self._database is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._database.close()
        finally:
            self._turn.release()

    def __repr__(self) -> str:
        now = self._statistics
        state = "closed" if self._is_closed else "open"
        return f"<Writer [{state}, orders: {now.orders}, commits: {now.commits}, failed: {now.failed}]>"
