"""Outputs as they are kept, and back: plain data by the step's own signature, or the exact wire form.

What cannot be written exactly is not kept: a result from a cache is the one that was made. Knows nothing of caches.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from dspex_lab.errors import LabError
from dspex_lab.router.operation import Operation
from dspex_lab.signatures import from_wire, to_wire

__all__ = ["read_outputs", "write_outputs"]


def write_outputs(operation: Operation, outputs: Mapping[str, Any], *, is_exact: bool) -> dict[str, Any] | None:
    """``outputs`` in the form in which they are kept; None when there is none. Not ``is_exact``: in this process's
    memory, where a copy will do for a function's values."""
    if operation.checked is not None:
        return {"form": "signature", "outputs": operation.checked.serializer.dump(outputs)}
    try:
        if is_exact:
            return {"form": "wire", "outputs": to_wire(dict(outputs))}
        return {"form": "copy", "outputs": copy.deepcopy(dict(outputs))}
    except Exception:  # whatever a user's class raises when it is asked for a copy
        return None


def read_outputs(operation: Operation, kept: Any) -> Mapping[str, Any] | None:
    """The outputs in what was kept; None when they cannot be read, as if they were not there."""
    if not isinstance(kept, Mapping):
        return None
    try:
        match kept.get("form"):
            case "signature" if operation.checked is not None:
                return operation.checked.validator.validate_outputs(kept["outputs"])
            case "wire":
                outputs: Mapping[str, Any] = from_wire(kept["outputs"])
                return outputs
            case "copy":
                copied: Mapping[str, Any] = kept["outputs"]
                return copied
    except (LabError, KeyError):
        return None
    return None
