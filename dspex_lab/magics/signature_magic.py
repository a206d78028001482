"""``%%signature``: a cell whose text is a signature. Binds the compiled signature to the name on the first line."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from dspex_lab.errors import SignatureError
from dspex_lab.signatures import CompiledSignature, compile_signature

__all__ = ["define_signature"]


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
