"""Values as bytes: msgpack, with arrays in frames of their own, and code in one direction only.

``allow_code`` is True where a worker reads what a user sent, and nowhere else: everybody else answers code with a
:class:`ProtocolError` and never unpickles anything.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import cloudpickle
import msgspec

from dspex_lab.calls import Code
from dspex_lab.errors import ProtocolError, ValidationError

__all__ = ["decode", "encode"]

Frames = Sequence[bytes | memoryview]

_CODE = 1
_ARRAY = 2

#: Not to be guessed, as numpy would; and neither the header's frame nor one counted from the end.
_Length = Annotated[int, msgspec.Meta(ge=0)]
_FrameNumber = Annotated[int, msgspec.Meta(ge=1)]


def encode(value: Any) -> list[bytes | memoryview]:
    """The frames of ``value``: one of msgpack, then one for each array.

    What can travel: None, bool, int, float, str, bytes, datetime, Decimal, UUID, enums (by value), lists, tuples and
    sets (as lists), dicts, dataclasses and pydantic models (as dicts), numpy arrays, and :class:`Code`. Anything
    else is a :class:`ValidationError` that names the type.
    """
    buffers: list[bytes | memoryview] = []

    def extend(unknown: Any) -> Any:
        return _extend(unknown, buffers)

    try:
        header = msgspec.msgpack.encode(value, enc_hook=extend)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValidationError(
            f"A value cannot travel: {error}.",
            hint="Send plain data: text, numbers, lists, dicts, dataclasses, pydantic models or numpy arrays.",
        ) from error
    return [header, *buffers]


def decode(frames: Frames, *, allow_code: bool = False) -> Any:
    """The value of ``frames``; a :class:`ProtocolError` for bytes that are none, a :class:`ValidationError` for code
    that cannot be loaded here."""
    if not frames:
        raise ProtocolError("A payload without frames came in.")

    def revive(code: int, data: memoryview) -> Any:
        if code == _ARRAY:
            return _array(data, frames)
        if code == _CODE and allow_code:
            return Code(_unpickle(data))
        raise ProtocolError(
            "Code came in where only data may come." if code == _CODE else f"An unknown extension {code} came in."
        )

    try:
        return msgspec.msgpack.decode(frames[0], ext_hook=revive)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"A payload that is no msgpack came in: {error}.") from error


def _extend(value: Any, buffers: list[bytes | memoryview]) -> Any:
    """What msgspec does not know: code, arrays, numpy's numbers, pydantic models, mappings."""
    if isinstance(value, Code):
        return msgspec.msgpack.Ext(_CODE, _pickle(value.value))
    if hasattr(value, "__array_interface__") and hasattr(value, "dtype"):
        return _extend_numpy(value, buffers)
    dump: Callable[..., Any] | None = getattr(value, "model_dump", None)
    if dump is not None:
        return dump()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"its type is {type(value).__module__}.{type(value).__qualname__}")


def _pickle(value: Any) -> bytes:
    try:
        return bytes(cloudpickle.dumps(value))
    except Exception as error:  # pickling runs the user's own code, which may raise anything
        raise TypeError(f"{value!r} cannot be sent to a worker ({error})") from error


def _unpickle(data: memoryview) -> Any:
    try:
        return cloudpickle.loads(data)
    except Exception as error:  # loading imports the user's modules, which may raise anything
        raise ValidationError(
            f"Code that was sent cannot be loaded here ({type(error).__name__}: {error}).",
            hint="A worker imports installed modules only: define the function in the notebook, or install its module.",
        ) from error


def _extend_numpy(value: Any, buffers: list[bytes | memoryview]) -> Any:
    import numpy as np

    if value.ndim == 0:
        return value.item()
    if value.dtype.hasobject or value.dtype.names or hasattr(value, "mask"):
        raise TypeError("an array of Python objects, with named fields or with a mask")
    array = np.ascontiguousarray(value)
    buffers.append(array.reshape(-1).view(np.uint8).data)
    description = (array.dtype.str, list(array.shape), len(buffers))
    return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(description))


def _array(data: memoryview, frames: Frames) -> Any:
    import numpy as np

    try:
        dtype, shape, index = msgspec.msgpack.decode(data, type=tuple[str, tuple[_Length, ...], _FrameNumber])
        # A copy-on-write view would tie the array to the message; the reader may want to write into it.
        return np.frombuffer(frames[index], dtype=np.dtype(dtype)).reshape(shape)
    except (msgspec.DecodeError, IndexError, ValueError, TypeError, SyntaxError) as error:
        raise ProtocolError(f"An array that is none came in: {error}.") from error
