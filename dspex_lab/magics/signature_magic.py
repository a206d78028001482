"""``%%signature``: a cell whose text is a signature. Binds the compiled signature to the name on the first line."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from dspex_lab.errors import SignatureError
from dspex_lab.signatures import CompiledSignature, compile_signature

__all__ = ["HELP", "define_signature"]

HELP = '''Define a typed signature.

    %%signature Triage
    """Route a support ticket to the right team."""
    ticket: str                                    # the customer's words
    language: str = "en"
    ->
    category: Literal["billing", "bug", "feature"]
    urgency: Annotated[int, Field(ge=1, le=5)]     # 5 is drop everything
    reply: str | None

Inputs stand above the arrow, outputs below it. A leading string is the instructions, a trailing comment a field's
description, `= value` an input's default, `Annotated[..., Field(...)]` a constraint that is enforced on the way in
and on the way out. Types: str int float bool list dict tuple set Literal Optional Union Any, nested at will, and
enums, dataclasses and pydantic models that the notebook defined. Afterwards `Triage` is the signature.
'''


def define_signature(line: str, cell: str, namespace: MutableMapping[str, Any]) -> CompiledSignature:
    """Compile ``cell`` and bind it in ``namespace`` to the name in ``line``. Raises ``SignatureError``."""
    name = line.strip() or "Signature"
    if not name.isidentifier():
        raise SignatureError(
            f"{name!r} is no name for a signature.",
            f"%%signature {line}",
            line=1,
            column=len("%%signature ") + 1,
            hint="Write one name after %%signature, as in %%signature Triage.",
        )
    # The magic's own line stands for line 1, so that errors name the lines that the user sees.
    compiled = compile_signature(f"\n{cell}", name=name, namespace=namespace)
    namespace[name] = compiled
    return compiled
