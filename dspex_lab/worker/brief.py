"""The prompt for small local models: the same fields in a third of the words, answered as JSON.

DSPy's own adapters describe their format with placeholders (``{"answer": "{answer}"}``), and a model of 135M
parameters copies the placeholder. Here the decoder enforces the format, so the prompt need not explain it.
Imports DSPy: only code that runs DSPy programs may import this module.
"""

from __future__ import annotations

from typing import Any

import dspy
from dspy.adapters.utils import format_field_value, get_annotation_name

__all__ = ["BriefAdapter"]


class BriefAdapter(dspy.JSONAdapter):  # type: ignore[misc]
    """Instructions, inputs and the names and types of the outputs, in one message of the user."""

    def format(self, signature: Any, demos: list[dict[str, Any]], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        """DSPy's messages, with the instructions at the head of the first question: small models read them there."""
        messages: list[dict[str, Any]] = super().format(signature, demos, inputs)
        first, second = (*messages, {})[:2]
        if first["role"] == "system" and isinstance(second.get("content"), str):
            messages[:2] = [{**second, "content": f"{first['content']}\n\n{second['content']}"}]
        return messages

    def format_system_message(self, signature: Any) -> str:
        return str(signature.instructions)

    def format_user_message_content(
        self,
        signature: Any,
        inputs: dict[str, Any],
        prefix: str = "",
        suffix: str = "",
        main_request: bool = False,
    ) -> str:
        given = [
            f"{name}: {format_field_value(info, inputs[name])}"
            for name, info in signature.input_fields.items()
            if name in inputs
        ]
        asked = self.user_message_output_requirements(signature) if main_request else ""
        return "\n\n".join(part for part in (prefix, *given, asked, suffix) if part)

    def user_message_output_requirements(self, signature: Any) -> str:
        lines = [f"- {name} ({_kind(info)}){_note(name, info)}" for name, info in signature.output_fields.items()]
        return "\n".join(("Answer in JSON with these fields:", *lines))


def _kind(info: Any) -> str:
    return str(get_annotation_name(info.annotation))


def _note(name: str, info: Any) -> str:
    """What the signature says of a field beside its type."""
    extra = info.json_schema_extra or {}
    described = extra.get("desc") or ""
    notes = [note for note in (described, extra.get("constraints") or "") if note and note != f"${{{name}}}"]
    return f": {'; '.join(notes)}" if notes else ""
