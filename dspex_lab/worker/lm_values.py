"""DSPy's lm15 values to ours and back: requests, schemas, responses. Pure functions; imports DSPy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dspy import lm15
from dspy.clients.lm15_boundary import request_kwargs

from dspex_lab.calls import LmReply, LmRequest, LmSpec
from dspex_lab.errors import LabError, ModelError
from dspex_lab.signatures import compile_signature

__all__ = ["foreign_error", "to_lm_request", "to_response"]

_FINISH_REASONS = {"stop": "stop", "length": "length", "content_filter": "content_filter", "tool_calls": "tool_call"}
#: Parts of a body that have a place of their own in an LmRequest, or none.
_PLACED = frozenset(
    {"messages", "temperature", "max_tokens", "max_completion_tokens", "response_format", "tools", "tool_choice"}
)


def to_lm_request(request: Any, spec: LmSpec, *, signature: Any = None, deadline: float | None = None) -> LmRequest:
    """``request`` (lm15) for the model ``spec``. Where DSPy asks for JSON, ``signature``'s own strict schema is asked
    for. ``deadline`` is in epoch seconds."""
    body = request_kwargs(request, "chat")
    temperature = body.get("temperature")
    max_tokens = body.get("max_tokens", body.get("max_completion_tokens"))
    timeout_s = spec.timeout_s if deadline is None else min(spec.timeout_s, max(0.001, deadline - time.time()))
    lm = replace(
        spec,
        temperature=spec.temperature if temperature is None else temperature,
        max_tokens=spec.max_tokens if max_tokens is None else max_tokens,
        timeout_s=timeout_s,
    )
    schema = _schema(body["response_format"], signature) if "response_format" in body else None
    options = {key: value for key, value in body.items() if key not in _PLACED}
    return LmRequest(lm, tuple(body["messages"]), schema, options)


def _schema(response_format: Mapping[str, Any], signature: Any) -> Mapping[str, Any] | None:
    """The signature's schema, which has its constraints; else the one that DSPy made, if it made one."""
    if signature is not None:
        try:
            return compile_signature(signature).json_schema
        except LabError:  # a type without JSON form: DSPy's own idea of it must do
            pass
    schema = response_format.get("json_schema", {}).get("schema")
    return schema if isinstance(schema, Mapping) else None


def to_response(reply: LmReply) -> Any:
    """``reply`` as DSPy's own Response."""
    return lm15.Response(
        id=None,
        model=reply.model,
        message=lm15.Message.assistant([lm15.TextPart(reply.text)]),
        finish_reason=_FINISH_REASONS.get(reply.finish_reason, "stop"),
        usage=lm15.Usage(input_tokens=reply.usage.input_tokens, output_tokens=reply.usage.output_tokens),
        provider_data={"first_token_s": reply.first_token_s, "tokens_per_s": reply.tokens_per_s},
    )


def foreign_error(error: ModelError) -> Exception:
    """``error`` as DSPy must see it: a prompt that is too long is something that DSPy's modules know to handle."""
    return lm15.ContextLengthError(error.message) if error.status == 413 else error
