"""Runs operations: on the services loop, as tasks on the main loop, or plainly on the main thread.

Every execution ends exactly once, with a value or a ``LabError``; foreign exceptions are mapped here and nowhere
else. The dispatcher knows neither sockets nor kernels: answers leave through ``send``.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import threading
import time
import weakref
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Future
from typing import Any

import msgspec

from dspex_lab.calls import Call, TraceContext
from dspex_lab.errors import Cancelled, ProtocolError
from dspex_lab.telemetry import Tracer, use_trace
from dspex_lab.wire.codec import decode, encode
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Cancel, ChunkOut, Credit, Done, Failed, Message, Run, Started
from dspex_lab.wire.segments import Segments
from dspex_lab.worker.context import NestedCall, OpContext, current_context
from dspex_lab.worker.failures import error_data, to_lab_error
from dspex_lab.worker.guards import Guards
from dspex_lab.worker.interrupts import Interrupts
from dspex_lab.worker.leftovers import has_leftovers
from dspex_lab.worker.ops.base import Operation, find_operation

__all__ = ["MAX_CHUNK_CHARS", "Dispatcher", "Execution"]

Send = Callable[[Message, Frames], None]

#: The longest text of one chunk.
MAX_CHUNK_CHARS = 64 * 1024
_INTERRUPT_AGAIN_S = 0.01
#: So long after its end a cancelled call's threads have heard of it, if they ever do.
_LEFTOVERS_AFTER_S = 1.0


class Execution:
    """One call that this worker runs. Lives on the services loop, but for ``_task`` on the main loop."""

    def __init__(self, run: Run, dispatcher: Dispatcher) -> None:
        self.run = run
        self._dispatcher = dispatcher
        self._credit = run.credit
        self._credit_came = asyncio.Event()
        self._is_over = False
        self._sequence = 0
        self._cancel: Callable[[], object] = _nothing
        self._nested: weakref.WeakSet[NestedCall] | None = None
        self.is_cancelled = False
        #: Kept alive by this alone, for as long as the dispatcher knows the execution.
        self.task: asyncio.Task[None] | None = None
        self.context = OpContext(
            call_id=run.id,
            op=run.op,
            is_streaming=run.stream,
            emit=self.emit,
            submit=self.submit,
            services=dispatcher.services,
            trace=TraceContext(run.trace_id, run.span_id) if run.trace_id and run.span_id else None,
            deadline=None if run.timeout_s is None else time.time() + run.timeout_s,
            session_state=None if run.session is None else dispatcher.session_state(run.session),
            guards=dispatcher.guards,
            tracer=dispatcher.tracer,
        )

    def arguments(self, payload: Frames) -> dict[str, Any]:
        """What ``payload`` holds. Once: large frames are read by it."""
        arguments = decode(self._dispatcher.segments.restore(payload, self.run.segments), allow_code=True)
        if not isinstance(arguments, dict):
            raise ProtocolError("The arguments of a call are a mapping.")
        return arguments

    async def emit(self, field: str, text: str) -> None:
        """Send ``text`` as a chunk as soon as the reader has room for it; a long one as several, for the room is
        counted in chunks. Nobody reads a call that was cancelled: what waits then, or comes later, is cancelled too,
        which ends plain functions that no signal reaches."""
        if not self.run.stream or not text:
            return
        for start in range(0, len(text), MAX_CHUNK_CHARS):
            while self._credit <= 0 and not self._is_over:
                self._credit_came.clear()
                await self._credit_came.wait()
            if self._is_over:
                raise asyncio.CancelledError
            self._credit -= 1
            piece = text[start : start + MAX_CHUNK_CHARS]
            self._dispatcher.send(ChunkOut(self.run.id, self._sequence, piece, field, time.time()), ())
            self._sequence += 1

    def submit(self, call: Call) -> NestedCall:
        """A call of the operation's own. It ends with the operation, and none begins after that: threads that a
        cancelled function left behind get no further. Raises ``Cancelled``."""
        if self._is_over:
            raise Cancelled(f"{self.run.op} has ended, and makes no calls any more.")
        nested = self._dispatcher.submit(dataclasses.replace(call, parent=self.run.id))
        if self._nested is None:
            self._nested = weakref.WeakSet()
        self._nested.add(nested)
        return nested

    def add_credit(self, count: int) -> None:
        self._credit += count
        self._credit_came.set()

    def end(self) -> None:
        """Nothing more is sent; whoever waits for credit waits no longer, nor for a call that this one made."""
        self._is_over = True
        self._credit_came.set()
        for nested in list(self._nested or ()):
            nested.cancel()

    def fail(self, outcome: Future[Any], error: BaseException) -> None:
        """Whatever a call raises after it was cancelled comes of that."""
        if self.is_cancelled:
            outcome.cancel()
        else:
            outcome.set_exception(to_lab_error(error))

    def set_cancel(self, cancel: Callable[[], object]) -> None:
        """``cancel()`` stops the operation; a cancel that came before takes effect now."""
        self._cancel = cancel
        if self.is_cancelled:
            cancel()

    def cancel(self) -> None:
        self.is_cancelled = True
        self.end()
        self._cancel()


class Dispatcher:
    """Turns ``Run``, ``Cancel`` and ``Credit`` into executions; call it on the services loop. ``segments`` is its way
    to shared memory."""

    def __init__(
        self,
        main: asyncio.AbstractEventLoop,
        send: Send,
        submit: Callable[[Call], NestedCall],
        segments: Segments | None = None,
        *,
        guards: Guards | None = None,
        tracer: Tracer | None = None,
        interrupts: Interrupts | None = None,
    ) -> None:
        self.main = main
        self.interrupts = interrupts or Interrupts()
        self.tracer = tracer or Tracer()
        self.guards = guards
        self.services = asyncio.get_running_loop()
        self.send = send
        self.submit = submit
        self.segments = segments or Segments()
        self._executions: dict[str, Execution] = {}
        self._session_states: dict[str, dict[str, Any]] = {}
        #: Cancelled calls left threads behind that go on: the worker is to be replaced.
        self.is_worn = False

    def session_state(self, session: str) -> dict[str, Any]:
        """What the calls of ``session`` share here; empty at first."""
        return self._session_states.setdefault(session, {})

    def forget_session(self, session: str) -> None:
        """The session ended; its state goes with the last of its calls."""
        self._session_states.pop(session, None)

    def look_for_leftovers(self, before: Collection[threading.Thread]) -> None:
        """Soon, look whether a cancelled call left threads behind; those ``before`` are not its own."""

        def look() -> None:
            self.is_worn = self.is_worn or has_leftovers(before)

        self.services.call_later(_LEFTOVERS_AFTER_S, look)

    @property
    def in_flight(self) -> int:
        return len(self._executions)

    def receive(self, message: Message, payload: Frames) -> None:
        match message:
            case Run():
                self._start(message, payload)
            case Cancel():
                if execution := self._executions.get(message.id):
                    execution.cancel()
            case Credit():
                if execution := self._executions.get(message.id):
                    execution.add_credit(message.count)
            case _:
                raise ProtocolError(f"A worker has no use for a {type(message).__name__}.")

    def _start(self, run: Run, payload: Frames) -> None:
        execution = self._executions[run.id] = Execution(run, self)
        execution.task = self.services.create_task(self._execute(execution, payload))

    async def _execute(self, execution: Execution, payload: Frames) -> None:
        run = execution.run
        started = time.monotonic()
        answer: tuple[Message, Frames]
        try:
            trace = execution.context.trace
            with contextlib.nullcontext() if trace is None else use_trace(trace):
                value = await self._value(execution, payload)
            usage = execution.context.usage
            done = Done(
                run.id,
                run_s=time.monotonic() - started,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cost=usage.cost,
                lm_calls=usage.lm_calls,
            )
            answer = self._placed(done, value)
        except asyncio.CancelledError:
            answer = Failed(run.id, Cancelled(f"{run.op} was cancelled.").to_dict()), ()
        except BaseException as error:  # the one edge where whatever an operation raises is mapped
            answer = Failed(run.id, error_data(error)), ()
        self._executions.pop(run.id, None)
        execution.end()
        # What stops it knows its value, and it knows what stops it: a large value would wait for the collector.
        execution.set_cancel(_nothing)
        try:
            self.send(*answer)
        except Exception as error:  # what an operation said of its usage, or of its error, has no form as bytes
            self.send(Failed(run.id, error_data(error)), ())

    def _placed(self, done: Done, value: Any) -> tuple[Message, Frames]:
        payload, segments = self.segments.place(encode(value))
        return msgspec.structs.replace(done, segments=segments) if segments else done, payload

    async def _value(self, execution: Execution, payload: Frames) -> Any:
        # Tasks and callbacks copy the context in which they are made, on whichever loop they run.
        current_context.set(execution.context)
        if self.guards is not None and (refusal := self.guards.refusal()):
            raise refusal
        operation = find_operation(execution.run.op)
        if operation.runs_on == "services":
            # Nothing is told at the start: without a word the host takes a call for one that a message stops.
            if execution.task is not None:
                execution.set_cancel(execution.task.cancel)
            return await operation.function(execution.context, **execution.arguments(payload))
        return await _MainLoopWork(self, operation, execution, payload).end()


class _MainLoopWork:
    """One operation on the main thread; a coroutine that comes of it goes on as a task there.

    A plain function is interrupted by a signal: the worker's own, and the kernel manager's, for which only who has
    begun asks. What a message stops needs no word. A task
    that is cancelled ends the call when it ends, and not when it is asked to: one that will not stop is the host's to
    end, together with its worker.
    """

    def __init__(self, dispatcher: Dispatcher, operation: Operation, execution: Execution, payload: Frames) -> None:
        self._dispatcher = dispatcher
        self._operation = operation
        self._execution = execution
        self._payload = payload
        self._end: asyncio.Future[Any] = dispatcher.services.create_future()
        self._has_begun = False
        self._task: asyncio.Task[Any] | None = None
        self._threads_before: list[threading.Thread] = []

    async def end(self) -> Any:
        """Begin, and wait for the value. On the services loop, as :meth:`_cancel`; all else is on the main one."""
        self._execution.set_cancel(self._cancel)
        self._dispatcher.main.call_soon_threadsafe(self._begin)
        return await self._end

    def _cancel(self) -> None:
        if self._has_begun:
            self._interrupt()
            self._dispatcher.main.call_soon_threadsafe(self._cancel_task)
        else:
            self._end.cancel()

    def _interrupt(self) -> None:
        if self._dispatcher.interrupts.interrupt(self._execution):
            self._dispatcher.services.call_later(_INTERRUPT_AGAIN_S, self._interrupt)

    def _begin(self) -> None:
        self._has_begun = True
        self._threads_before = threading.enumerate()
        outcome: Future[Any] = Future()
        if self._execution.is_cancelled:
            outcome.cancel()
            self._settle(outcome)
            return
        try:
            value = self._value()
        except BaseException as error:  # passed on to _execute
            self._execution.fail(outcome, error)
        else:
            if inspect.iscoroutine(value):
                self._go_on(value)
                return
            outcome.set_result(value)
        self._settle(outcome)

    def _value(self) -> Any:
        arguments = self._execution.arguments(self._payload)
        operation, context = self._operation, self._execution.context
        if operation.gives_coroutine(arguments):
            return operation.function(context, **arguments)  # nothing runs yet that a signal would have to end
        self._tell("signal")
        value = self._dispatcher.interrupts.run(self._execution, operation.function, context, **arguments)
        if inspect.iscoroutine(value):
            self._tell("task")  # user code that turned out to be asynchronous
        return value

    def _go_on(self, work: Coroutine[Any, Any, Any]) -> None:
        def report(task: asyncio.Task[Any]) -> None:
            work.close()  # cancelled before its first step, it would complain that nobody awaited it
            self._settle(task)

        self._task = self._dispatcher.main.create_task(_guarded(work))
        self._task.add_done_callback(report)
        if self._execution.is_cancelled:
            self._task.cancel()

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _tell(self, how: str) -> None:
        started = Started(self._execution.run.id, how)
        self._dispatcher.services.call_soon_threadsafe(self._dispatcher.send, started, ())

    def _settle(self, outcome: asyncio.Task[Any] | Future[Any]) -> None:
        self._dispatcher.services.call_soon_threadsafe(_settle, self._end, outcome)
        if self._execution.is_cancelled:
            self._dispatcher.services.call_soon_threadsafe(self._dispatcher.look_for_leftovers, self._threads_before)


def _nothing() -> None:
    """What stops an execution that is not running."""


def _settle(end: asyncio.Future[Any], outcome: asyncio.Task[Any] | Future[Any]) -> None:
    """Give ``end`` the outcome, unless it was cancelled meanwhile."""
    if end.done():
        return
    if outcome.cancelled():
        end.cancel()
    elif (error := outcome.exception()) is not None:
        end.set_exception(error)
    else:
        end.set_result(outcome.result())


async def _guarded(work: Coroutine[Any, Any, Any]) -> Any:
    """``work``, whose errors are mapped here, on the loop that may wait for what they say of themselves. Its
    sys.exit() is one of them, and not the end of that loop."""
    try:
        return await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        raise to_lab_error(error) from None
