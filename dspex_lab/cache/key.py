"""Content keys: the same content, the same key, in every process and at every time.

Equal means equal as a program would see it: the order of a mapping's keys and of a set does not matter, 1 and 1.0 and
True are three different things. Pure; knows nothing of caches.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from dspex_lab.errors import ValidationError

__all__ = ["content_key", "is_encodable"]

#: Raised when a change of this module gives other keys to the same content.
_VERSION = 1
_MAX_DEPTH = 200
#: Types whose text says all, so that it can stand for them.
_BY_TEXT = frozenset({"datetime", "decimal", "fractions", "uuid", "pathlib", "ipaddress"})


def content_key(*parts: Any) -> str:
    """32 hexadecimal digits for ``parts``: plain data, nested as you like, and dataclasses, enums, dates, decimals,
    paths, pydantic models and numpy arrays in it.

    Raises ``ValidationError`` for what has no content of its own: functions, open files, objects of other classes.
    """
    encoded = msgspec.msgpack.encode([_VERSION, *(_canonical(part, 0) for part in parts)])
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


def _canonical(value: Any, depth: int) -> Any:
    """``value`` in scalars and tagged lists, which msgpack keeps apart."""
    kind = type(value)
    if value is None or kind in (bool, float, bytes):
        return value
    if kind is str:
        # A lone surrogate has no UTF-8; such a text goes as bytes under a tag of its own.
        return value if is_encodable(value) else ["text", value.encode("utf-8", "surrogatepass")]
    if kind is int:
        return value if -(2**63) <= value < 2**64 else ["int", str(value) if value.bit_length() < 4_096 else hex(value)]
    if depth > _MAX_DEPTH:
        raise ValidationError("The content is nested too deeply for a key.", hint="Does it hold itself?")
    return _canonical_object(value, depth + 1)


def _canonical_object(value: Any, depth: int) -> list[Any]:
    kind = type(value)
    if kind in (list, tuple):
        return ["list", *(_canonical(item, depth) for item in value)]
    if isinstance(value, Mapping):
        return ["map", *_pairs(value, depth)]
    if isinstance(value, set | frozenset):
        return ["set", *sorted(msgspec.msgpack.encode(_canonical(item, depth)) for item in value)]
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, enum.Enum):
        return ["enum", name, value.name]
    if isinstance(value, type):
        raise _no_content(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return ["object", name, *_pairs(fields, depth)]
    return _canonical_foreign(value, name, depth)


def _canonical_foreign(value: Any, name: str, depth: int) -> list[Any]:
    """Values of other packages, known by what they offer: none of these is imported for it."""
    if name.partition(".")[0] in _BY_TEXT:
        return ["text of", name, str(value)]
    if isinstance(value, bytearray | memoryview):
        return ["bytes", bytes(value)]
    if hasattr(type(value), "model_dump") and hasattr(type(value), "model_fields"):
        fields = {field: getattr(value, field) for field in type(value).model_fields}
        return ["object", name, *_pairs(fields, depth)]
    if name.startswith("numpy.") and hasattr(value, "tobytes") and not value.dtype.hasobject:
        return ["array", str(value.dtype), list(value.shape), value.tobytes()]
    plain: Any
    for plain in (str, int, float, bytes):
        if isinstance(value, plain):  # a subclass: its own type, and the plain value
            return ["of", name, _canonical(plain(value), depth)]
    if isinstance(value, list | tuple):
        return ["of", name, *(_canonical(item, depth) for item in value)]
    raise _no_content(value)


def _pairs(mapping: Mapping[Any, Any], depth: int) -> list[Any]:
    pairs = [(msgspec.msgpack.encode(_canonical(key, depth)), _canonical(item, depth)) for key, item in mapping.items()]
    return sorted(pairs, key=lambda pair: pair[0])


def is_encodable(text: str) -> bool:
    """Whether ``text`` has a UTF-8 form: not with a lone surrogate in it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_content(value: Any) -> ValidationError:
    kind = value.__qualname__ if isinstance(value, type) else type(value).__qualname__
    return ValidationError(
        f"A {kind} has no content that a key could be made of.", hint="Pass plain data, or a dataclass of it."
    )
