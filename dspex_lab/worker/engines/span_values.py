"""What a span says of one attempt at a language model, by OpenTelemetry's generative-AI names. Never a key."""

from __future__ import annotations

from typing import Any

from dspex_lab.calls import LmReply, LmRequest
from dspex_lab.telemetry import attributes as names

__all__ = ["reply_attributes", "request_attributes"]


def request_attributes(request: LmRequest) -> dict[str, Any]:
    """What was asked, and of whom."""
    lm = request.lm
    return {
        names.KIND: "lm",
        names.OPERATION_NAME: "chat",
        names.PROVIDER_NAME: lm.model.partition("/")[0],
        names.REQUEST_MODEL: lm.model,
        names.REQUEST_TEMPERATURE: lm.temperature,
        names.REQUEST_MAX_TOKENS: lm.max_tokens,
        names.INPUT_MESSAGES: [dict(message) for message in request.messages],
    }


def reply_attributes(reply: LmReply) -> dict[str, Any]:
    """What came back, and what the response itself says it used."""
    return {
        names.RESPONSE_MODEL: reply.model,
        names.FINISH_REASONS: [reply.finish_reason],
        names.INPUT_TOKENS: reply.usage.input_tokens,
        names.OUTPUT_TOKENS: reply.usage.output_tokens,
        names.COST_USD: reply.usage.cost,
        names.FIRST_TOKEN_S: reply.first_token_s,
        names.OUTPUT_MESSAGES: [{"role": "assistant", "content": reply.text}],
    }
