"""Spans: what took how long, under what. The ids are OpenTelemetry's, so that spans can be exported as they are.

A :class:`Span` is a finished, frozen value; an :class:`ActiveSpan` is one that still runs. The current one is kept in
a context variable, so that it follows tasks; over threads and process borders a ``TraceContext`` is handed on
(:func:`current_trace` out, :func:`use_trace` in). This module knows nothing of stores or exporters. OpenTelemetry's
own package is not used: it takes longer to import than all of this, and its spans are no values.
"""

from __future__ import annotations

import contextlib
import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Self

from dspex_lab.calls import TraceContext, new_id
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import Cancelled
from dspex_lab.telemetry.attributes import ERROR_TYPE, clean_attributes, clean_text

__all__ = [
    "ActiveSpan",
    "Span",
    "SpanObserver",
    "SpanStatus",
    "Tracer",
    "below",
    "current_trace",
    "enter_trace",
    "from_traceparent",
    "is_cancellation",
    "new_span_id",
    "to_traceparent",
    "use_trace",
]

log = logging.getLogger(__name__)

SpanStatus = Literal["ok", "error", "cancelled"]

_current: ContextVar[TraceContext | None] = ContextVar("dspex_lab_trace", default=None)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


@dataclass(frozen=True, slots=True)
class Span:
    """One finished piece of work. ``start`` and ``end`` are epoch seconds; ids are 32 and 16 hexadecimal digits."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    start: float
    end: float
    status: SpanStatus = "ok"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    #: What went wrong; "" unless ``status`` is "error", and where prompts are not recorded.
    message: str = ""

    @property
    def duration_s(self) -> float:
        return self.end - self.start

    @property
    def context(self) -> TraceContext:
        return TraceContext(self.trace_id, self.span_id)

    def cleaned(self, *, record_prompts: bool = True) -> Span:
        """The span without secrets, and without prompts and answers when these are off."""
        attributes = clean_attributes(self.attributes, record_prompts=record_prompts)
        # A message may quote what a model answered; ``error.type`` is told in any case.
        return replace(self, attributes=attributes, message=clean_text(self.message) if record_prompts else "")

    def to_dict(self) -> dict[str, Any]:
        """The span as plain data, for the wire."""
        return {name: getattr(self, name) for name in _FIELDS} | {"attributes": dict(self.attributes)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Span:
        """The inverse of :meth:`to_dict`; unknown keys are left out, a missing one is a ``KeyError``."""
        required = {name: data[name] for name in ("trace_id", "span_id", "parent_id", "name", "start", "end")}
        optional = {name: data[name] for name in ("status", "attributes", "message") if name in data}
        return cls(**required, **optional)


_FIELDS = tuple(Span.__dataclass_fields__)
SpanObserver = Callable[[Span], None]


class ActiveSpan:
    """A span under way. Use it with ``with`` (it is then the current one), or call :meth:`end` yourself."""

    __slots__ = ("_attributes", "_before", "_ended", "_message", "_status", "_tracer", "context", "name", "parent_id",
                 "start")  # fmt: skip

    def __init__(self, tracer: Tracer, name: str, parent: TraceContext | None, start: float) -> None:
        self._tracer = tracer
        self.name = name
        self.context = TraceContext(parent.trace_id if parent else new_id(), new_span_id())
        self.parent_id = parent.span_id if parent else None
        self.start = start
        self._attributes: dict[str, Any] = {}
        self._status: SpanStatus = "ok"
        self._message = ""
        self._before: TraceContext | None = None
        self._ended: Span | None = None

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes; one that is None is left out, later ones win."""
        self._attributes.update({key: value for key, value in attributes.items() if value is not None})

    def fail(self, error: BaseException) -> None:
        """Say that the work failed, and how; a cancelled one is no failure."""
        if is_cancellation(error):
            self._status = "cancelled"
            return
        self._status = "error"
        self._message = str(getattr(error, "message", None) or error) or type(error).__name__
        self._attributes.setdefault(ERROR_TYPE, getattr(error, "error_type", "") or type(error).__name__)

    def end(self) -> Span:
        """Finish: the frozen span, which the tracer's observer gets too. Ending twice gives the same span."""
        if self._ended is None:
            self._ended = self._tracer._finish(self)  # noqa: SLF001 - the two are halves of one thing
        return self._ended

    def __enter__(self) -> Self:
        self._before = _current.get()
        _current.set(self.context)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # Not a token: an asynchronous generator may be closed from another context than it was begun in.
        _current.set(self._before)
        if error is not None:
            self.fail(error)
        self.end()

    def __repr__(self) -> str:
        state = "running" if self._ended is None else self._status
        return f"<ActiveSpan {self.name!r} [{state}, trace: {self.context.trace_id[:8]}]>"


