"""Carries a batch out on the event loop: takes rows in, keeps as many under way as the pace allows, and gives out what
is done, once it is durable.

A row costs a task and a :class:`PlanRun`, and no run of its own: no tape, no panel. Knows nothing of handles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dspex_lab.calls import Usage
from dspex_lab.errors import Cancelled, DeadlineExceeded, LabError
from dspex_lab.pipelines.batch.book import BatchBook
from dspex_lab.pipelines.batch.feed import Feed
from dspex_lab.pipelines.batch.pace import Overload, Pace, RowEnd, may_come_again, overload_of, paced
from dspex_lab.pipelines.batch.result_row import ResultRow
from dspex_lab.pipelines.batch.sinks import Sink
from dspex_lab.pipelines.batch.trace import BatchTrace, RowTrace
from dspex_lab.pipelines.batch.watch import RowWatch
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.pipelines.run.failures import as_lab_error, as_pipeline_error
from dspex_lab.pipelines.run.options import RunOptions
from dspex_lab.pipelines.run.runner import PlanRun, RunSettings
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.router import Account, Router
from dspex_lab.router.native import within
from dspex_lab.threads import Threads

__all__ = ["Counts", "Drive", "KnownRows", "PreparedRow"]

#: Rows that are read, under way, or wait for those before them: at least so many, and some for each place.
_WINDOW, _WINDOW_PER_PLACE = 1024, 4
#: How often a row that was refused for want of room comes again, whatever its steps tried before.
_PATIENCE = 8
_BACKOFF_S, _MAX_BACKOFF_S = 0.5, 30.0
#: How long cancelled rows may take to end before the batch ends without them.
_CANCEL_GRACE_S = 0.8


@dataclass(frozen=True, slots=True)
class PreparedRow:
    """A row as it was read: its inputs or why it does not fit, and its key."""

    position: int
    row: Mapping[str, Any]
    inputs: Mapping[str, Any] | LabError
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class KnownRows:
    """Rows that were done in an earlier life of the batch; many at a time, for there may be very many."""

    rows: Sequence[ResultRow]


@dataclass(slots=True)
class Counts:
    """What was done so far. Changed on the event loop only."""

    succeeded: int = 0
    failed: int = 0
    reused: int = 0
    retries: int = 0
    usage: Usage = field(default_factory=Usage)

    def add(self, done: ResultRow) -> None:
        """Count a row that is done for good."""
        if done.is_reused:
            self.reused += 1
        elif done.error is not None:
            self.failed += 1
        else:
            self.succeeded += 1
        self.retries += done.retries
        if done.usage.lm_calls:
            self.usage = self.usage + done.usage


class Drive:
    """One batch under way. ``on_settled`` is told of rows that are done for good, ``on_failed`` of each failure."""

    def __init__(
        self,
        plan: Plan,
        router: Router,
        options: RunOptions,
        sink: Sink,
        pace: Pace,
        *,
        batch_id: str,
        threads: Threads,
        trace: BatchTrace,
        book: BatchBook | None = None,
        is_program: bool = False,
        stops_at_error: bool = False,
        account: Account | None = None,
    ) -> None:
        self._plan = plan
        self._router = router
        self._clock = router.clock
        self._options = options
        self._sink = sink
        self._batch_id = batch_id
        self._threads = threads
        self.trace = trace
        self._book = book
        self._is_program = is_program
        self._stops_at_error = stops_at_error
        #: What all rows pay from; None: each from its own, if at all.
        self.account = account
        #: Whether rows were left because that is used up.
        self.is_out_of_budget = False
        self.pace = pace
        self.counts = Counts()
        #: The first failure of a row, with ``on_error="raise"``.
        self.first_error: LabError | None = None
        self.on_failed: Callable[[int, LabError], None] = lambda position, error: None
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = self._settled = 0
        #: When as many rows as may be were under way last.
        self._full_at = float("-inf")
        self._pending: list[ResultRow] = []
        self._has_pending = asyncio.Event()
        self._changed = asyncio.Event()
        self._is_stopping = self._is_ending = False
        self._fault: BaseException | None = None
        self._feed: Feed[PreparedRow | KnownRows] | None = None

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    def stop(self) -> None:
        """Begin no more rows, and give up those that are under way."""
        self._end_reading()
        for task in self._tasks:
            task.cancel()

    def _end_reading(self) -> None:
        self._is_stopping = True
        if self._feed is not None:
            self._feed.close()
        self._changed.set()

    async def run(self, rows: Iterator[PreparedRow | KnownRows]) -> None:
        """See every row through, or what was done until :meth:`stop`. Raises what reading the rows raised, and what
        writing the results did; a row's own failure only where the batch is to end with it."""
        feed = self._feed = Feed(rows)
        settling = asyncio.create_task(self._settle_all())
        settling.add_done_callback(lambda _: self._changed.set())
        try:
            await self._start_all(feed, settling)
            while self._tasks and not self._is_stopping and not settling.done():
                await self._change()
            if self._tasks:
                self.stop()
                await asyncio.wait(self._tasks, timeout=_CANCEL_GRACE_S)
        finally:
            feed.close()
            for task in self._tasks:
                task.cancel()
            self._is_ending = True
            self._has_pending.set()
            # What is done is written down even when the batch is being cancelled.
            await asyncio.shield(settling)
        if (error := self._fault or self.first_error) is not None:
            raise error

    async def _start_all(self, feed: Feed[PreparedRow | KnownRows], settling: asyncio.Task[None]) -> None:
        while not self._is_stopping and not settling.done():
            if not self._has_room():
                await self._change()
            elif (wait_s := self.pace.wait_s(self._clock.monotonic())) > 0:
                await self._pause(wait_s)
            else:
                try:
                    row = await feed.take()
                except StopAsyncIteration:
                    return
                except Exception as error:  # of the user's own iterator: the rows before it are seen through
                    self._fault = error
                    return
                if isinstance(row, KnownRows):
                    self._begun += len(row.rows)
                    self._pending += row.rows
                    self._has_pending.set()
                elif self.account is not None and self.account.is_used_up:
                    self.is_out_of_budget = True
                    return
                else:
                    self._begin(row)

    def _has_room(self) -> bool:
        places = self.pace.places
        unsettled = self._begun - self._settled + self._sink.waiting
        return len(self._tasks) < places and unsettled < max(_WINDOW, _WINDOW_PER_PLACE * places)

    async def _change(self) -> None:
        """Wait until something is over."""
        self._changed.clear()
        await self._changed.wait()

    async def _pause(self, wait_s: float) -> None:
        """Wait for so long, or until the batch stops."""
        sleep = asyncio.ensure_future(self._clock.sleep(wait_s))
        try:
            while not sleep.done() and not self._is_stopping:
                change = asyncio.ensure_future(self._change())
                await asyncio.wait({sleep, change}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
        finally:
            sleep.cancel()

    # --- one row --------------------------------------------------------------------------------------------------

    def _begin(self, row: PreparedRow) -> None:
        self._begun += 1
        if isinstance(row.inputs, LabError):
            self.trace.end(row.position, None, error=row.inputs)
            self._over(ResultRow(row.position, row.row, error=row.inputs, key=row.key))
        else:
            task = asyncio.create_task(self._row(row, row.inputs))
            self._tasks.add(task)
            if len(self._tasks) >= self.pace.places:
                self._full_at = self._clock.monotonic()
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault = error  # the house's own: a row never fails its task
            self._end_reading()

    async def _row(self, row: PreparedRow, inputs: Mapping[str, Any]) -> None:
        trace = self.trace.begin(row.position, inputs)
        began = self._clock.monotonic()
        try:
            done = await self._done(row, inputs, trace)
        except asyncio.CancelledError:
            self.trace.leave(trace)
            raise
        since = None if done.error is None else self._clock.now() - (self._clock.monotonic() - began)
        self.trace.end(row.position, trace, error=done.error, since=since)
        self._over(done)

    async def _done(self, row: PreparedRow, inputs: Mapping[str, Any], trace: RowTrace | None) -> ResultRow:
        """What becomes of the row, which may come again and again while there is no room for it."""
        place = None if trace is None else trace.context
        attempt = 0
        while True:
            watch = RowWatch(self._router.hub, self._refused, self._clock, trace)
            work = PlanRun(
                self._plan,
                self._router,
                RunSettings(self._batch_id, self._options, "batch", place),
                emit=watch.emit,
                clock=self._clock,
                threads=self._threads,
                around=self.account,
            )
            done = await self._tried(row, inputs, work)
            if watch.retries + attempt:
                done = replace(done, retries=watch.retries + attempt)
            is_refusal, wait_s = (False, None) if done.error is None else overload_of(done.error)
            if done.error is None or not is_refusal:
                self.pace = paced(self.pace, RowEnd(self._full_at >= watch.began, watch.has_queued))
                return done
            self._refused(Overload(self._clock.monotonic(), watch.began, wait_s))
            if attempt == _PATIENCE or not may_come_again(done.error):
                return done
            # It keeps its place, so that no other row comes into it while nobody is to come.
            backoff_s = min(_BACKOFF_S * 2**attempt, _MAX_BACKOFF_S)
            await self._clock.sleep(max(self.pace.wait_s(self._clock.monotonic()), backoff_s))
            attempt += 1

    async def _tried(self, row: PreparedRow, inputs: Mapping[str, Any], work: PlanRun) -> ResultRow:
        outputs: Mapping[str, Any] = {}
        error: LabError | None = None
        try:
            outputs = await within(self._clock, self._options.timeout_s, work.run(inputs), name=self._plan.name)
            error = next(iter(work.errors.values()), None)
        except Exception as raised:
            error = self._told(raised, work)
        leaf = self._plan.block.steps[0]
        if self._is_program and isinstance(leaf.step, Leaf) and leaf.name in work.records:
            # A program gives all of its step's outputs, a chain of thought's reasoning among them.
            outputs = work.records[leaf.name].to_dict()
        usage = sum((one.usage for one in work.metrics.values()), Usage())
        return ResultRow(row.position, row.row, outputs, error, row.key, usage=usage)

    def _told(self, raised: Exception, work: PlanRun) -> LabError:
        step = next((name for name, one in work.errors.items() if one is raised), None)
        first = as_lab_error(raised, step or self._plan.name)
        if self._is_program or overload_of(first)[0] or isinstance(first, Cancelled | DeadlineExceeded):
            return first
        return as_pipeline_error(first, step)

    def _refused(self, overload: Overload) -> None:
        self.pace = paced(self.pace, overload)

    # --- what is done ---------------------------------------------------------------------------------------------

    def _over(self, done: ResultRow) -> None:
        """The row has its end; it counts when it is durable."""
        self._pending.append(done)
        self._has_pending.set()
        if done.error is not None:
            self.on_failed(done.position, done.error)
            if self._stops_at_error and self.first_error is None:
                self.first_error = done.error
                self._end_reading()

    async def _settle_all(self) -> None:
        """Make durable what is done, as much at a time as there is; then give it out."""
        while True:
            await self._has_pending.wait()
            if not self._is_ending:
                self._has_pending.clear()
            rows, self._pending = self._pending, []
            if rows:
                await self._settle(rows)
            elif self._is_ending:
                return

    async def _settle(self, rows: list[ResultRow]) -> None:
        if self._book is not None:
            await self._book.write(rows)
        if self._sink.is_file:
            await self._threads.run(lambda: self._sink.put(rows))
        else:
            self._sink.put(rows)
        self._settled += len(rows)
        for one in rows:
            self.counts.add(one)
        self._changed.set()
