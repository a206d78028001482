"""What the host writes down: every call that ended, and the spans and events that clients and workers tell it.

A call's end costs one append; counting it, its span and the writing wait for :meth:`Ledger.flush`, once a second,
in a thread. A store that cannot be opened or written is said in the log once and never holds up a call.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dspex_lab.calls import TraceContext, Usage
from dspex_lab.clock import Clock
from dspex_lab.errors import ConfigurationError
from dspex_lab.pool.call_end import CallEnd
from dspex_lab.pool.privacy import Privacy
from dspex_lab.pool.records import CallRecord
from dspex_lab.settings import Settings
from dspex_lab.telemetry import Collector, Event, History, Outlet, RunTraces, Span, TraceStore
from dspex_lab.telemetry.export import OtlpTarget, Shipper
from dspex_lab.wire.messages import Done

__all__ = ["WORKERS_TELL_WITHIN_S", "Ledger", "open_ledger"]

log = logging.getLogger(__name__)

_FLUSH_S = 0.5
_MAX_WAITING = 50_000
_MAX_SPANS_A_MESSAGE = 1_000
#: So soon after a call's end its worker has told what it did (``worker.channel`` tells twice as soon).
WORKERS_TELL_WITHIN_S: Final = 0.1


class Ledger:
    """Counts every call, and keeps spans and events in ``store`` (None: it only counts). What runs tell becomes spans
    here, where it costs no run its time. ``shipper`` gets every span as well."""

    def __init__(self, store: TraceStore | None, clock: Clock, shipper: Shipper | None = None) -> None:
        self._store = store
        self._shipper = shipper
        self._clock = clock
        self._ends: deque[CallEnd] = deque(maxlen=_MAX_WAITING)
        self._outlet = Outlet()
        self.collector = Collector(clock)
        self.history = History()
        self._steps = Collector(clock)
        self._runs = RunTraces()
        self._privacy = Privacy()
        self._last_end = float("-inf")
        self._is_writing = asyncio.Lock()
        self._has_failed = False

    def hide(self, peer: bytes) -> None:
        """Keep no prompts and answers of what ``peer`` does, whatever others want."""
        self._privacy.add(peer)

    def forget(self, peer: bytes) -> None:
        """The peer left."""
        self._privacy.forget(peer)

    def begun(self, call: CallRecord) -> None:
        """Note the beginning of a call: an observer of the broker."""
        if call.submit.trace_id is not None:
            self._privacy.begun(call.owner, call.submit.trace_id)

    def ended(self, call: CallRecord, done: Done | None, error: Mapping[str, Any]) -> None:
        """Note the end of a call: an observer of the broker."""
        submit, now = call.submit, self._clock.monotonic()
        has_begun = call.worker_id is not None
        started = call.started_at if has_begun else now
        self._last_end = now
        trace = TraceContext(submit.trace_id, submit.span_id or "") if submit.trace_id else None
        self._ends.append(
            CallEnd(
                submit.op,
                submit.pool,
                call.worker_id or "",
                self._clock.now(),
                started - call.submitted_at,
                now - started,
                str(error.get("type", "")),
                str(error.get("message", "")),
                None if done is None else Usage(done.input_tokens, done.output_tokens, done.cost, done.lm_calls),
                trace,
                call.span_id,
                has_begun,
                submit.parent is not None,
            )
        )

    def told(self, spans: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]) -> None:
        """Take what a client or a worker tells; what is no span and no event is left out."""
        for data, _ in zip(spans, range(_MAX_SPANS_A_MESSAGE), strict=False):
            if (span := _span_of(data)) is not None:
                self._outlet.add_span(span)
        for data, _ in zip(events, range(_MAX_SPANS_A_MESSAGE), strict=False):
            if (event := _event_of(data)) is not None:
                self._outlet.add_event(event)

    async def serve(self) -> None:
        """Write and ship, again and again, until cancelled: the disk's time and the network's are not the calls'."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._flush_again())
            if self._shipper is not None:
                group.create_task(self._shipper.serve())

    async def _flush_again(self) -> None:
        while True:
            await self._clock.sleep(_FLUSH_S)
            await self.flush()

    async def settle(self) -> None:
        """Write what waits, what workers still have to tell of the latest calls included. Never raises."""
        wait_s = WORKERS_TELL_WITHIN_S - (self._clock.monotonic() - self._last_end)
        if wait_s > 0:
            await self._clock.sleep(wait_s)
        await self.flush()

    async def flush(self) -> None:
        """Write what waits. Never raises; one at a time."""
        async with self._is_writing:
            if self._ends or not self._outlet.is_empty():
                await asyncio.to_thread(self._write)

    def _write(self) -> None:
        spans, events = self._outlet.take(_MAX_WAITING)
        while self._ends:
            end = self._ends.popleft()
            self._count(end)
            spans += end.to_spans()
        for event in events:
            spans += self._runs.apply(event)
        spans = [span.cleaned(record_prompts=False) if self._privacy.is_private(span) else span for span in spans]
        for span in spans:
            self._steps.record_span(span)
        if self._shipper is not None:
            self._shipper.put(spans)
        if self._store is None:
            return
        try:
            self._store.append(events, spans)
        except (sqlite3.Error, OSError) as error:
            if not self._has_failed:
                log.warning("Telemetry cannot be written (%s); it is dropped until it can.", error)
            self._has_failed = True
        else:
            self._has_failed = False

    def _count(self, end: CallEnd) -> None:
        took_s, usage, is_error = end.queue_s + end.run_s, end.usage or Usage(), bool(end.error_type)
        self.collector.record(end.op, took_s, pool=end.pool, is_error=is_error, usage=end.usage)
        # A call that another one made is part of that one: counted in its pool, and not once more in all.
        for name in (end.pool,) if end.is_nested else (end.pool, ""):
            self.history.record(
                name,
                end.ended,
                took_s,
                is_error=is_error,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
            )

    def statistics(self) -> list[dict[str, Any]]:
        """Every operation of every pool as plain data: calls, errors, tokens, latency (seconds, the queue included)."""
        return [one.to_dict() for one in self.collector.statistics().series]

    def step_statistics(self) -> list[dict[str, Any]]:
        """The same of the steps of traced runs, by their operation and the way that they went."""
        return [one.to_dict() for one in self._steps.statistics().series]

    async def aclose(self) -> None:
        """Write the rest, and close the store."""
        await self.flush()
        if self._shipper is not None:
            await self._shipper.aclose()
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    def __repr__(self) -> str:
        return f"<Ledger [waiting: {len(self._ends)}, {self.collector!r}]>"


