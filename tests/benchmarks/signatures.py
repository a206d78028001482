"""Signatures against DSPy and pydantic in the same run: reading, validating, and the native part of a hybrid call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import pydantic

from dspex_lab.signatures import compile_signature, parse_signature
from tests.benchmarks.table import Row, durations, median

__all__ = ["rows"]

TEXT = "question, context: list[str] -> answer: str, confidence: float"
CELL = '''"""Route a support ticket to the right team."""
ticket: str                                    # the customer's words
language: str = "en"
->
category: Literal["billing", "bug", "feature"]
urgency: Annotated[int, Field(ge=1, le=5)]     # 5 is drop everything
reply: str | None
'''
INPUTS = {"ticket": "I was charged twice for the same order. " * 8, "language": "en"}
REPLY = "[[ ## category ## ]]\nbilling\n\n[[ ## urgency ## ]]\n4\n\n[[ ## reply ## ]]\nSorry!\n\n[[ ## completed ## ]]"


class TenFields(pydantic.BaseModel):
    """The same record as pydantic's own model."""

    a: str
    b: int
    c: float
    d: bool
    e: list[str]
    f: dict[str, int]
    g: Literal["x", "y"]
    h: str | None
    i: list[int]
    j: str


TEN_FIELDS = (
    "q -> a: str, b: int, c: float, d: bool, e: list[str], f: dict[str, int], g: Literal['x', 'y'], h: str | None, "
    "i: list[int], j: str"
)
RECORD: dict[str, Any] = {
    "a": "text",
    "b": 1,
    "c": 0.5,
    "d": True,
    "e": ["x", "y"],
    "f": {"k": 1},
    "g": "x",
    "h": None,
    "i": [1, 2],
    "j": "end",
}


def rows() -> list[Row]:
    """One row for each aim; microseconds, the median of many batches."""
    return [*_reading(), _validating(), _native_part()]


def _reading() -> list[Row]:
    import dspy

    theirs = _micros(lambda: dspy.Signature(TEXT), calls=20)
    cold = _micros(lambda: parse_signature(TEXT), calls=100)
    cached = _micros(lambda: compile_signature(TEXT), calls=5000)
    return [
        _times_faster("read a signature, cold", cold, "dspy.Signature", theirs, 10),
        _times_faster("read a signature, cached", cached, "dspy.Signature", theirs, 1000),
    ]


def _validating() -> Row:
    validator = compile_signature(TEN_FIELDS).validator
    ours = _micros(lambda: validator.validate_outputs(RECORD), calls=2000)
    theirs = _micros(lambda: TenFields.model_validate(RECORD), calls=2000)
    ratio = ours / theirs
    return Row("validate ten fields", ours, "µs", "model_validate", theirs, ratio, "<= 2x", ratio <= 2)


def _native_part() -> Row:
    """Render, parse and validate natively, against a whole ``dspy.Predict`` over an engine that answers at once."""
    import dspy

    compiled = compile_signature(CELL, name="Triage")

    def ours() -> dict[str, Any]:
        values = compiled.validator.validate_inputs(INPUTS)
        compiled.prompt.chat_messages(values)
        return compiled.validator.validate_outputs(compiled.prompt.parse_chat(REPLY))

    predict = dspy.Predict(compiled.to_dspy())
    with dspy.context(lm=dspy.LM("bench/instant", engine=_Instant(), cache=False), disable_history=True):
        if dict(predict(**INPUTS)) != ours():
            raise AssertionError("The results differ from DSPy's.")
        theirs_us = _micros(lambda: predict(**INPUTS), calls=50)
    return _times_faster("native part of a hybrid call", _micros(ours, calls=500), "dspy.Predict", theirs_us, 5)


class _Instant:
    """An engine that answers at once."""

    supports_function_calling = False
    supports_reasoning = False
    supports_response_schema = True
    supported_params = frozenset({"temperature", "max_tokens"})

    def complete(self, request: Any) -> Any:
        from dspy import lm15

        message = lm15.Message.assistant([lm15.TextPart(REPLY)])
        usage = lm15.Usage(input_tokens=1, output_tokens=1)
        return lm15.Response(id=None, model="bench/instant", message=message, finish_reason="stop", usage=usage)

    def close(self) -> None:
        """Nothing is held."""


def _times_faster(name: str, ours_us: float, peer: str, theirs_us: float, aim: float) -> Row:
    ratio = theirs_us / ours_us
    return Row(name, ours_us, "µs", peer, theirs_us, ratio, f">= {aim:g}x", ratio >= aim)


def _micros(function: Callable[[], object], *, calls: int, batches: int = 15) -> float:
    """Microseconds of CPU for one call: the median of batches, for one call is too short for the clock."""

    def batch() -> float:
        began = time.process_time()
        for _ in range(calls):
            function()
        return (time.process_time() - began) / calls * 1e6

    durations(function, runs=1, warm_up=1)
    return median([batch() for _ in range(batches)])
