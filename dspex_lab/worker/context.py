"""What an operation is given: its own call's facts, a way to stream text, and a way to make calls of its own.

A worker has two event loops. The **main loop** is the kernel's own, on the main thread: the user's code and DSPy run
there, and an interrupt reaches them there. The **services loop** is on a thread of its own: the data channel, the
heartbeat and the language-model engines live there, so that tokens and heartbeats flow while user code computes.

Operations see nothing of ZMQ, of kernels or of the host.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from dspex_lab.calls import Call, Chunk, Result, TraceContext, Usage
from dspex_lab.telemetry import ActiveSpan, Tracer, current_trace
from dspex_lab.worker.guards import Guards

__all__ = ["NestedCall", "OpContext", "current_context"]

T = TypeVar("T")

_NOTHING_USED = Usage()


class NestedCall(Protocol):
    """A call that an operation made through the host; used on the services loop."""

    def __aiter__(self) -> AsyncIterator[Chunk]: ...

    async def result(self) -> Result: ...

    def cancel(self) -> None: ...


@dataclass(slots=True)
class OpContext:
    """One running operation.

    ``emit(field, text)`` (services loop) sends a chunk and waits for the reader's credit; it does nothing when the
    call does not stream. ``submit(call)`` (services loop) makes a nested call. From any other thread or loop use
    :meth:`on_services` with a coroutine that does so.
    """

    call_id: str
    op: str
    is_streaming: bool
    emit: Callable[[str, str], Coroutine[Any, Any, None]]
    submit: Callable[[Call], NestedCall]
    services: asyncio.AbstractEventLoop
    trace: TraceContext | None = None
    #: Epoch seconds after which nobody waits for the result; None: no limit.
    deadline: float | None = None
    usage: Usage = _NOTHING_USED
    #: How this worker is guarded; None in a process that is no worker.
    guards: Guards | None = None
    #: What the calls of one session share; None outside of sessions.
    session_state: dict[str, Any] | None = None
    tracer: Tracer = field(default_factory=Tracer)

    def span(self, name: str, attributes: Mapping[str, Any]) -> ActiveSpan:
        """Begin a span under the current one, or under the call itself."""
        return self.tracer.span(name, attributes, parent=current_trace() or self.trace)

    def on_services(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run ``work`` on the services loop. Wait with ``.result()`` in synchronous code (an interrupt ends the
        wait), or with ``await asyncio.wrap_future(...)``; cancelling the future cancels the work."""
        return asyncio.run_coroutine_threadsafe(work, self.services)

    def add_usage(self, usage: Usage) -> None:
        """Count what one language-model response said it used."""
        self.usage = self.usage + usage


#: The context of the operation that is running, for code that DSPy calls (engines), which takes no argument of ours.
current_context: ContextVar[OpContext | None] = ContextVar("dspex_lab_op_context", default=None)
