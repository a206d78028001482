"""A stand-in for what a name means when only the name is known: for reading a signature without its notebook."""

from __future__ import annotations

import enum
from typing import Any

__all__ = ["ASSUMED_VALUE", "Assumed"]


class Assumed:
    """In a namespace: this name is there, and may be a type, a module with types in it, or an enum."""

    def __class_getitem__(cls, arguments: Any) -> Any:
        return cls


class _Member(enum.Enum):
    ASSUMED = "…"


#: What ``Name.MEMBER`` stands for as a value when ``Name`` is assumed.
ASSUMED_VALUE = _Member.ASSUMED
