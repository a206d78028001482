"""Puts bounds on a JSON schema, so that a small model that rambles still ends with whole JSON. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["JsonEnd", "bounded_schema"]

_MAX_ITEMS = 8
_SHORTEST, _LONGEST = 80, 600
#: What already bounds a string, or what a length must not be combined with.
_STRING_BOUNDS = frozenset({"enum", "const", "maxLength", "pattern", "format"})


def bounded_schema(schema: Mapping[str, Any], *, max_chars: int) -> dict[str, Any]:
    """``schema`` with a ``maxLength`` for each string and a ``maxItems`` for each list that has none.

    ``max_chars`` is shared out between the strings. Patterns that are not anchored are left out: llama.cpp's grammar
    does not take them, and validation checks them anyway.
    """
    strings = max(1, _count_strings(schema))
    length = min(_LONGEST, max(_SHORTEST, max_chars // strings))
    bounded: dict[str, Any] = _bounded(schema, length)
    return bounded


def _bounded(node: Any, length: int) -> Any:
    if isinstance(node, list):
        return [_bounded(item, length) for item in node]
    if not isinstance(node, Mapping):
        return node
    found = {key: value if key in ("enum", "const") else _bounded(value, length) for key, value in node.items()}
    pattern = found.get("pattern")
    if isinstance(pattern, str) and not (pattern.startswith("^") and pattern.endswith("$")):
        del found["pattern"]
    if found.get("type") == "string" and not _STRING_BOUNDS & found.keys():
        found["maxLength"] = max(length, int(found.get("minLength", 0)))
    if found.get("type") == "array" and "maxItems" not in found:
        found["maxItems"] = max(_MAX_ITEMS, int(found.get("minItems", 0)))
    return found


def _count_strings(node: Any) -> int:
    """How many strings without bounds an answer may hold at most; a list counts its items."""
    if isinstance(node, list):
        return sum(map(_count_strings, node))
    if not isinstance(node, Mapping):
        return 0
    inner = sum(_count_strings(value) for key, value in node.items() if key not in ("enum", "const"))
    if node.get("type") == "string" and not _STRING_BOUNDS & node.keys():
        return 1
    return inner * int(node.get("maxItems", _MAX_ITEMS)) if node.get("type") == "array" else inner


class JsonEnd:
    """Sees where a JSON object in a stream of text is complete: what a grammar allows after it is white space only."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False
        self.is_complete = False

    def feed(self, text: str) -> str:
        """The part of ``text`` that belongs to the object."""
        if self.is_complete:
            return ""
        for index, character in enumerate(text):
            if self._ends_with(character):
                self.is_complete = True
                return text[: index + 1]
        return text

    def _ends_with(self, character: str) -> bool:
        if self._is_in_string:
            if self._is_escaped:
                self._is_escaped = False
            elif character == "\\":
                self._is_escaped = True
            elif character == '"':
                self._is_in_string = False
        elif character == '"':
            self._is_in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            return self._depth <= 0
        return False
