"""Completions inside a ``%%signature`` cell: types behind a colon, options inside ``Field(...)``. A pure function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dspex_lab.signatures.types.constraints import FIELD_OPTIONS
from dspex_lab.signatures.types.dspy_types import DSPY_TYPE_NAMES
from dspex_lab.signatures.types.known_types import BUILTIN_TYPES, KNOWN_MODULES, KNOWN_TYPES
from dspex_lab.signatures.types.names import is_type

__all__ = ["completions"]

_WORD = re.compile(r"[\w.]*\Z")
_IN_FIELD = re.compile(r"\bField\((?:[^()]*,)?\s*\w*\Z")
_COMMON = ("str", "int", "float", "bool", "list", "dict", "Literal", "Optional", "Annotated", "tuple", "set", "Any")


def completions(text: str, cursor: int, *, namespace: Mapping[str, Any] | None = None) -> list[str]:
    """What could stand at ``cursor`` (a character offset): whole words that begin with the word before it.

    Empty in names, comments and instructions. With ``namespace`` the user's classes are offered too.
    """
    before = text[: max(0, cursor)]
    line = before.rpartition("\n")[2]
    if before.count('"""') % 2 or "#" in line:
        return []
    found = _WORD.search(line)
    word = found[0] if found else ""
    if _IN_FIELD.search(line):
        return [f"{option}=" for option in FIELD_OPTIONS if option.startswith(word)]
    if ":" not in line and "[" not in line:
        return []
    if "." in word:
        return _members(word)
    own = [name for name, value in (namespace or {}).items() if is_type(value) and not name.startswith("_")]
    names = dict.fromkeys([*_COMMON, *BUILTIN_TYPES, *KNOWN_TYPES, *sorted(own), "Field(", "dspy."])
    return [name for name in names if name.lower().startswith(word.lower())]


def _members(word: str) -> list[str]:
    module, _, start = word.partition(".")
    known = DSPY_TYPE_NAMES if module == "dspy" else tuple(KNOWN_MODULES.get(module, ()))
    return [f"{module}.{name}" for name in known if name.lower().startswith(start.lower())]
