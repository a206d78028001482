"""OpenAI's wire form, both ways: a request as a body, a reply or its stream as values. Sans-I/O.

What an endpoint does not take is left out when it says so: :data:`REFUSALS` lists what can be left out, and how
endpoints complain about it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dspex_lab.calls import LmReply, LmRequest, Usage
from dspex_lab.errors import ModelError

__all__ = ["REFUSALS", "ReplyReader", "find_refusal", "request_body"]

#: What can be left out of a body, with the words by which an endpoint names it, the most telling first.
REFUSALS: Mapping[str, tuple[str, ...]] = {
    "stream_options": ("stream_options", "include_usage"),
    "max_tokens": ("max_completion_tokens",),
    "temperature": ("temperature",),
    "json_schema": ("json_schema", "response_format", "schema", "structured output", "grammar"),
    "json_object": ("json_object", "response_format"),
}


def request_body(
    request: LmRequest, model: str, *, stream: bool, refused: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The body for ``request``, without what the endpoint refused before."""
    body: dict[str, Any] = {**request.options, "model": model, "messages": [dict(one) for one in request.messages]}
    lm = request.lm
    if lm.temperature is not None and "temperature" not in refused:
        body["temperature"] = lm.temperature
    if lm.max_tokens is not None:
        body["max_completion_tokens" if "max_tokens" in refused else "max_tokens"] = lm.max_tokens
    if request.response_schema is not None:
        if "json_schema" not in refused:
            form = {"name": "outputs", "schema": dict(request.response_schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        elif "json_object" not in refused:
            body["response_format"] = {"type": "json_object"}
    if stream:
        body["stream"] = True
        if "stream_options" not in refused:
            body["stream_options"] = {"include_usage": True}
    return body


def find_refusal(body: Mapping[str, Any], complaint: str) -> str | None:
    """What in ``body`` the endpoint's ``complaint`` is about, when it can be left out."""
    lowered = complaint.lower()
    form = body.get("response_format", {}).get("type")
    sent = {
        "stream_options": "stream_options" in body,
        "max_tokens": "max_tokens" in body,
        "temperature": "temperature" in body,
        "json_schema": form == "json_schema",
        "json_object": form == "json_object",
    }
    for name, words in REFUSALS.items():
        if sent[name] and any(word in lowered for word in words):
            return name
    return None


@dataclass(slots=True)
class ReplyReader:
    """Puts a reply together, from one body or from the events of a stream; times are seconds."""

    request: LmRequest
    started: float = field(default_factory=time.monotonic)
    _pieces: list[str] = field(default_factory=list)
    _finish_reason: str | None = None
    _usage: Mapping[str, Any] = field(default_factory=dict)
    _first_token: float | None = None
    _last_token: float | None = None

    def read_body(self, body: Mapping[str, Any]) -> None:
        """Take a whole reply that did not stream."""
        choice = _first(body)
        self._pieces.append(choice.get("message", {}).get("content") or "")
        self._finish_reason = choice.get("finish_reason") or "stop"
        self._usage = body.get("usage") or {}

    def read_event(self, data: str) -> str:
        """Take the data of one event; its text, or "". Raises ModelError for what is no event, or an error."""
        if data == "[DONE]":
            self._finish_reason = self._finish_reason or "stop"
            return ""
        try:
            event = json.loads(data)
        except ValueError as error:
            raise self._unusable("sent an event that is no JSON") from error
        if not isinstance(event, dict):
            raise self._unusable("sent an event that is no object")
        if event.get("error"):
            raise self._unusable(f"failed while it answered: {_message(event['error'])}")
        self._usage = event.get("usage") or self._usage
        if not event.get("choices"):
            return ""
        choice = _first(event)
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        text = choice.get("delta", {}).get("content") or ""
        if text:
            self._last_token = time.monotonic()
            self._first_token = self._first_token or self._last_token
            self._pieces.append(text)
        return text

    @property
    def is_finished(self) -> bool:
        return self._finish_reason is not None

    def reply(self) -> LmReply:
        """The whole reply. Raises ModelError when it was cut, by the connection or by ``max_tokens`` within JSON."""
        if self._finish_reason is None:
            raise self._unusable("ended in the middle of its answer")
        if self._finish_reason == "length" and self.request.response_schema is not None:
            raise self._unusable("reached max_tokens with its JSON unfinished", hint="Raise max_tokens.")
        output_tokens = int(self._usage.get("completion_tokens") or 0)
        usage = Usage(int(self._usage.get("prompt_tokens") or 0), output_tokens, cost=None, lm_calls=1)
        model = self.request.lm.model
        first = None if self._first_token is None else self._first_token - self.started
        return LmReply("".join(self._pieces), model, self._finish_reason, usage, first, self._rate(output_tokens))

    def _rate(self, output_tokens: int) -> float | None:
        if self._first_token is None or self._last_token is None or self._last_token <= self._first_token:
            return None
        return (output_tokens - 1) / (self._last_token - self._first_token) if output_tokens > 1 else None

    def _unusable(self, what: str, *, hint: str | None = None) -> ModelError:
        return ModelError(f"{self.request.lm.model} {what}.", self.request.lm.model, hint=hint, retryable=True)


def _first(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    raise ModelError("The endpoint's answer holds no choice.", str(body.get("model", "")), retryable=True)


def _message(error: Any) -> str:
    return str(error.get("message", error) if isinstance(error, Mapping) else error)
