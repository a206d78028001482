"""What an HTTP answer that is no success means to a caller: one ModelError for each. Pure functions."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping

from dspex_lab.calls import LmSpec
from dspex_lab.errors import ModelError

__all__ = ["complaint", "key_hint", "retry_after_s", "status_error"]

_MAX_CHARS = 300
_TOO_LONG = ("context_length_exceeded", "maximum context length", "context size", "too many tokens")


def status_error(lm: LmSpec, status: int, body: str, headers: Mapping[str, str]) -> ModelError:
    """The error for ``status``; the endpoint's own words are kept short, and the key is kept out of them."""
    said = complaint(body)
    if lm.api_key:
        said = said.replace(lm.api_key, "***")
    wait_s = retry_after_s(headers)
    message, hint = _sentence(lm, status, said)
    return ModelError(
        message,
        lm.model,
        413 if status == 400 and any(words in said.lower() for words in _TOO_LONG) else status,
        retry_after_s=wait_s,
        hint=f"It asks to wait {wait_s:g} s." if wait_s is not None else hint,
        retryable=status in (408, 409, 425, 429) or status >= 500,
    )


def _sentence(lm: LmSpec, status: int, said: str) -> tuple[str, str | None]:
    where = lm.api_base or "the provider"
    if status in (401, 403):
        return f"{lm.model} refuses the key ({status}): {said}", key_hint(lm)
    if status == 404:
        return f"There is no {lm.model} at {where}: {said}", "Check the model's name and the API base."
    if status == 429:
        return f"{lm.model} limits the rate of requests: {said}", "Try again later, or ask less at once."
    if status >= 500:
        return f"{lm.model} failed ({status}): {said}", None
    return f"{lm.model} refused the request ({status}): {said}", None


def key_hint(lm: LmSpec) -> str:
    """Where a key for ``lm`` is looked for."""
    provider = lm.model.partition("/")[0].upper().replace("-", "_")
    return f"Set {provider}_API_KEY in the notebook's environment, then choose the model again: %lab lm {lm.model}."


def complaint(body: str) -> str:
    """The endpoint's own words about what is wrong."""
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    found: object = body
    if isinstance(data, dict):
        error = data.get("error", data.get("detail", data.get("message", body)))
        found = error.get("message", error) if isinstance(error, dict) else error
    text = " ".join(str(found).split())
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The ``retry-after`` header in seconds, which may hold seconds or a date."""
    value = headers.get("retry-after")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
