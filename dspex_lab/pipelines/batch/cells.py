"""Cells of tables as Python has them: missing ones are None, numpy's numbers are numbers, a CSV file's texts are what
the field that they are for is declared as. Pure."""

from __future__ import annotations

import json
import re
import types
from typing import Annotated, Any, Union, get_args, get_origin

__all__ = ["from_text", "plain_cell"]

_INT = re.compile(r"-?(0|[1-9]\d*)")
_FLOAT = re.compile(r"-?(0|[1-9]\d*)\.\d+([eE][+-]?\d+)?")
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


def plain_cell(value: Any) -> Any:
    """``value`` as Python has it; what a table has for a missing one is None."""
    if value is None or isinstance(value, str | int | list | dict):
        return value
    if value != value:
        return None
    if type(value).__name__ == "NAType":
        return None
    item = getattr(value, "item", None)
    return item() if item is not None and getattr(value, "shape", None) == () else value


def from_text(text: str, annotation: Any) -> Any:
    """What ``text`` means for a field of that type; an empty one is missing. Where nothing is declared, what looks like
    a number is one. A text that does not fit stays one, for the field's own check to refuse."""
    if text == "":
        return None
    kind = _kind(annotation)
    if kind is Any:
        return int(text) if _INT.fullmatch(text) else float(text) if _FLOAT.fullmatch(text) else text
    if kind is bool and text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    if kind in (list, dict, tuple, set) and text[0] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _kind(annotation: Any) -> Any:
    """The type itself, without what is optional about it and what is inside."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kind(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        kinds = [one for one in get_args(annotation) if one is not type(None)]
        return _kind(kinds[0]) if len(kinds) == 1 else str
    return origin or annotation
