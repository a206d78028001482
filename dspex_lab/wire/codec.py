"""Values as bytes: msgpack, with arrays, tables and large bytes in frames of their own, and code in one direction only.

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
from dspex_lab.errors.foreign import repr_of, text_of
from dspex_lab.wire import tables

__all__ = ["decode", "encode"]

Frames = Sequence[bytes | memoryview]

_CODE = 1
_ARRAY = 2
_BYTES = 3
_TABLE = 4

#: Bytes from here on travel in a frame of their own, where they are found among the first so many values, not too
#: deep: looking costs every call. The others are copied into the msgpack.
_LARGE_BYTES = 64 * 1024
_LOOKED_AT = 256
_LOOKED_DEEP = 8
_LOOKED_INTO = frozenset({dict, list, tuple, bytes, bytearray, memoryview})

#: Not to be guessed, as numpy would; and neither the header's frame nor one counted from the end.
_Length = Annotated[int, msgspec.Meta(ge=0)]
_FrameNumber = Annotated[int, msgspec.Meta(ge=1)]


def encode(value: Any) -> list[bytes | memoryview]:
    """The frames of ``value``: one of msgpack, then one for each array, table and large piece of bytes, not copied
    where that can be helped.

    What can travel: None, bool, int, float, str, bytes, datetime, Decimal, UUID, enums (by value), lists, tuples and
    sets (as lists), dicts, dataclasses and pydantic models (as dicts), numpy arrays, pandas frames and series, Arrow
    tables, and :class:`Code`. Anything else is a :class:`ValidationError` that names the type.

    An array keeps dtype (byte order included), shape and values; it arrives in C order, and writable: it is the
    reader's own, whatever becomes of the sender's. Python's and numpy's plain numbers arrive as numbers, numpy's
    other scalars (dates, complex numbers) as arrays without dimensions.
    """
    buffers: list[bytes | memoryview] = []

    def extend(unknown: Any) -> Any:
        return _extend(unknown, buffers)

    try:
        header = msgspec.msgpack.encode(_Search().lift(value), enc_hook=extend)
    except ValidationError:  # it has a hint of its own
        raise
    except Exception as error:  # a model's dump runs the user's own code, which may raise anything
        raise ValidationError(
            f"A value cannot travel: {text_of(error)}.",
            hint="Send plain data: text, numbers, lists, dicts, dataclasses, pydantic models or numpy arrays.",
        ) from error
    return [header, *buffers]


def decode(frames: Frames, *, allow_code: bool = False) -> Any:
    """The value of ``frames``, with what :class:`Code` carried in its place. A :class:`ProtocolError` for bytes that
    are none, a :class:`ValidationError` for code that cannot be loaded here."""
    if not frames:
        raise ProtocolError("A payload without frames came in.")

    def revive(code: int, data: memoryview) -> Any:
        if code == _ARRAY:
            return _array(data, frames)
        if code == _BYTES:
            return _bytes(data, frames)
        if code == _TABLE:
            return _table(data, frames)
        if code == _CODE and allow_code:
            return _unpickle(data)
        raise ProtocolError(
            "Code came in where only data may come." if code == _CODE else f"An unknown extension {code} came in."
        )

    try:
        return msgspec.msgpack.decode(frames[0], ext_hook=revive)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"A payload that is no msgpack came in: {error}.") from error


class _Large:
    """Bytes that go into a frame of their own."""

    __slots__ = ("view",)

    def __init__(self, view: memoryview) -> None:
        self.view = view


class _Search:
    """Looks for large bytes, up to a bound."""

    def __init__(self) -> None:
        self._left = _LOOKED_AT

    def lift(self, value: Any, depth: int = 0) -> Any:
        """``value`` with its large bytes as :class:`_Large`; the very same when there are none."""
        kind = type(value)
        if kind is bytes or kind is bytearray or kind is memoryview:
            return _large(value)
        if kind not in _LOOKED_INTO or depth > _LOOKED_DEEP or len(value) > self._left:
            return value
        self._left -= len(value)
        if kind is dict:
            found = {
                key: lifted
                for key, item in value.items()
                if type(item) in _LOOKED_INTO and (lifted := self.lift(item, depth + 1)) is not item
            }
            return value | found if found else value
        items = [self.lift(item, depth + 1) if type(item) in _LOOKED_INTO else item for item in value]
        is_same = all(new is old for new, old in zip(items, value, strict=True))
        return value if is_same else items


def _large(value: bytes | bytearray | memoryview) -> Any:
    if type(value) is memoryview and not value.c_contiguous:
        value = value.tobytes()
    view = memoryview(value)
    return _Large(view.toreadonly().cast("B")) if view.nbytes >= _LARGE_BYTES else value


def _extend(value: Any, buffers: list[bytes | memoryview]) -> Any:
    """What msgspec does not know: large bytes, code, arrays, numpy's numbers, tables, pydantic models, mappings."""
    if isinstance(value, _Large):
        buffers.append(value.view)
        return msgspec.msgpack.Ext(_BYTES, msgspec.msgpack.encode(len(buffers)))
    if isinstance(value, Code):
        return msgspec.msgpack.Ext(_CODE, _pickle(value.value))
    if hasattr(value, "__array_interface__") and hasattr(value, "dtype"):
        return _extend_numpy(value, buffers)
    kind = tables.kind_of(value)
    if kind is not None:
        buffers.append(tables.to_frame(value, kind))
        name = value.name if kind == "series" else None
        if not isinstance(name, str | int | float | None):
            raise TypeError(f"a series' name is text or a number, not {name!r}")
        return msgspec.msgpack.Ext(_TABLE, msgspec.msgpack.encode((kind, len(buffers), name)))
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
        raise TypeError(f"{repr_of(value)} cannot be sent to a worker ({text_of(error)})") from error


