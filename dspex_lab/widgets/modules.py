"""One ES module out of several, and one style sheet: front ends load a widget's code as one text, in which no relative
import works."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["STATIC", "read_module", "read_style"]

#: Where the modules and style sheets lie.
STATIC = Path(__file__).parent / "static"
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(?P<name>\w+\.js)";\n', re.MULTILINE)


def read_module(path: Path) -> str:
    """The module at ``path`` with the modules beside it that it imports, each once, before what needs them.

    Imports are written ``import { names } from "./file.js";``; names must be unique over all files, since all end up
    in one scope.
    """
    return "\n".join(_IMPORT.sub("", one.read_text(encoding="utf-8")) for one in _in_order(path, []))


def read_style(*names: str) -> str:
    """The style sheets with these names, one after the other."""
    return "\n".join((STATIC / f"{name}.css").read_text(encoding="utf-8") for name in names)


def _in_order(path: Path, before: list[Path]) -> list[Path]:
    for found in _IMPORT.finditer(path.read_text(encoding="utf-8")):
        _in_order(path.with_name(found["name"]), before)
    if path not in before:
        before.append(path)
    return before
