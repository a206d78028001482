"""Values as plain data, for events: what JSON knows as it is, the rest by a short repr.

An event must never hold on to a user's objects, nor grow with them.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

__all__ = ["plain", "plain_values"]

_MAX_ITEMS = 100
_MAX_CHARS = 20_000
_MAX_DEPTH = 6
_SHORT = reprlib.Repr()
_SHORT.maxother = 300


#: What needs no look.
_ATOMS = frozenset({bool, float, int, type(None)})


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with each as :func:`plain` has it."""
    found = {}
    for name, value in values.items():
        found[name] = value if type(value) in _ATOMS else plain(value)
    return found


def plain(value: Any, *, depth: int = 0) -> Any:
    """``value`` as strings, numbers, booleans, None, lists and dicts."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value) if len(value) <= _MAX_CHARS else value[: _MAX_CHARS - 1] + "…"
    if depth < _MAX_DEPTH:
        if isinstance(value, Mapping):
            pairs = list(value.items())[:_MAX_ITEMS]
            return {str(name): plain(item, depth=depth + 1) for name, item in pairs}
        if isinstance(value, list | tuple | set | frozenset):
            return [plain(item, depth=depth + 1) for item in list(value)[:_MAX_ITEMS]]
    return _SHORT.repr(value)
