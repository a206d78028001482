"""The brief form of a prompt, for small local models: the same fields in a third of the words, answered as JSON.

DSPy's own adapters describe their format with placeholders (``{"answer": "{answer}"}``), and a model of 135M
parameters copies the placeholder. Here the decoder enforces the format, so the prompt need not explain it.
"""

from __future__ import annotations

from typing import Any

from dspex_lab.signatures.field import Field, Signature
from dspex_lab.signatures.prompt_types import annotation_name
from dspex_lab.signatures.rebuild import without_metadata

__all__ = ["brief_part", "brief_request", "in_one"]


def brief_part(name: str, text: str) -> str:
    """One input as it is shown."""
    return f"{name}: {text}"


def brief_request(signature: Signature) -> str:
    """The names and types of the outputs, with what the signature says of them."""
    lines = [f"- {item.name} ({_kind(item)}){_note(item)}" for item in signature.outputs]
    return "\n".join(("Answer in JSON with these fields:", *lines))


def in_one(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``messages`` with the instructions at the head of the first question: small models read them there."""
    first, second = (*messages, {})[:2]
    if first["role"] == "system" and isinstance(second.get("content"), str):
        return [{**second, "content": f"{first['content']}\n\n{second['content']}"}, *messages[2:]]
    return messages


def _kind(item: Field) -> str:
    return annotation_name(without_metadata(item.annotation))


def _note(item: Field) -> str:
    notes = [note for note in (item.description, item.constraints) if note]
    return f": {'; '.join(notes)}" if notes else ""