def _unpickle(data: memoryview) -> Any:
    try:
        return cloudpickle.loads(data)
    except Exception as error:  # loading imports the user's modules, which may raise anything
        raise ValidationError(
            f"Code that was sent cannot be loaded here ({type(error).__name__}: {text_of(error)}).",
            hint="A worker imports installed modules only: define the function in the notebook, or install its module.",
        ) from error


def _extend_numpy(value: Any, buffers: list[bytes | memoryview]) -> Any:
    import numpy as np

    if isinstance(value, np.generic) and value.dtype.kind in "biufSU" and value.dtype != np.longdouble:
        return value.item()
    if value.dtype.hasobject or value.dtype.names or hasattr(value, "mask"):
        raise TypeError("an array of Python objects, with named fields or with a mask")
    array = np.ascontiguousarray(value)
    buffers.append(array.reshape(-1).view(np.uint8).data.toreadonly())
    description = (array.dtype.str, list(value.shape), len(buffers))
    return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(description))


def _array(data: memoryview, frames: Frames) -> Any:
    import numpy as np

    try:
        dtype, shape, index = msgspec.msgpack.decode(data, type=tuple[str, tuple[_Length, ...], _FrameNumber])
        frame = memoryview(frames[index])
        # A frame that can be written is the reader's own already: a mapping of shared memory.
        own = bytearray(frame) if frame.readonly else frame
        return np.frombuffer(own, dtype=np.dtype(dtype)).reshape(shape)
    except (msgspec.DecodeError, IndexError, ValueError, TypeError, SyntaxError) as error:
        raise ProtocolError(f"An array that is none came in: {error}.") from error


def _bytes(data: memoryview, frames: Frames) -> bytes:
    try:
        frame = frames[msgspec.msgpack.decode(data, type=_FrameNumber)]
    except (msgspec.DecodeError, IndexError) as error:
        raise ProtocolError(f"Bytes that are none came in: {error}.") from error
    # Python's bytes own their memory: this is the one copy.
    return frame if isinstance(frame, bytes) else bytes(frame)


def _table(data: memoryview, frames: Frames) -> Any:
    try:
        kind, index, name = msgspec.msgpack.decode(data, type=tuple[str, _FrameNumber, str | int | float | None])
        frame = frames[index]
    except (msgspec.DecodeError, IndexError) as error:
        raise ProtocolError(f"A table that is none came in: {error}.") from error
    return tables.from_frame(frame, kind, name)