def open_ledger(settings: Settings, clock: Clock) -> Ledger:
    """A ledger on the user's trace store; without one where the file cannot be had."""
    shipper = _open_shipper(settings, clock)
    try:
        store = TraceStore(
            settings.trace_file,
            settings.trace_max_age_days,
            settings.trace_max_size_mb,
            record_prompts=settings.record_prompts,
            clock=clock,
        )
    except (sqlite3.Error, OSError) as error:
        log.warning("Traces are not kept: %s.", error)
        return Ledger(None, clock, shipper)
    return Ledger(store, clock, shipper)


def _open_shipper(settings: Settings, clock: Clock) -> Shipper | None:
    """The way to the receiver that the settings name, if they do."""
    if settings.otlp_endpoint is None:
        return None
    headers = settings.otlp_headers
    try:
        target = OtlpTarget.create(settings.otlp_endpoint, "" if headers is None else headers.get_secret_value())
    except ConfigurationError as error:
        log.warning("Spans are not shipped: %s", error.message)
        return None
    return Shipper(target.send, clock, record_prompts=settings.record_prompts)


def _span_of(data: Mapping[str, Any]) -> Span | None:
    try:
        span = Span.from_dict(data)
        if span.end < span.start or span.status not in ("ok", "error", "cancelled"):
            return None
    except (KeyError, TypeError):
        return None
    return span


def _event_of(data: Mapping[str, Any]) -> Event | None:
    try:
        trace = data.get("trace")
        context = None if trace is None else TraceContext(str(trace["trace_id"]), str(trace["span_id"]))
        return Event(str(data["name"]), float(data["time"]), dict(data["attributes"]), context)
    except (KeyError, TypeError, ValueError, IndexError):
        return None
