"""One batch, seen from any thread: its figures, its end, what there is so far.

The work goes on on the portal's loop; everything public here may be called from anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from dspex_lab.clock import Clock
from dspex_lab.errors import Cancelled, DeadlineExceeded, HostUnavailable, LabError, PipelineError
from dspex_lab.pipelines.batch.book import BatchBook
from dspex_lab.pipelines.batch.drive import Drive, KnownRows, PreparedRow
from dspex_lab.pipelines.batch.progress import Progress
from dspex_lab.pipelines.batch.sinks import Sink
from dspex_lab.pipelines.batch.statistics import TRANSITIONS, BatchState, BatchStatistics
from dspex_lab.portal import Portal
from dspex_lab.router import AccountStatistics
from dspex_lab.telemetry import attributes as names

__all__ = ["Batch"]

#: How often the bar moves while one waits.
_SHOW_S = 0.2
#: How long a stopped batch may take to write down what is done.
_STOP_S = 30.0
#: Errors of rows that are kept as they are; all are in the result's column.
_MAX_ERRORS = 1_000


class Batch:
    """A pipeline under way over many rows. ``batch.result()`` or ``await batch`` waits for its end, and gives a
    DataFrame, or the path that the results were written to; an interrupt stops it and gives what there is.
    """

    def __init__(
        self,
        name: str,
        batch_id: str,
        drive: Drive,
        sink: Sink,
        clock: Clock,
        *,
        total: int | None = None,
        book: BatchBook | None = None,
        shows_progress: bool = True,
    ) -> None:
        self.name = name
        self.id = batch_id
        self._drive = drive
        self._sink = sink
        self._clock = clock
        self._total = total
        self._book = book
        self._progress = Progress(name, is_shown=shows_progress)
        self._state = BatchState.RUNNING
        self._done: Future[Any] = Future()
        # From here on nobody can cancel the future itself: the batch's end comes from the loop only.
        self._done.set_running_or_notify_cancel()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: BatchState | None = None
        self._errors: dict[int, LabError] = {}
        self._started = clock.monotonic()
        self._ended: float | None = None
        drive.on_failed = self._keep_error
        if book is not None:
            book.on_trouble = self._progress.say

    def start_on(self, portal: Portal, rows: Iterator[PreparedRow | KnownRows]) -> Batch:
        """Begin on the portal's loop; called once, by the launcher."""
        try:
            portal.start(self._main, rows)
        except RuntimeError as error:
            raise HostUnavailable("The lab is closed.", hint="Open it again, or restart the kernel.") from error
        except BaseException:  # an interrupt: nobody would have the batch in hand
            self.cancel()
            raise
        return self

    # --- what users ask -------------------------------------------------------------------------------------------

    @property
    def state(self) -> BatchState:
        return self._state

    @property
    def is_over(self) -> bool:
        return self._state.is_over

    @property
    def errors(self) -> dict[int, LabError]:
        """The errors of rows as they are, by the row's place from 0; of very many, the first thousand."""
        return dict(self._errors)

    @property
    def account(self) -> AccountStatistics | None:
        """What the rows have used of the batch's budget so far; None when it has none."""
        return None if self._drive.account is None else self._drive.account.statistics()

    def result(self, timeout_s: float | None = None) -> Any:
        """Wait for the end, and give the DataFrame of all rows, or the path that they were written to.

        Raises ``Cancelled`` after a cancel, the first row's error with ``on_error="raise"``, and ``DeadlineExceeded``
        when it has not ended in time (it goes on then). An interrupt stops the batch; what there is is given.
        """
        self._refuse_own_loop()
        deadline = None if timeout_s is None else self._clock.monotonic() + timeout_s
        try:
            self._watch(deadline)
        except KeyboardInterrupt:
            self.stop()
            self._done.exception(_STOP_S)
        if self._state is BatchState.STOPPED:
            why = "its budget is used up" if self._drive.is_out_of_budget else "stopped"
            self._progress.say(f"{why.capitalize()}: {self.statistics()}. Go on with {self._way_on()}.")
        return self._done.result(0)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait().__await__()

    def stop(self) -> bool:
        """Begin no more rows and give up those under way; the result is what is done by then. From any thread; False
        when it was over."""
        return self._ask(BatchState.STOPPED)

    def cancel(self) -> bool:
        """The same, but the result is ``Cancelled``; :meth:`so_far` still has what is done."""
        return self._ask(BatchState.CANCELLED)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end, but not longer; whether it is over. Raises nothing."""
        with contextlib.suppress(FutureTimeoutError):
            self._done.exception(timeout_s)
        return self._state.is_over

    def so_far(self) -> Any:
        """What is done by now: a DataFrame of those rows, or the path of the file that they are written to."""
        return self._sink.result()

    def statistics(self) -> BatchStatistics:
        now = self._clock.monotonic()
        counts, pace = self._drive.counts, self._drive.pace
        return BatchStatistics(
            state=self._state,
            total=self._total,
            succeeded=counts.succeeded,
            failed=counts.failed,
            reused=counts.reused,
            under_way=self._drive.under_way,
            limit=pace.places,
            held_s=0.0 if self._state.is_over else pace.wait_s(now),
            retries=counts.retries,
            elapsed_s=(now if self._ended is None else self._ended) - self._started,
            usage=counts.usage,
        )

    def __repr__(self) -> str:
        return f"<Batch {self.name} {self.id[:8]} [{self._state}, {self.statistics()}]>"

    # --- waiting --------------------------------------------------------------------------------------------------

    def _watch(self, deadline: float | None) -> None:
        """Wait for the end, with a bar that moves."""
        try:
            while not self._done.done():
                left_s = None if deadline is None else deadline - self._clock.monotonic()
                if left_s is not None and left_s <= 0:
                    raise DeadlineExceeded(
                        "The batch has not ended in that time.", hint="It goes on; stop it with batch.stop()."
                    )
                try:
                    self._done.exception(_SHOW_S if left_s is None else min(left_s, _SHOW_S))
                except FutureTimeoutError:
                    self._progress.show(self.statistics())
        finally:
            self._progress.close(self.statistics())

    def _refuse_own_loop(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if loop is self._loop:
            raise RuntimeError("This is the lab's own event loop: use `await batch` here.")

    async def _wait(self) -> Any:
        try:
            return await asyncio.wrap_future(self._done)
        except asyncio.CancelledError:
            self.cancel()
            raise

    def _way_on(self) -> str:
        if self._book is None:
            return f"{self.name}.map(rows) from the beginning"
        budget = ", budget=..." if self._drive.is_out_of_budget else ""
        return f'{self.name}.map(rows, resume="{self.id[:8]}"{budget})'

    def _ask(self, state: BatchState) -> bool:
        with self._lock:
            if self._state.is_over:
                return False
            self._asked = self._asked or state
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._drive.stop)
        return True

    # --- what goes on on the loop ---------------------------------------------------------------------------------

    async def _main(self, rows: Iterator[PreparedRow | KnownRows]) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._asked is not None:
                self._drive.stop()
        error: BaseException | None = None
        try:
            await self._drive.run(rows)
        except BaseException as raised:
            error = raised
        await self._end(error)
        if isinstance(error, asyncio.CancelledError):
            raise error

    async def _end(self, error: BaseException | None) -> None:
        """Write down how it ended, close the sink, and give the result to who waits, whatever happens."""
        try:
            await asyncio.to_thread(self._sink.close)
        except Exception as raised:
            error = error or raised
        state = self._end_state(error)
        if self._book is not None:
            await self._book.end(state)
        self._ended = self._clock.monotonic()
        self._tell(state, error)
        with self._lock:
            if state not in TRANSITIONS[self._state]:
                raise RuntimeError(f"A batch that is {self._state} cannot become {state}.")
            self._state = state
        if state is BatchState.FAILED and error is not None:
            self._done.set_exception(self._told(error))
        elif state is BatchState.CANCELLED:
            self._done.set_exception(Cancelled(f"The batch of {self.name} was cancelled."))
        else:
            self._give_result()

    def _tell(self, state: BatchState, error: BaseException | None) -> None:
        """Leave the batch's span, above those of its rows."""
        counts, usage = self._drive.counts, self._drive.counts.usage
        attributes: dict[str, Any] = {
            names.ROWS_FAILED: counts.failed or None,
            names.RETRIES: counts.retries or None,
            names.INPUT_TOKENS: usage.input_tokens if usage.lm_calls else None,
            names.OUTPUT_TOKENS: usage.output_tokens if usage.lm_calls else None,
            names.COST_USD: usage.cost if usage.lm_calls else None,
        }
        if state is BatchState.FAILED and error is not None:
            attributes[names.ERROR_TYPE] = type(error).__name__
            self._drive.trace.finish("error", attributes, str(getattr(error, "message", error)))
        else:
            is_whole = state is BatchState.FINISHED
            self._drive.trace.finish("ok" if is_whole else "cancelled", attributes)

    def _end_state(self, error: BaseException | None) -> BatchState:
        if self._asked is not None:
            return self._asked
        if isinstance(error, asyncio.CancelledError | Cancelled):
            return BatchState.CANCELLED
        if error is None and self._drive.is_out_of_budget:
            return BatchState.STOPPED
        return BatchState.FINISHED if error is None else BatchState.FAILED

    def _give_result(self) -> None:
        try:
            self._done.set_result(self._sink.result())
        except Exception as raised:
            self._done.set_exception(self._told(raised))

    def _told(self, error: BaseException) -> BaseException:
        if isinstance(error, LabError):
            return error
        told = PipelineError(
            f"The batch ended with an error of its rows: {type(error).__name__}: {error}.",
            hint=f"{self._drive.counts.succeeded:,} rows are done; go on with {self._way_on()}.",
        )
        told.__cause__ = error
        return told

    def _keep_error(self, position: int, error: LabError) -> None:
        if len(self._errors) < _MAX_ERRORS:
            self._errors[position] = error
