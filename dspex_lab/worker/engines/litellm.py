"""Every other provider, through LiteLLM as DSPy ships it. Slow to import, so it is imported with the first request."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import Any

from dspex_lab.calls import LmReply, LmRequest, LmSpec, Usage
from dspex_lab.errors import DeadlineExceeded, ModelError
from dspex_lab.worker.engines.base import OnText
from dspex_lab.worker.engines.http_errors import status_error
from dspex_lab.worker.engines.wire_form import ReplyReader, request_body

__all__ = ["LiteLlmEngine"]


class LiteLlmEngine:
    """Answers ``provider/NAME`` as LiteLLM writes it."""

    async def complete(self, request: LmRequest, on_text: OnText | None = None) -> LmReply:
        lm = request.lm
        try:
            async with asyncio.timeout(lm.timeout_s) as limit:
                litellm = await asyncio.to_thread(_litellm, lm)
                return await _answer(litellm, request, on_text)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise DeadlineExceeded(f"{lm.model} did not answer within {lm.timeout_s:g} s.") from error

    async def aclose(self) -> None:
        """LiteLLM keeps its own clients."""


async def _answer(litellm: Any, request: LmRequest, on_text: OnText | None) -> LmReply:
    import openai

    reader = ReplyReader(request)
    body = request_body(request, request.lm.model, stream=on_text is not None)
    try:
        response = await litellm.acompletion(**body, **_connection(request.lm), num_retries=0, drop_params=True)
        if on_text is None:
            reader.read_body(response.model_dump())
        else:
            async for chunk in response:
                if text := reader.read_event(chunk.model_dump_json()):
                    await on_text(text)
    except openai.OpenAIError as error:  # the base of LiteLLM's own errors
        raise _model_error(request.lm, error) from error
    return _priced(litellm, reader.reply(), request.lm)


def _litellm(lm: LmSpec) -> Any:
    # Without this it asks a server for prices when it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        from dspy.clients._litellm import get_litellm

        return get_litellm(feature=lm.model)
    except ImportError as error:
        raise ModelError(f"{lm.model} needs LiteLLM.", lm.model, hint="pip install litellm") from error


def _connection(lm: LmSpec) -> dict[str, Any]:
    return {"api_key": lm.api_key, "api_base": lm.api_base, "timeout": lm.timeout_s}


def _model_error(lm: LmSpec, error: Exception) -> ModelError:
    status = getattr(error, "status_code", None)
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    if not isinstance(status, int):
        return ModelError(f"{lm.model} cannot be reached: {type(error).__name__}.", lm.model, retryable=True)
    return status_error(lm, status, str(getattr(error, "message", error)), headers)


def _priced(litellm: Any, reply: LmReply, lm: LmSpec) -> LmReply:
    """The reply with its cost, where LiteLLM's table knows the model's price."""
    usage = reply.usage
    try:
        prices = litellm.cost_per_token(
            model=lm.model, prompt_tokens=usage.input_tokens, completion_tokens=usage.output_tokens
        )
    except Exception:  # a model without a price, told by exceptions of many kinds
        return reply
    return replace(reply, usage=Usage(usage.input_tokens, usage.output_tokens, sum(prices), usage.lm_calls))
