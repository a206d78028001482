"""The spans of a batch: its own, that of each row that is traced with its steps beneath, that of each failed row.

Of a row that is traced every event is kept until it ends, and made into spans then; the others cost nothing, unless
they fail. The first fifty rows are traced, and then as many as take a small part of the batch's time, so all where
each takes long and few where they are trivial; never more than a thousand. Called on the event loop, but for what
steps tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dspex_lab.calls import TraceContext
from dspex_lab.clock import Clock
from dspex_lab.errors import LabError
from dspex_lab.pipelines.outcome.plain import plain_values
from dspex_lab.pipelines.plan.plan import Plan
from dspex_lab.telemetry import Event, RunTraces, Span, SpanStatus
from dspex_lab.telemetry import attributes as names
from dspex_lab.telemetry.spans import new_span_id

__all__ = ["BatchTrace", "RowTrace"]

#: Rows with all of their steps, and spans of them: large plans have fewer rows.
_MAX_ROWS, _MAX_SPANS = 1_000, 4_000
#: Rows that are traced whatever that takes, and the part of the batch's time that making spans of others may take.
_FIRST_ROWS, _SHARE = 50, 0.003
#: What spans are made of.
_TOLD = ("pipeline.step", "router.route", "router.retry", "python.execute", "error.native", "error.python")
#: Failed rows beyond those, of which the row alone is kept.
_MAX_FAILED = 1_000


class RowTrace:
    """One row under way: what it tells, and its place in the trace."""

    __slots__ = ("_events", "context", "inputs", "position", "start")

    def __init__(self, position: int, inputs: Mapping[str, Any], context: TraceContext, first: Event) -> None:
        self.position = position
        self.inputs = inputs
        self.context = context
        self.start = first.time
        self._events = [first]

    def keep(self, event: Event) -> None:
        """Keep what the row told, if spans are made of it; from any thread."""
        if event.name in _TOLD:
            self._events.append(event)

    def steps(self) -> list[Span]:
        """The spans of its steps, and of what became of them."""
        traces = RunTraces()
        return [span for event in self._events for span in traces.apply(event)]


class BatchTrace:
    """The trace of one batch, whose id is the batch's. ``add_span`` takes what is done; None: nothing is traced."""

    def __init__(self, batch_id: str, plan: Plan, clock: Clock, add_span: Callable[[Span], object] | None) -> None:
        self._plan = plan
        self._clock = clock
        self._add_span = add_span
        self._root = TraceContext(batch_id, new_span_id())
        self._start, self._started = clock.now(), clock.monotonic()
        self._spent_s = 0.0
        self._begun = self._failed = self._rows = self._shown = self._spans = 0
        #: The same for every row: what its steps are.
        self._told = {"run_id": batch_id, "steps": [{"name": one.name, "kind": one.kind} for one in plan.block]}

    def begin(self, position: int, inputs: Mapping[str, Any]) -> RowTrace | None:
        """The row at ``position`` begins; None where it is not traced, as there are enough already."""
        if self._add_span is None or self._begun >= _MAX_ROWS or self._spans >= _MAX_SPANS:
            return None
        if self._begun >= _FIRST_ROWS and self._spent_s > _SHARE * (self._clock.monotonic() - self._started):
            return None
        self._begun += 1
        context = TraceContext(self._root.trace_id, new_span_id())
        return RowTrace(position, inputs, context, Event("run.start", self._clock.now(), self._told, context))

    def end(
        self, position: int, row: RowTrace | None, *, error: LabError | None = None, since: float | None = None
    ) -> None:
        """The row is done for good. ``since`` is when one that was not traced began, in epoch seconds."""
        self._rows += 1
        if row is not None:
            self._put(row, "ok" if error is None else "error", error)
        elif error is not None and self._add_span is not None and self._failed < _MAX_FAILED:
            self._failed += 1
            now = self._clock.now()
            self._tell(position, new_span_id(), now if since is None else since, now, "error", error, {})

    def leave(self, row: RowTrace | None) -> None:
        """The row was given up while it was under way."""
        if row is not None:
            self._put(row, "cancelled", None)

    def finish(self, status: SpanStatus, attributes: Mapping[str, Any], message: str = "") -> None:
        """The batch is over."""
        if self._add_span is None:
            return
        told = {
            names.KIND: "run",
            names.OPERATION_NAME: "invoke_workflow",
            names.WORKFLOW_NAME: self._plan.name,
            names.RUN_ID: self._root.trace_id,
            names.ROWS: self._rows,
            names.ROWS_LEFT_OUT: max(0, self._rows - self._shown) or None,
            **attributes,
        }
        end = max(self._start, self._clock.now())
        name = f"batch {self._plan.name}"
        given = {key: value for key, value in told.items() if value is not None}
        self._add_span(
            Span(self._root.trace_id, self._root.span_id, None, name, self._start, end, status, given, message)
        )

    def _put(self, row: RowTrace, status: SpanStatus, error: LabError | None) -> None:
        if self._add_span is None:
            return
        before = self._clock.monotonic()
        inputs = {names.INPUTS: plain_values(row.inputs)}
        self._tell(row.position, row.context.span_id, row.start, self._clock.now(), status, error, inputs)
        for span in row.steps():
            self._spans += 1
            self._add_span(span)
        self._spent_s += self._clock.monotonic() - before

    def _tell(
        self,
        position: int,
        span_id: str,
        start: float,
        end: float,
        status: SpanStatus,
        error: LabError | None,
        attributes: dict[str, Any],
    ) -> None:
        self._shown += 1
        self._spans += 1
        attributes |= {names.KIND: "run", names.WORKFLOW_NAME: self._plan.name, names.ROW: position}
        if error is not None:
            attributes[names.ERROR_TYPE] = getattr(error, "error_type", "") or type(error).__name__
        if self._add_span is not None:
            root = self._root
            self._add_span(
                Span(
                    root.trace_id,
                    span_id,
                    root.span_id,
                    f"row {position}",
                    start,
                    max(start, end),
                    status,
                    attributes,
                    "" if error is None else error.message,
                )
            )

    def __repr__(self) -> str:
        return f"<BatchTrace {self._root.trace_id[:8]} [rows: {self._rows}, shown: {self._shown}]>"
