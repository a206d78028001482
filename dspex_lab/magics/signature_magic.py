"""``%%signature``: a cell whose text is a signature. Binds the compiled signature to the name on the first line."""

from __future__ import annotations

import keyword
import threading
from collections.abc import MutableMapping
from typing import Any

from dspex_lab.errors import SignatureError
from dspex_lab.signatures import CompiledSignature, compile_signature

__all__ = ["define_signature", "warm_up_lab"]


def define_signature(line: str, cell: str, namespace: MutableMapping[str, Any]) -> CompiledSignature:
    """Compile ``cell`` and bind it in ``namespace`` to the name in ``line``. Raises ``SignatureError``."""
    name = line.strip() or "Signature"
    if not name.isidentifier() or keyword.iskeyword(name):
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


def warm_up_lab() -> None:
    """Have the lab get ready while the user goes on typing; returns at once and never fails."""
    threading.Thread(target=_warm_up, name="dspex-warm-up").start()


def _warm_up() -> None:
    # Imported here, on a thread, because the cell needs none of it.
    from dspex_lab.lab import warm_up

    warm_up()
