"""What a language model is told when its output broke the signature: the validator's own words.

Pure text; knows nothing of how the words reach the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspex_lab.errors import ValidationError

__all__ = ["feedback_for"]

_MAX_SHOWN = 8
_MAX_CHARS = 200


def feedback_for(error: ValidationError) -> str:
    """A paragraph to add to the instructions before the next try."""
    faults = [_fault(one) for one in error.errors[:_MAX_SHOWN]] or [f"- {error.message}"]
    return "Your previous answer was refused:\n" + "\n".join(faults) + "\nAnswer again and avoid these faults."


def _fault(fault: Mapping[str, Any]) -> str:
    shown = repr(fault.get("input"))
    given = f" (you gave {shown[:_MAX_CHARS]})" if "input" in fault else ""
    return f"- {fault.get('field') or 'answer'}: {fault.get('message', 'is wrong')}{given}"
