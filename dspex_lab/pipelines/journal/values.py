"""Values as the bytes that the journal keeps, and back: plain data by the house's own forms, and nothing pickled.

A value is written only if it can be read again: the classes that it is made of must be known then.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from dspex_lab.errors import LabError, ValidationError
from dspex_lab.signatures import from_wire, to_wire
from dspex_lab.wire.codec import decode, encode

__all__ = ["MAX_VALUE_BYTES", "is_plain", "read_value", "write_value"]

#: A larger value is not written down: it belongs into a file of its own.
MAX_VALUE_BYTES = 256 * 1024 * 1024
_PLAIN = frozenset({bool, float, int, str, type(None)})


def write_value(value: Any, classes: Collection[type]) -> bytes:
    """``value`` as bytes; ``classes`` are those of the user's that :func:`read_value` will be given.

    Raises ``ValidationError`` for a value that could not be read again, or is too large.
    """
    try:
        data = to_wire(value)
        if not is_plain(value):
            from_wire(data, classes=classes)
        frames = encode(data)
    except LabError as error:
        raise ValidationError(error.message, hint=error.hint) from error
    except Exception as error:  # a user's class may raise anything
        raise ValidationError(f"It cannot be written: {type(error).__name__}: {error}.") from error
    size_bytes = sum(memoryview(frame).nbytes for frame in frames)
    if size_bytes > MAX_VALUE_BYTES:
        raise ValidationError(
            f"It has {size_bytes // 2**20} MB, and at most {MAX_VALUE_BYTES // 2**20} are kept.",
            hint="Write it to a file, and return the path.",
        )
    return msgspec.msgpack.encode(frames)


def is_plain(value: Any) -> bool:
    """Whether it can be read again whatever the classes are: so is most of what steps take and give."""
    if type(value) is dict:
        return all(type(part) in _PLAIN for part in value.values())
    return type(value) in _PLAIN


def read_value(data: bytes, classes: Collection[type]) -> Any:
    """The inverse of :func:`write_value`. Raises ``ValidationError`` when a class is not known."""
    frames: Sequence[bytes] = msgspec.msgpack.decode(data, type=list[bytes])
    return from_wire(decode(frames), classes=classes)
