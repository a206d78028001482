"""A language model without a model: an Engine that answers at once, always the same, and valid under its schema."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from dspex_lab.calls import LmReply, LmRequest, Usage
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import DeadlineExceeded, ModelError
from dspex_lab.worker.engines.base import OnText

__all__ = ["FakeLanguageModel", "default_answer", "smallest_value", "words"]

#: Up to a white space, or to the end.
_WORD = re.compile(r"\S*\s|\S+")

#: What the fake answers to a request: a text, or an error to raise.
Answer = Callable[[LmRequest], str | Exception]


class FakeLanguageModel:
    """Answers with ``answer(request)``; by default the smallest value that its schema allows, or the last message.

    The text comes word by word, ``delay_s`` apart. ``requests`` holds what was asked. ``missing`` names models that
    are not there. ``started`` is set with the first request, ``idle`` while none is under way.
    """

    def __init__(
        self,
        answer: Answer | None = None,
        *,
        delay_s: float = 0.0,
        clock: Clock | None = None,
        missing: frozenset[str] = frozenset(),
    ) -> None:
        self._answer = answer or default_answer
        self._delay_s = delay_s
        self._clock = clock or SystemClock()
        self._missing = missing
        self.requests: list[LmRequest] = []
        self.in_flight = 0
        self.started, self.idle = asyncio.Event(), asyncio.Event()
        self.is_closed = False

    async def complete(self, request: LmRequest, on_text: OnText | None = None) -> LmReply:
        lm = request.lm
        if self.is_closed:
            raise ModelError("The language model is closed.", lm.model)
        if lm.model in self._missing:
            raise ModelError(f"There is no model {lm.model!r}.", lm.model, 404, hint="Use fake/model.")
        self.requests.append(request)
        self.in_flight += 1
        self.started.set()
        self.idle.clear()
        try:
            async with asyncio.timeout(lm.timeout_s):
                return await self._reply(request, on_text)
        except TimeoutError as error:
            raise DeadlineExceeded(f"{lm.model} did not answer within {lm.timeout_s:g} s.") from error
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.idle.set()

    async def _reply(self, request: LmRequest, on_text: OnText | None) -> LmReply:
        text = self._answer(request)
        if isinstance(text, Exception):
            raise text
        pieces = words(text)
        for piece in pieces:
            await self._clock.sleep(self._delay_s)
            if on_text is not None:
                await on_text(piece)
        asked = sum(len(words(str(message.get("content", "")))) for message in request.messages)
        return LmReply(text, request.lm.model, "stop", Usage(asked, len(pieces), cost=0.0, lm_calls=1), 0.0, None)

    async def aclose(self) -> None:
        self.is_closed = True

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open"
        return f"<FakeLanguageModel [{state}, requests: {len(self.requests)}, in flight: {self.in_flight}]>"


def default_answer(request: LmRequest) -> str:
    """The smallest valid JSON under the request's schema, or an echo of its last message."""
    if request.response_schema is not None:
        return json.dumps(smallest_value(request.response_schema))
    return f"You said: {request.messages[-1].get('content', '')}"


def words(text: str) -> list[str]:
    """``text`` cut behind each white space; the pieces add up to it. A token is a word here."""
    return _WORD.findall(text)


def smallest_value(schema: Mapping[str, Any], *, root: Mapping[str, Any] | None = None) -> Any:
    """A valid, small, always equal value for a JSON schema of the kinds that signatures make."""
    root = schema if root is None else root
    if "$ref" in schema:
        return smallest_value(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root=root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return smallest_value(schema[key][0], root=root)
    kind = schema.get("type", "string")
    return _SMALLEST[kind[0] if isinstance(kind, list) else kind](schema, root)


def _string(schema: Mapping[str, Any], _root: Mapping[str, Any]) -> str:
    text = "text"[: schema.get("maxLength", 4)]
    return text.ljust(schema.get("minLength", 0), "x")


def _number(schema: Mapping[str, Any], _root: Mapping[str, Any]) -> float:
    step = schema.get("multipleOf", 1)
    if "exclusiveMinimum" in schema:
        lowest = schema["exclusiveMinimum"]
        highest = schema.get("maximum", schema.get("exclusiveMaximum", lowest + 2 * step))
        return float(lowest + min(step, (highest - lowest) / 2))
    return float(schema.get("minimum", min(0, schema.get("maximum", 0))))


def _integer(schema: Mapping[str, Any], _root: Mapping[str, Any]) -> int:
    if "exclusiveMinimum" in schema:
        return int(schema["exclusiveMinimum"]) + 1
    if "minimum" in schema:
        return int(schema["minimum"])
    highest = schema.get("maximum", int(schema["exclusiveMaximum"]) - 1 if "exclusiveMaximum" in schema else 0)
    return min(0, int(highest))


def _array(schema: Mapping[str, Any], root: Mapping[str, Any]) -> list[Any]:
    if "prefixItems" in schema:
        return [smallest_value(item, root=root) for item in schema["prefixItems"]]
    return [smallest_value(schema.get("items", {}), root=root) for _ in range(schema.get("minItems", 0))]


def _object(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    return {name: smallest_value(part, root=root) for name, part in schema.get("properties", {}).items()}


_SMALLEST: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Any]] = {
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": lambda _schema, _root: False,
    "null": lambda _schema, _root: None,
    "array": _array,
    "object": _object,
}
