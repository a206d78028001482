"""A scripted backend: handlers by operation, in this process. Passes ``tests/contracts/test_backend.py``.

``FakeBackend({"dspy.run": handler})``; a handler is ``async def handler(call: FakeCall) -> value`` or a plain
function, and may raise. Time is the injected clock's; nothing here sleeps by itself.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from dspex_lab.backends.base import BackendStatistics, PendingCall
from dspex_lab.calls import Call, Chunk, Result, Usage
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import Cancelled, DeadlineExceeded, HostUnavailable, LabError, ProtocolError, PythonError
from dspex_lab.telemetry import Event, Span

__all__ = ["FakeBackend", "FakeCall", "Handler"]


class _ChunkBuffer:
    """Chunks between a handler and its one reader, at most ``credit`` of them."""

    def __init__(self, credit: int) -> None:
        self._credit = credit
        self._chunks: deque[Chunk] = deque()
        self._is_read = True
        self._is_over = False
        self._changed = asyncio.Event()

    async def put(self, chunk: Chunk) -> None:
        """Add ``chunk`` once there is room; drop it when nobody reads."""
        while self._is_read and len(self._chunks) >= self._credit:
            await self._changed.wait()
        if self._is_read:
            self._chunks.append(chunk)
            self._notify()

    async def take(self) -> Chunk | None:
        """The next chunk, or None at the end."""
        while not self._chunks and not self._is_over:
            await self._changed.wait()
        if not self._chunks:
            return None
        chunk = self._chunks.popleft()
        self._notify()
        return chunk

    def stop_reading(self) -> None:
        self._is_read = False
        self._chunks.clear()
        self._notify()

    def end(self) -> None:
        self._is_over = True
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class FakeCall:
    """What a handler is given: the call, a way to stream, and the clock to wait on."""

    def __init__(self, call: Call, clock: Clock, buffer: _ChunkBuffer) -> None:
        self.call = call
        self.clock = clock
        self.usage = Usage()
        self._buffer = buffer
        self._seq = 0

    async def emit(self, text: str, field: str = "") -> None:
        """Send a chunk; waits while as many as the call's credit are unread. Nothing when the call does not stream."""
        if not self.call.stream:
            return
        chunk = Chunk(self.call.id, self._seq, text, field, self.clock.now())
        self._seq += 1
        await self._buffer.put(chunk)

    def add_usage(self, usage: Usage) -> None:
        """Count what the handler pretends that a model used."""
        self.usage = self.usage + usage


Handler = Callable[[FakeCall], Any]


class _Pending:
    """One call under way."""

    def __init__(self, backend: FakeBackend, call: Call) -> None:
        self._call = call
        self._clock = backend.clock
        self._buffer = _ChunkBuffer(call.credit)
        self._fake = FakeCall(call, backend.clock, self._buffer)
        self.task = asyncio.ensure_future(self._run(backend))
        self.task.add_done_callback(self._over)

    @property
    def call(self) -> Call:
        return self._call

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        try:
            while (chunk := await self._buffer.take()) is not None:
                yield chunk
        finally:
            self._buffer.stop_reading()

    async def result(self) -> Result:
        self._buffer.stop_reading()
        try:
            await asyncio.wait({self.task})
        except asyncio.CancelledError:
            self.cancel()
            raise
        if self.task.cancelled():
            raise Cancelled(f"The call {self._call.op} was cancelled.")
        return self.task.result()

    def cancel(self) -> None:
        self.task.cancel()

    async def _run(self, backend: FakeBackend) -> Result:
        started = self._clock.monotonic()
        try:
            value = await _limited(backend.find_handler(self._call.op), self._fake)
        except LabError:
            raise
        except Exception as error:
            raise PythonError(str(error), error_type=type(error).__name__) from error
        took_s = self._clock.monotonic() - started
        return Result(self._call.id, value, self._fake.usage, worker="fake-1", run_s=took_s)

    def _over(self, task: asyncio.Task[Result]) -> None:
        if not task.cancelled():
            task.exception()  # asked for, so that asyncio does not report an error that nobody waits for
        self._buffer.end()


class FakeBackend:
    """Answers calls with scripted handlers. ``calls`` holds every call that was submitted."""

    def __init__(
        self,
        handlers: Mapping[str, Handler] | None = None,
        *,
        clock: Clock | None = None,
        replies: Mapping[str, Any] | None = None,
        name: str = "fake",
    ) -> None:
        self.handlers: dict[str, Handler] = dict(handlers or {})
        self.clock: Clock = clock or SystemClock()
        self.calls: list[Call] = []
        self._replies = dict(replies or {})
        self._name = name
        #: What was told, and whether anybody hears it.
        self.told: tuple[list[Span], list[Event]] = ([], [])
        self.hears = False
        self._is_open = True
        self._in_flight: set[asyncio.Task[Result]] = set()
        self._succeeded = self._failed = 0

    @property
    def name(self) -> str:
        return self._name

    async def open(self) -> None:
        self._is_open = True

    def submit(self, call: Call) -> PendingCall:
        self.calls.append(call)
        pending = _Pending(self, call)
        self._in_flight.add(pending.task)
        pending.task.add_done_callback(self._note)
        return pending

    async def request(self, method: str, **params: Any) -> Any:
        if method not in self._replies:
            raise ProtocolError(f"The host knows no request {method!r}.")
        reply = self._replies[method]
        return reply(**params) if callable(reply) else reply

    def tell(self, spans: Sequence[Span], events: Sequence[Event], /) -> bool:
        if self.hears:
            self.told[0].extend(spans)
            self.told[1].extend(events)
        return self.hears

    def statistics(self) -> BackendStatistics:
        return BackendStatistics(
            self._name, self._is_open, len(self.calls), self._succeeded, self._failed, len(self._in_flight)
        )

    async def aclose(self) -> None:
        self._is_open = False
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)

    def find_handler(self, op: str) -> Handler:
        """The operation's handler; ``HostUnavailable`` when closed, ``ProtocolError`` when there is none."""
        if not self._is_open:
            raise HostUnavailable("The backend is closed.")
        if op not in self.handlers:
            raise ProtocolError(f"There is no operation {op!r}.")
        return self.handlers[op]

    def _note(self, task: asyncio.Task[Result]) -> None:
        self._in_flight.discard(task)
        if task.cancelled() or task.exception() is not None:
            self._failed += 1
        else:
            self._succeeded += 1

    def __repr__(self) -> str:
        return f"<FakeBackend [calls: {len(self.calls)}, in flight: {len(self._in_flight)}]>"


async def _limited(handler: Handler, fake: FakeCall) -> Any:
    """The handler's value, or ``DeadlineExceeded`` when the call's time is up before."""
    work = asyncio.ensure_future(_called(handler, fake))
    tasks = {work}
    if fake.call.timeout_s is not None:
        tasks.add(asyncio.ensure_future(fake.clock.sleep(fake.call.timeout_s)))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise DeadlineExceeded(f"The call {fake.call.op} took longer than {fake.call.timeout_s:g} s.")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _called(handler: Handler, fake: FakeCall) -> Any:
    value = handler(fake)
    return await value if inspect.isawaitable(value) else value
