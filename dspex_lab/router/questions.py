"""What the hybrid route asks a language model: pure functions of an operation and its inputs to a request.

The messages, and the schema with them, are those that DSPy would send for the same step from a worker. The form of
the call's arguments is the contract with the worker's operation ``lm.complete``; this module knows nothing of how a
call travels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import msgspec

from dspex_lab.calls import Call, LmReply, LmRequest, LmSpec
from dspex_lab.errors import SignatureError, ValidationError
from dspex_lab.router.operation import Operation
from dspex_lab.router.python_calls import CallSettings, instructions_for
from dspex_lab.signatures import CompiledSignature, FieldStream
from dspex_lab.signatures.types.dspy_types import is_left_to_dspy

__all__ = ["HYBRID_KINDS", "NEURAL_POOL", "Form", "Question", "ask", "why_not_hybrid"]

#: The kinds whose prompt can be written, and whose reply can be read, without DSPy.
HYBRID_KINDS = frozenset({"predict", "chain_of_thought"})
#: Where local models live.
NEURAL_POOL = "neural"

#: How the outputs are asked for: "brief" and "json" are answered as JSON under the signature's schema, "chat" with
#: DSPy's field markers.
Form = Literal["brief", "chat", "json"]

_SETTINGS = frozenset({"adapter", "demos", "instructions"})
_ADAPTERS = frozenset({"auto", "chat", "json"})


def why_not_hybrid(operation: Operation) -> str:
    """The reason why ``operation`` must be left to DSPy in a worker; "" when it need not be."""
    if operation.kind not in HYBRID_KINDS:
        return f"{operation.kind} needs DSPy"
    signature = operation.checked or operation.signature
    if signature is None:
        return "it has no signature"
    if operation.tools or operation.module is not None:
        return "it has tools or a module"
    unknown = sorted(operation.settings.keys() - _SETTINGS)
    if unknown:
        return f"the setting {unknown[0]} is DSPy's"
    adapter = operation.settings.get("adapter", "auto")
    if adapter not in _ADAPTERS:
        return f"the adapter {adapter} is not known here"
    return _why_not_native(signature)


@lru_cache(maxsize=256)
def _why_not_native(signature: CompiledSignature) -> str:
    return _media(signature) or signature.prompt.why_not or _why_no_schema(signature)


def _media(signature: CompiledSignature) -> str:
    """An input that is DSPy's to read; a conversation's history is plain data, and is not."""
    for item in signature.inputs:
        if is_left_to_dspy(item.annotation) and getattr(item.annotation, "__name__", "") != "History":
            return f"`{item.name}` has a type of DSPy's"
    return ""


def _why_no_schema(signature: CompiledSignature) -> str:
    try:
        _ = signature.json_schema
    except SignatureError as error:
        return error.message
    return ""


@dataclass(frozen=True, slots=True)
class Question:
    """One request to a language model, and how its reply is read."""

    signature: CompiledSignature
    form: Form
    request: LmRequest

    def call(self, operation: Operation, settings: CallSettings) -> Call:
        """The call that asks it."""
        return Call(
            "lm.complete",
            {"request": msgspec.to_builtins(self.request)},
            pool=settings.pool,
            timeout_s=settings.timeout_s,
            trace=settings.trace,
            stream=settings.is_streaming,
            idempotent=operation.is_idempotent,
            priority=settings.priority,
            light=not self.request.lm.is_local,
        )

    def fields(self) -> FieldStream:
        """Tells apart the outputs in the reply while it comes."""
        return FieldStream(self.signature, "chat" if self.form == "chat" else "json")

    def outputs(self, value: Any) -> dict[str, Any]:
        """The outputs in what the call gave back. Raises ``ValidationError`` when they are not all there."""
        text = msgspec.convert(value, LmReply).text
        if not text:
            raise ValidationError(f"The reply to {self.signature.name} is empty.")
        prompt = self.signature.prompt
        return prompt.parse_chat(text) if self.form == "chat" else prompt.parse_json(text)

    @property
    def second_form(self) -> Form | None:
        """How to ask again when the reply cannot be read: as DSPy's ChatAdapter does."""
        return "json" if self.form == "chat" else None


def ask(
    operation: Operation, inputs: Mapping[str, Any], settings: CallSettings, *, form: Form | None = None
) -> Question:
    """The question of ``operation`` for validated plain ``inputs``. ``form`` None means the one that its adapter and
    its model call for."""
    signature = _asked_signature(operation, settings.feedback)
    form = form or _first_form(operation.settings.get("adapter", "auto"), settings.lm)
    demos: Sequence[Any] = operation.settings.get("demos") or ()
    prompt = signature.prompt
    write = {"brief": prompt.brief_messages, "chat": prompt.chat_messages, "json": prompt.json_messages}[form]
    schema = None if form == "chat" else signature.json_schema
    request = LmRequest(_limited(settings.lm, settings.timeout_s), tuple(write(inputs, demos)), schema)
    return Question(signature, form, request)


def _asked_signature(operation: Operation, feedback: str) -> CompiledSignature:
    """The signature that the model is asked: with its reasoning, with instructions of the step's own."""
    instructions = instructions_for(operation, feedback)
    signature = operation.signature
    if signature is None:
        raise SignatureError(f"{operation.name} has no signature.")
    if instructions is not None:
        signature = _instructed(signature, instructions)
    return signature.with_reasoning() if operation.kind == "chain_of_thought" else signature


@lru_cache(maxsize=64)
def _instructed(signature: CompiledSignature, instructions: str) -> CompiledSignature:
    """Kept, for what a compiled signature has built is the costly part of a call."""
    return signature.with_instructions(instructions)


def _first_form(adapter: str, lm: LmSpec) -> Form:
    if adapter == "json":
        return "json"
    return "brief" if adapter == "auto" and lm.is_local else "chat"


def _limited(lm: LmSpec, timeout_s: float | None) -> LmSpec:
    """``lm`` with what is left of the step's time, when that is less than its own limit."""
    return lm if timeout_s is None or timeout_s >= lm.timeout_s else replace(lm, timeout_s=max(0.001, timeout_s))
