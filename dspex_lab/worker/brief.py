"""The prompt for small local models, as a DSPy adapter: the brief form of ``signatures``, answered as JSON.

One implementation serves both routes; this is the way to it from DSPy's side.
Imports DSPy: only code that runs DSPy programs may import this module.
"""

from __future__ import annotations

from typing import Any

import dspy

from dspex_lab.errors import SignatureError
from dspex_lab.signatures import compile_signature

__all__ = ["BriefAdapter"]


class BriefAdapter(dspy.JSONAdapter):  # type: ignore[misc]  # DSPy publishes no types: its classes are Any to mypy
    """Asks in the brief form, and reads the replies as DSPy's own adapter for JSON does."""

    def format(self, signature: Any, demos: list[dict[str, Any]], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        """The messages of ``CompiledSignature.prompt.brief_messages``; DSPy's own for what only DSPy takes for a
        signature, such as one without inputs."""
        try:
            prompt = compile_signature(signature).prompt
        except SignatureError:
            own: list[dict[str, Any]] = super().format(signature, demos, inputs)
            return own
        return prompt.brief_messages(inputs, demos)
