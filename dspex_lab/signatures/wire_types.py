"""Values as plain data: what JSON and msgpack hold, made of the values that people pass to signatures."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import uuid
from collections.abc import Mapping
from typing import Any

import pydantic

__all__ = ["to_plain"]

_TEXT = (decimal.Decimal, fractions.Fraction, uuid.UUID, pathlib.PurePath, complex)


def to_plain(value: Any) -> Any:
    """``value`` as plain data; what is not known (arrays, tables, foreign objects) comes back as it is."""
    if value is None or (isinstance(value, bool | int | float | str | bytes) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(to_plain(key)): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(part) for part in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, _TEXT):
        return str(value)
    if isinstance(value, pydantic.BaseModel):
        return to_plain(value.model_dump())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return value
