"""What the stand-in server answers, as values: behaviours, bodies and events in OpenAI's wire form. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dspex_lab.testing.language_model import smallest_value, words

__all__ = ["Answer", "Behaviour", "says"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one request is answered; times in seconds.

    ``text``: the answer; None: the smallest valid JSON under the request's schema, or an echo. ``latency_s`` comes
    before the answer, ``delay_s`` between its words. ``status`` other than 200 is an error with ``message``;
    ``headers`` are added. ``cut_after``: the connection breaks after so many words. ``is_silent``: nothing ever
    comes. ``raw``: these bytes in place of the body, or of the first event. ``is_bytewise``: the body comes byte by
    byte, ``delay_s`` apart. ``refuses``: a body that has one of these as a key, or as the type of its
    ``response_format``, is refused with status 400.
    """

    text: str | None = None
    latency_s: float = 0.0
    delay_s: float = 0.0
    status: int = 200
    message: str = "This error was asked for."
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    is_silent: bool = False
    raw: bytes | None = None
    is_bytewise: bool = False
    finish_reason: str = "stop"
    refuses: tuple[str, ...] = ()


def says(**fields: str) -> Behaviour:
    """An answer with these outputs, in the form of DSPy's ChatAdapter."""
    parts = [f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in fields.items()]
    return Behaviour(text="".join([*parts, "[[ ## completed ## ]]"]))


class Answer:
    """The answer to one request body under one behaviour."""

    def __init__(self, request: Mapping[str, Any], behaviour: Behaviour) -> None:
        self._request = request
        self._behaviour = behaviour
        self._pieces = words(_text(request) if behaviour.text is None else behaviour.text)

    @property
    def is_stream(self) -> bool:
        return bool(self._request.get("stream"))

    @cached_property
    def usage(self) -> dict[str, int]:
        """Tokens in OpenAI's names; a token is a word here."""
        asked = sum(len(words(str(one.get("content", "")))) for one in self._request.get("messages", ()))
        made = len(self._pieces)
        return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}

    def error(self) -> tuple[int, bytes] | None:
        """The status and body of the refusal, when the request is refused."""
        form = self._request.get("response_format", {}).get("type")
        for name in self._behaviour.refuses:
            if name in self._request or name == form:
                return 400, _error_body(400, f"Unsupported parameter: {name}")
        status = self._behaviour.status
        return None if status == 200 else (status, _error_body(status, self._behaviour.message))

    def body(self) -> bytes:
        """The whole reply, for a request that does not stream."""
        if self._behaviour.raw is not None:
            return self._behaviour.raw
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "".join(self._pieces)},
            "finish_reason": self._behaviour.finish_reason,
        }
        return self._encode("chat.completion", choices=[choice], usage=self.usage)

    def events(self) -> Iterator[bytes]:
        """The data of each event; ends early where the behaviour cuts the stream."""
        if self._behaviour.raw is not None:
            yield self._behaviour.raw
        for index, piece in enumerate(self._pieces):
            if index == self._behaviour.cut_after:
                return
            yield self._event({"content": piece}, None)
        if self._behaviour.cut_after is not None:
            return
        yield self._event({}, self._behaviour.finish_reason)
        if "stream_options" in self._request:
            yield self._encode("chat.completion.chunk", choices=[], usage=self.usage)
        yield b"[DONE]"

    def _event(self, delta: Mapping[str, Any], finish_reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return self._encode("chat.completion.chunk", choices=[choice])

    def _encode(self, kind: str, **fields: Any) -> bytes:
        head = {"id": "stand-in", "object": kind, "created": 0, "model": self._request.get("model")}
        return json.dumps({**head, **fields}).encode()


def _error_body(status: int, message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "scripted", "code": status}}).encode()


def _text(request: Mapping[str, Any]) -> str:
    form = request.get("response_format", {})
    if form.get("type") == "json_schema":
        return json.dumps(smallest_value(form["json_schema"]["schema"]))
    if form.get("type") == "json_object":
        return "{}"
    return f"You said: {request['messages'][-1].get('content', '')}"