class Tracer:
    """Makes spans and hands the finished ones to ``observer``, on the thread that ends them.

    An observer that raises is detached. Secrets never get into a span; prompts and answers only with
    ``record_prompts``.
    """

    def __init__(
        self, observer: SpanObserver | None = None, clock: Clock | None = None, *, record_prompts: bool = True
    ) -> None:
        self._observer = observer
        self._clock = clock or SystemClock()
        self._record_prompts = record_prompts
        self._started = 0
        self._ended = 0

    def span(
        self, name: str, attributes: Mapping[str, Any] | None = None, *, parent: TraceContext | None = None
    ) -> ActiveSpan:
        """Begin a span under ``parent``, or under the current one, or at the root of a new trace."""
        span = ActiveSpan(self, name, parent or _current.get(), self._clock.now())
        if attributes:
            span.set(attributes)
        self._started += 1
        return span

    def record(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        *,
        start: float,
        end: float,
        parent: TraceContext | None = None,
    ) -> Span:
        """Record work that is over already, such as the time in a queue; ``start`` and ``end`` in epoch seconds."""
        active = self.span(name, attributes, parent=parent)
        active.start = start
        return self._finish(active, end)

    def _finish(self, active: ActiveSpan, end: float | None = None) -> Span:
        self._ended += 1
        span = Span(
            active.context.trace_id,
            active.context.span_id,
            active.parent_id,
            active.name,
            active.start,
            max(active.start, self._clock.now() if end is None else end),
            active._status,  # noqa: SLF001 - of this module
            clean_attributes(active._attributes, record_prompts=self._record_prompts),  # noqa: SLF001 - of this module
            # A message may quote what a model answered; ``error.type`` is told in any case.
            clean_text(active._message) if self._record_prompts else "",  # noqa: SLF001 - of this module
        )
        if self._observer is not None:
            try:
                self._observer(span)
            except Exception:
                log.warning("The span observer %r failed and was detached.", self._observer, exc_info=True)
                self._observer = None
        return span

    def __repr__(self) -> str:
        observed = "observed" if self._observer else "unobserved"
        return f"<Tracer [{observed}, started: {self._started}, ended: {self._ended}]>"


def current_trace() -> TraceContext | None:
    """Where the running code hangs in its trace: to be handed to a thread, or sent with a call."""
    return _current.get()


def enter_trace(context: TraceContext | None) -> None:
    """Let spans of what runs here hang under ``context`` from now on, until something else is said: for who cannot
    put a block around it."""
    _current.set(context)


@contextlib.contextmanager
def use_trace(context: TraceContext | None) -> Iterator[None]:
    """Let spans of this block hang under ``context``, which came from another thread or process."""
    before = _current.get()
    _current.set(context)
    try:
        yield
    finally:
        _current.set(before)


def below(context: TraceContext | None) -> TraceContext | None:
    """A new place in the trace of ``context``, for what hangs under it; None where nothing is traced."""
    return None if context is None else TraceContext(context.trace_id, new_span_id())


def new_span_id() -> str:
    """8 random bytes as 16 hexadecimal digits, never all zero. No secret: made as OpenTelemetry's own are."""
    return f"{random.getrandbits(64) or 1:016x}"


def to_traceparent(context: TraceContext) -> str:
    """The value of the W3C ``traceparent`` header for ``context``."""
    return f"00-{context.trace_id}-{context.span_id}-01"


def from_traceparent(header: str) -> TraceContext | None:
    """The context in a W3C ``traceparent`` header; None when it is none (as the standard asks: never an error)."""
    match = _TRACEPARENT.fullmatch(header.strip())
    if match is None or header.lstrip().startswith("ff") or set(match[1]) == {"0"} or set(match[2]) == {"0"}:
        return None
    return TraceContext(match[1], match[2])


def is_cancellation(error: BaseException) -> bool:
    """Whether somebody stopped it: that is no failure."""
    return isinstance(error, Cancelled | KeyboardInterrupt | GeneratorExit) or type(error).__name__ == "CancelledError"
