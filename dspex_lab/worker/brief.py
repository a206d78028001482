"""The prompt for small local models as an adapter of DSPy, for programs that run in a worker.

The words are those of ``dspex_lab.signatures``, which writes the same messages without DSPy.
Imports DSPy: only code that runs DSPy programs may import this module.
"""

from __future__ import annotations

from typing import Any

import dspy
from dspy.adapters.utils import format_field_value

from dspex_lab.signatures.prompt_brief import brief_part, brief_question, with_request

__all__ = ["BriefAdapter"]


class BriefAdapter(dspy.JSONAdapter):  # type: ignore[misc]
    """Inputs as they are, outputs asked for in plain words, no system message: small models read it less."""

    def format(self, signature: Any, demos: list[dict[str, Any]], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        """The turns, each with the request in it; after demonstrations it stands behind the inputs."""
        messages: list[dict[str, Any]] = super().format(signature, demos, inputs)[1:]
        request = f"{signature.instructions.strip()} {self.user_message_output_requirements(signature)}"
        return with_request(messages, request)

    def format_system_message(self, signature: Any) -> str:
        return ""

    def format_user_message_content(
        self,
        signature: Any,
        inputs: dict[str, Any],
        prefix: str = "",
        suffix: str = "",
        main_request: bool = False,
    ) -> str:
        given = [
            brief_part(name, format_field_value(info, inputs[name]))
            for name, info in signature.input_fields.items()
            if name in inputs
        ]
        return "\n\n".join(part for part in (prefix, *given, suffix) if part)

    def user_message_output_requirements(self, signature: Any) -> str:
        return " ".join(
            brief_question(name, info.annotation, notes=_notes(name, info))
            for name, info in signature.output_fields.items()
        )


def _notes(name: str, info: Any) -> tuple[str, ...]:
    """What the signature says of a field beside its type; DSPy's placeholder for a description is left out."""
    extra = info.json_schema_extra or {}
    described = extra.get("desc") or ""
    return (extra.get("constraints") or "", "" if described == f"${{{name}}}" else described)
