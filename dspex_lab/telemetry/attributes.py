"""What an attribute may be called and what may stand in it: OpenTelemetry's names, and no secrets.

Everything that is recorded goes through :func:`clean_attributes`, in the tracer and once more in the store.
Names follow OpenTelemetry's generative-AI conventions where they have one; the house's own begin with ``dspex.``.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from dspex_lab.errors.foreign import repr_of

__all__ = [
    "CACHE_HIT",
    "CELL_NUMBER",
    "CELL_TEXT",
    "COST_USD",
    "ERROR_TYPE",
    "FINISH_REASONS",
    "FIRST_TOKEN_S",
    "INPUTS",
    "INPUT_MESSAGES",
    "INPUT_TOKENS",
    "KIND",
    "OPERATION",
    "OPERATION_NAME",
    "OUTPUTS",
    "OUTPUT_MESSAGES",
    "OUTPUT_TOKENS",
    "POOL",
    "PROVIDER_NAME",
    "QUEUE_S",
    "REDACTED",
    "REQUEST_MAX_TOKENS",
    "REQUEST_MODEL",
    "REQUEST_TEMPERATURE",
    "RESPONSE_MODEL",
    "RETRIES",
    "RETRY_REASON",
    "RETRY_WAIT_S",
    "ROUTE",
    "ROUTE_REASON",
    "ROW",
    "ROWS",
    "ROWS_FAILED",
    "ROWS_LEFT_OUT",
    "RUN_ID",
    "STATUS",
    "STEP",
    "STEP_KIND",
    "SYSTEM_INSTRUCTIONS",
    "TOOL_NAME",
    "WORKER",
    "WORKFLOW_NAME",
    "clean_attributes",
    "clean_text",
]

OPERATION_NAME: Final = "gen_ai.operation.name"  # "chat", "embeddings", "execute_tool", "invoke_workflow"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_NAME: Final = "gen_ai.tool.name"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
ERROR_TYPE: Final = "error.type"

#: What a span is, on every one: "cell", "run", "step", "native", "call", "queue", "module", "tool" or "lm".
KIND: Final = "dspex.kind"
CELL_NUMBER: Final = "dspex.cell.number"
CELL_TEXT: Final = "dspex.cell.text"  # its first line
OPERATION: Final = "dspex.operation"
ROUTE: Final = "dspex.route"  # "native", "python", "hybrid"
ROUTE_REASON: Final = "dspex.route.reason"
POOL: Final = "dspex.pool"
WORKER: Final = "dspex.worker"
RUN_ID: Final = "dspex.run.id"
STATUS: Final = "dspex.status"  # "cancelled", where another tool has no word for it
STEP: Final = "dspex.step"
STEP_KIND: Final = "dspex.step.kind"  # "predict", "native", "parallel", ...
QUEUE_S: Final = "dspex.queue_s"
FIRST_TOKEN_S: Final = "dspex.first_token_s"  # noqa: S105 - a duration
COST_USD: Final = "dspex.cost_usd"
CACHE_HIT: Final = "dspex.cache.hit"
RETRIES: Final = "dspex.retries"
RETRY_REASON: Final = "dspex.retry.reason"  # the type of the error before it
RETRY_WAIT_S: Final = "dspex.retry.wait_s"
ROW: Final = "dspex.batch.row"  # its place in the batch, from 0
ROWS: Final = "dspex.batch.rows"  # those that are done
ROWS_FAILED: Final = "dspex.batch.rows.failed"
ROWS_LEFT_OUT: Final = "dspex.batch.rows.left_out"  # those that have no span
INPUTS: Final = "dspex.inputs"
OUTPUTS: Final = "dspex.outputs"

REDACTED: Final = "[redacted]"

#: Longer texts, longer collections and deeper nesting are cut: one span stays small whatever went through it.
_MAX_TEXT = 32_768
_MAX_ITEMS = 1_000
_MAX_DEPTH = 12
_SHORT = 64
#: What all values of one span together may take, in characters; an item of a collection counts as some of them.
_MAX_ALL = 2_000_000
_ITEM = 16

_ATOMS = frozenset({bool, float, type(None)})

# "token" in the singular only: input_tokens and max_tokens are counts.
_SECRET_KEY = re.compile(
    r"api_?key|authori[sz]ation|password|passwd|passphrase|secret|credential|cookie|private_?key|access_?key"
    r"|bearer|signature_key|headers$|(^|_)(token|auth|pwd|pat)$"
)
_WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_WORD = re.compile(r"[^A-Za-z0-9]+")

_SECRET_TEXT = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic and their kin
    r"|\b(?:ghp|gho|ghs|ghu|ghr)_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}"
    r"|\bhf_[A-Za-z0-9]{20,}|\bgsk_[A-Za-z0-9]{20,}|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bAKIA[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"  # a JSON web token
    r"|(?<=://)[^/\s:@]{1,256}:[^/\s@]{1,256}(?=@)"  # user:password in a URL
)
_SECRET_ASSIGNMENT = re.compile(
    r"((?:api[_-]?key|authorization)[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:bearer\s{1,4}|basic\s{1,4})?|\bbearer\s{1,4})"
    r"[A-Za-z0-9._~+/=-]{8,}",
    re.IGNORECASE,
)

#: Last parts of keys under which a prompt, an answer or a user's data may stand. An error's message is one of them:
#: an answer that could not be parsed is quoted there.
_CONTENT_KEYS = frozenset(
    {
        "accumulated_errors", "args", "arguments", "completion", "content", "demos", "errors", "feedback", "hint",
        "history", "input", "inputs", "instructions", "kwargs", "message", "messages", "output", "outputs", "prompt",
        "prompts", "reply", "response", "result", "results", "system_instructions", "text", "traceback", "value",
        "values",
    }
)  # fmt: skip


def clean_attributes(attributes: Mapping[str, Any], *, record_prompts: bool = True) -> dict[str, Any]:
    """``attributes`` as plain, bounded data without secrets; without prompts and answers too, when these are off.

    A key that names a secret goes with its value, at any depth; a text that looks like one is masked in its place.
    Applying it twice changes nothing. Never raises: what cannot be shown becomes the name of its type.
    """
    cleaned = _clean_mapping(attributes, _Work(record_prompts), 0)
    return cleaned if isinstance(cleaned, dict) else {}


class _Work:
    """One cleaning: what it may still take."""

    __slots__ = ("left", "record_prompts")

    def __init__(self, record_prompts: bool) -> None:
        self.record_prompts = record_prompts
        self.left = _MAX_ALL

    def has_room(self, size: int) -> bool:
        """Whether so much still fits; then it is taken."""
        if size > self.left:
            return False
        self.left -= size
        return True


def clean_text(text: str) -> str:
    """``text`` with everything masked that looks like a key or a token, and cut to 32,768 characters."""
    if len(text) > _MAX_TEXT:
        text = text[: _MAX_TEXT - 1] + "…"
    return _clean_short(text) if len(text) <= _SHORT else _masked(text)


@functools.lru_cache(maxsize=2048)  # names of operations, pools and workers come again and again
def _clean_short(text: str) -> str:
    return _masked(text)


def _masked(text: str) -> str:
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _SECRET_ASSIGNMENT.sub(rf"\g<1>{REDACTED}", _SECRET_TEXT.sub(REDACTED, text))


def _clean_mapping(mapping: Mapping[Any, Any], work: _Work, depth: int) -> dict[str, Any] | str:
    if depth > _MAX_DEPTH or not work.has_room(_ITEM * min(len(mapping), _MAX_ITEMS)):
        return "…"
    cleaned: dict[str, Any] = {}
    for number, (key, value) in enumerate(mapping.items()):
        if number >= _MAX_ITEMS:
            break
        name = _clean_key(key if isinstance(key, str) else repr_of(key))
        if name is None or (not work.record_prompts and _is_content(name, value)):
            continue
        cleaned[name] = value if type(value) in _ATOMS else _clean(value, work, depth + 1)
    return cleaned


def _clean(value: Any, work: _Work, depth: int) -> Any:
    kind = type(value)  # what is most of it, told by one look: a host cleans thousands of events a second
    if kind in _ATOMS:
        return value
    if kind is str:
        if len(value) <= _SHORT:
            return _clean_short(value)
        return clean_text(value) if work.has_room(min(len(value), _MAX_TEXT)) else "…"
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return clean_text(str(value))
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else repr_of(int(value))[:_MAX_TEXT]
    if depth > _MAX_DEPTH:
        return "…"
    try:
        return _clean_collection(value, work, depth)
    except Exception:  # a user's own mapping or dataclass may raise when it is looked into
        return f"<{kind.__name__}>"


def _clean_collection(value: Any, work: _Work, depth: int) -> Any:
    if isinstance(value, Mapping):
        return _clean_mapping(value, work, depth)
    if isinstance(value, list | tuple | set | frozenset):
        return _clean_items(value, work, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
        return _clean_mapping(fields, work, depth)
    return clean_text(repr_of(value)) if work.record_prompts else f"<{type(value).__name__}>"


def _clean_items(items: Collection[Any], work: _Work, depth: int) -> list[Any] | str:
    if not work.has_room(_ITEM * min(len(items), _MAX_ITEMS)):
        return "…"
    return [_clean(item, work, depth + 1) for _, item in zip(range(_MAX_ITEMS), items, strict=False)]


@functools.lru_cache(maxsize=1024)
def _clean_key(key: str) -> str | None:
    """The key as it may be recorded; None for one that names a secret."""
    words = _NO_WORD.sub("_", _WORD_BORDER.sub("_", key)).lower()
    return None if _SECRET_KEY.search(words) else clean_text(key)


def _is_content(key: str, value: Any) -> bool:
    last = key.rpartition(".")[2].lower()
    return last in _CONTENT_KEYS or (last == "error" and isinstance(value, str))
