"""The caller's side of the protocol: calls under way, their chunks, their credit and their end.

Notebooks and workers (for calls that an operation makes) share it. No socket: messages go out through ``send`` and
come in through :meth:`Caller.receive`. Everything here lives on one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from dspex_lab.calls import Call, Chunk, Needs, Result, Usage, new_id
from dspex_lab.errors import Cancelled, DeadlineExceeded, LabError, ValidationError, error_from_dict
from dspex_lab.wire.codec import decode, encode
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import (
    Cancel,
    ChunkOut,
    Credit,
    Demands,
    Done,
    Failed,
    Message,
    Notice,
    Reply,
    Request,
    Segment,
    Submit,
)
from dspex_lab.wire.segments import Segments

__all__ = ["Caller", "RemoteCall"]

#: The host enforces deadlines, and tells when a call has stopped; a caller waits this much longer before it takes the
#: host for stuck.
_DEADLINE_GRACE_S = 2.0

#: What a text with characters that have no form as bytes raises, and a number that is too large.
_NO_BYTES = (ValueError, TypeError, OverflowError)

Send = Callable[[Message, Frames], None]


class RemoteCall:
    """A call under way on the other side; a ``PendingCall`` and a ``NestedCall``."""

    def __init__(self, call: Call, caller: Caller) -> None:
        self.call = call
        self._caller = caller
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[Chunk] = deque()
        self._outcome: Result | LabError | None = None
        #: Who waits for a chunk or for the end, and who wants to hear of the end.
        self._waiters: list[asyncio.Future[None]] = []
        self._listeners: list[Callable[[], object]] = []
        self._is_discarding = not call.stream
        self._made_at = self._loop.time()
        #: What of the arguments lies in shared memory; it goes with the call.
        self.segments: tuple[Segment, ...] = ()
        self._is_cancelled = False
        self._timer: asyncio.TimerHandle | None = None
        if call.timeout_s is not None:
            self._set_timer(call.timeout_s + _DEADLINE_GRACE_S, self._expire)

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        unreturned = 0
        threshold = max(1, self.call.credit // 2)
        try:
            while True:
                while self._chunks:
                    yield self._chunks.popleft()
                    unreturned += 1
                    if unreturned >= threshold and not self.has_ended:
                        self._caller.send(Credit(self.call.id, unreturned), ())
                        unreturned = 0
                if self.has_ended:
                    return
                await self._news()
        finally:
            # A reader that left would leave the producer waiting for credit; one that waits for the end is still there.
            if not self._is_discarding:
                self.cancel()

    async def result(self) -> Result:
        self._discard()
        try:
            while (outcome := self._outcome) is None:
                await self._news()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if isinstance(outcome, LabError):
            raise outcome
        return outcome

    async def _news(self) -> None:
        """Wait for a chunk, or for the end."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._waiters:  # whoever looks again and again, for a moment each time, must not pile up
                self._waiters.remove(waiter)
            raise

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def cancel(self) -> None:
        if self.has_ended:
            return
        if self._caller.has(self.call.id):
            self._caller.send(Cancel(self.call.id), ())
            if not self._is_cancelled:
                self._is_cancelled = True
                self._set_timer(_DEADLINE_GRACE_S, self._leave)
        else:  # it never left: the connection is still being made
            self.finish(Cancelled(f"{self.call.op} was cancelled."))

    def time_left_s(self) -> float | None:
        """What is left of the call's time, in milliseconds' precision; None when there is no limit."""
        if self.call.timeout_s is None:
            return None
        return max(0.0, round(self.call.timeout_s - (self._loop.time() - self._made_at), 3))

    @property
    def has_ended(self) -> bool:
        return self._outcome is not None

    def on_end(self, listener: Callable[[], object]) -> None:
        """Call ``listener()`` soon after the call's end."""
        if self.has_ended:
            self._loop.call_soon(listener)
        else:
            self._listeners.append(listener)

    def _discard(self) -> None:
        """From now on chunks are dropped as they come; the producer goes on at its own pace."""
        if not self._is_discarding:
            self._is_discarding = True
            self._give_back(len(self._chunks))
            self._chunks.clear()

    def _give_back(self, count: int) -> None:
        if count and not self.has_ended:
            self._caller.send(Credit(self.call.id, count), ())

    def add_chunk(self, chunk: Chunk) -> None:
        if self._is_discarding:
            self._give_back(1)
            return
        self._chunks.append(chunk)
        self._wake()

    def finish(self, result: Result | LabError) -> None:
        """End the call, once; what comes later is dropped."""
        if self._timer is not None:
            self._timer.cancel()
        self._caller.segments.remove(self.segments)
        if self.has_ended:
            return
        self._outcome = result
        self._caller.count(result)
        for listener in self._listeners:
            self._loop.call_soon(listener)
        self._wake()

    def _set_timer(self, delay_s: float, end: Callable[[], None]) -> None:
        """Have ``end`` called unless the call ends before, or the timer is set anew."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, end)

    def _leave(self) -> None:
        """It was cancelled, and nobody says that it has stopped: who waits need not."""
        self._caller.forget(self.call.id)
        self.finish(Cancelled(f"{self.call.op} was cancelled.", hint="The host does not answer; see %lab status."))

    def _expire(self) -> None:
        self._caller.forget(self.call.id)
        self.finish(
            DeadlineExceeded(
                f"{self.call.op} was not answered within {self.call.timeout_s:g} s.",
                hint="The host does not answer; %lab status says whether it lives.",
            )
        )

    def __repr__(self) -> str:
        state = "ended" if self.has_ended else "under way"
        return f"<RemoteCall {self.call.op} [{state}, chunks waiting: {len(self._chunks)}]>"


def _send_request(send: Send, request: Request) -> None:
    try:
        send(request, ())
    except _NO_BYTES as error:
        raise ValidationError(f"{request.method!a} cannot be asked: {error}.") from error


def _demands(needs: Needs | None) -> Demands | None:
    return None if needs is None else Demands(needs.gpu, needs.memory_mb, needs.labels)


class Caller:
    """Every call and request under way through one connection. ``segments`` is its way to shared memory."""

    def __init__(self, send: Send, segments: Segments | None = None) -> None:
        self.send = send
        self.segments = segments or Segments()
        self._calls: dict[str, RemoteCall] = {}
        self._requests: dict[str, asyncio.Future[Any]] = {}
        self.succeeded = self.failed = 0

    def count(self, outcome: Result | LabError) -> None:
        """A call ended."""
        if isinstance(outcome, LabError):
            self.failed += 1
        else:
            self.succeeded += 1

    @property
    def in_flight(self) -> int:
        return len(self._calls)

    def has(self, call_id: str) -> bool:
        return call_id in self._calls

    def submit(self, call: Call) -> RemoteCall:
        """Send ``call``; what cannot be encoded ends the call at once with its error."""
        pending = RemoteCall(call, self)
        self.submit_pending(pending)
        return pending

    def submit_pending(self, pending: RemoteCall) -> None:
        """Send a call whose handle was given out before; does nothing when it has ended meanwhile."""
        call = pending.call
        if pending.has_ended:
            return
        try:
            payload, pending.segments = self.segments.place(encode(call.args), is_kept=call.idempotent)
        except LabError as error:
            pending.finish(error)
            return
        self._calls[call.id] = pending
        trace = call.trace
        message = Submit(
            id=call.id,
            op=call.op,
            pool=call.pool,
            timeout_s=pending.time_left_s(),
            trace_id=trace.trace_id if trace else None,
            span_id=trace.span_id if trace else None,
            session=call.session,
            stream=call.stream,
            credit=call.credit,
            idempotent=call.idempotent,
            segments=pending.segments,
            priority=0 if call.priority == "interactive" else 1,
            needs=_demands(call.needs),
            detached=call.detached,
            light=call.light,
            parent=call.parent,
        )
        try:
            self.send(message, payload)
        except _NO_BYTES as error:
            self._calls.pop(call.id, None)
            pending.finish(ValidationError(f"The call {call.op!a} cannot be sent: {error}."))

    async def request(self, method: str, params: dict[str, Any], *, timeout_s: float) -> Any:
        """Ask the host itself; ``DeadlineExceeded`` when it does not answer in time."""
        request = Request(new_id(), method, params)
        future = asyncio.get_running_loop().create_future()
        self._requests[request.id] = future
        try:
            _send_request(self.send, request)
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as error:
            raise DeadlineExceeded(f"The host did not answer {method!r} within {timeout_s:g} s.") from error
        finally:
            self._requests.pop(request.id, None)

    def receive(self, message: Message, payload: Frames) -> bool:
        """Take in what the host said; False when the message is not for a caller."""
        match message:
            case ChunkOut():
                if call := self._calls.get(message.id):
                    call.add_chunk(Chunk(message.id, message.seq, message.text, message.field, message.sent_at))
            case Done():
                self._finish(message, payload)
            case Failed():
                if call := self._calls.pop(message.id, None):
                    call.finish(error_from_dict(message.error))
            case Reply():
                self._answer(message)
            case Notice():
                pass
            case _:
                return False
        return True

    def _finish(self, message: Done, payload: Frames) -> None:
        call = self._calls.pop(message.id, None)
        if call is None:
            self.segments.remove(message.segments)
            return
        try:
            value = decode(self.segments.restore(payload, message.segments))
        except LabError as error:
            call.finish(error)
            return
        usage = Usage(message.input_tokens, message.output_tokens, message.cost, message.lm_calls)
        call.finish(Result(message.id, value, usage, message.worker, message.queue_s, message.run_s))

    def _answer(self, message: Reply) -> None:
        future = self._requests.get(message.id)
        if future is None or future.done():
            return
        if message.error is not None:
            future.set_exception(error_from_dict(message.error))
        else:
            future.set_result(message.value)

    def forget(self, call_id: str) -> None:
        """Stop a call that nobody waits for any more."""
        if self._calls.pop(call_id, None) is not None:
            self.send(Cancel(call_id), ())

    def fail_all(self, error: LabError) -> None:
        """The connection is gone: end every call and request with ``error``. What a detached call was given is not
        taken away: the host has it, or sweeps it."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if call.call.detached:
                call.segments = ()
            call.finish(error)
        for future in self._requests.values():
            if not future.done():
                future.set_exception(error)

    def give_up(self, error: LabError) -> None:
        """End every call and request with ``error``, here and, but for detached ones, on the other side."""
        for call_id, pending in list(self._calls.items()):
            if not pending.call.detached:
                self.send(Cancel(call_id), ())
        self.fail_all(error)

    def close(self) -> None:
        """Give every call up."""
        self.give_up(Cancelled("The connection was closed while the call was under way."))

    def __repr__(self) -> str:
        return f"<Caller [calls: {len(self._calls)}, requests: {len(self._requests)}]>"
