"""Traces that are made up: a run as one would see it, and one of many spans."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from dspex_lab.telemetry.spans import Span, SpanStatus

__all__ = ["big_trace", "support_trace"]

_TRACE = "5f1c0e6ab9c94d6c8a44c1f2b3d4e5f6"
_START = 1_795_700_000.0
_TICKET = "I was charged twice for my May invoice. Please help!"
_REPLY = "Dear customer, thank you for writing. We have refunded the second charge; it shows within three days. "


class _Maker:
    """Makes spans with ids that count up."""

    def __init__(self, trace_id: str = _TRACE) -> None:
        self.spans: list[Span] = []
        self._trace_id = trace_id

    def add(
        self,
        parent: Span | None,
        name: str,
        kind: str,
        start: float,
        took: float,
        *,
        status: SpanStatus = "ok",
        message: str = "",
        **attributes: Any,
    ) -> Span:
        told = {"dspex.kind": kind, **{key.replace("__", "."): value for key, value in attributes.items()}}
        span = Span(
            self._trace_id,
            f"{len(self.spans) + 1:016x}",
            parent.span_id if parent else None,
            name,
            _START + start,
            _START + start + took,
            status,
            told,
            message,
        )
        self.spans.append(span)
        return span


def support_trace() -> list[Span]:
    """A support pipeline: routed, queued, answered by a model, one attempt failed and tried again."""
    make = _Maker()
    cell = make.add(None, "cell 7", "cell", 0.0, 4.62)
    run = make.add(cell, "run support", "run", 0.03, 4.55, dspex__run__id="3f2a9c11", dspex__inputs={"ticket": _TICKET})
    make.add(run, "clean", "native", 0.035, 0.0021, dspex__outputs={"ticket": _TICKET.lower()})
    triage = make.add(run, "triage", "step", 0.04, 1.42, dspex__route="hybrid", dspex__step="triage")
    _model_call(make, triage, 0.045, 1.40, fails_first=True)
    both = make.add(run, "both", "step", 1.47, 1.78, dspex__step="both")
    summary = make.add(both, "summary", "step", 1.475, 1.77, dspex__route="python", dspex__step="summary")
    call = make.add(summary, "pool dspy.run", "call", 1.48, 1.75, dspex__pool="general", dspex__worker="general-2")
    make.add(call, "queue", "queue", 1.48, 0.31, dspex__queue_s=0.31)
    module = make.add(call, "ChainOfThought", "module", 1.80, 1.42, dspex__inputs={"ticket": _TICKET})
    make.add(module, "find_order", "tool", 1.83, 0.12, dspex__inputs={"order": 4711}, dspex__outputs={"paid": 2})
    _lm(make, module, 1.96, 1.24, tokens=(212, 96))
    mood = make.add(both, "mood", "step", 1.476, 0.62, status="error", message="'ca' is not one of 'calm', 'angry'")
    _lm(make, mood, 1.49, 0.58, tokens=(190, 4))
    reply = make.add(run, "reply", "step", 3.26, 1.31, dspex__route="hybrid", dspex__step="reply")
    _model_call(make, reply, 3.27, 1.29, fails_first=False)
    return make.spans


def _model_call(make: _Maker, step: Span, start: float, took: float, *, fails_first: bool) -> None:
    call = make.add(step, "pool lm.complete", "call", start, took, dspex__pool="neural", dspex__worker="neural-1")
    make.add(call, "queue", "queue", start, 0.04, dspex__queue_s=0.04)
    if fails_first:
        told = {"status": "error", "message": "The server answered 503: try again later."}
        make.add(call, "chat local/smollm2-135m", "lm", start + 0.05, 0.2, error__type="ModelError", **told)  # type: ignore[arg-type]
        _lm(make, call, start + 0.45, took - 0.47, tokens=(180, 22))
        return
    _lm(make, call, start + 0.05, took - 0.06, tokens=(180, 128))


def _lm(make: _Maker, parent: Span, start: float, took: float, *, tokens: tuple[int, int]) -> None:
    messages = [{"role": "system", "content": "Answer kindly."}, {"role": "user", "content": f"ticket: {_TICKET}"}]
    make.add(
        parent,
        "chat local/smollm2-135m",
        "lm",
        start,
        took,
        gen_ai__operation__name="chat",
        gen_ai__request__model="local/smollm2-135m",
        gen_ai__usage__input_tokens=tokens[0],
        gen_ai__usage__output_tokens=tokens[1],
        dspex__cost_usd=0.00021,
        dspex__first_token_s=0.09,
        gen_ai__input__messages=messages,
        gen_ai__output__messages=[{"role": "assistant", "content": _REPLY * 3 + "<script>alert(1)</script>"}],
        server__address="127.0.0.1",
    )


def big_trace(count: int = 5_000) -> list[Span]:
    """A batch of many rows, ``count`` spans in all."""
    make = _Maker("b" * 32)
    chance = random.Random(7)
    root = make.add(None, "map support over 1,000 rows", "run", 0.0, 60.0)
    for start in _starts(count):
        row = make.add(root, f"row {len(make.spans)}", "step", start, 1.2)
        call = make.add(row, "pool lm.complete", "call", start + 0.01, 1.1, dspex__pool="neural")
        make.add(call, "queue", "queue", start + 0.01, chance.random() * 0.4)
        status: SpanStatus = "error" if chance.random() < 0.02 else "ok"
        lm = make.add(call, "chat local/smollm2-135m", "lm", start + 0.45, chance.random() * 0.6, status=status)
        make.add(lm, "parse", "native", start + 1.08, 0.001)
    return make.spans[:count]


def _starts(count: int) -> Iterator[float]:
    rows = -(-count // 5)
    return (58.0 * row / rows for row in range(rows))
