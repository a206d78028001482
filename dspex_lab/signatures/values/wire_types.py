"""Values as plain data and back: what JSON and msgpack hold, made of the values that people pass around.

Two forms. :func:`to_plain` is the natural one, for signatures: types are known from the fields, so a date is just its
text. :func:`to_wire` is the exact one, for values whose type nobody declared: what JSON has no form for is tagged, and
:func:`from_wire` gives the same value back. Arrays and tables pass untouched; the wire carries them in buffers of their
own. Nothing is imported or evaluated because data asked for it: a class must be given or registered.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, Self, runtime_checkable

import pydantic

from dspex_lab.errors import ValidationError

__all__ = ["Serializable", "from_wire", "register_wire_type", "to_plain", "to_wire"]

_TAG = "$type"
_VALUE = "value"
_INT_RANGE = range(-(2**63), 2**64)
#: Libraries whose arrays and tables the wire's codec carries.
_CARRIED = frozenset({"numpy", "pandas", "pyarrow", "polars"})


@runtime_checkable
class Serializable(Protocol):
    """A class that knows its own plain form; such classes need not be registered to be written, only to be read."""

    def to_wire(self) -> Any:
        """The value as plain data."""
        ...

    @classmethod
    def from_wire(cls, data: Any) -> Self:
        """The inverse."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class _Form:
    """How values of one class are written and read."""

    name: str
    kind: type
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _built_in() -> tuple[_Form, ...]:
    iso = datetime.date.isoformat
    return (
        _Form("datetime", datetime.datetime, datetime.datetime.isoformat, datetime.datetime.fromisoformat),
        _Form("date", datetime.date, iso, datetime.date.fromisoformat),
        _Form("time", datetime.time, datetime.time.isoformat, datetime.time.fromisoformat),
        _Form("timedelta", datetime.timedelta, _write_timedelta, lambda parts: datetime.timedelta(*parts)),
        _Form("decimal", decimal.Decimal, str, decimal.Decimal),
        _Form("fraction", fractions.Fraction, str, fractions.Fraction),
        _Form("uuid", uuid.UUID, str, uuid.UUID),
        _Form("path", pathlib.Path, str, pathlib.Path),
        _Form("complex", complex, lambda value: [value.real, value.imag], lambda parts: complex(*parts)),
        _Form("bytearray", bytearray, bytes, bytearray),
    )


def _write_timedelta(value: datetime.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


_FORMS: dict[type, _Form] = {form.kind: form for form in _built_in()}
_READERS: dict[str, _Form] = {form.name: form for form in _FORMS.values()}


def register_wire_type(
    kind: Any, *, to_wire: Callable[[Any], Any] | None = None, from_wire: Callable[[Any], Any] | None = None
) -> None:
    """Let values of ``kind`` travel. Enums, dataclasses, pydantic models and :class:`Serializable` classes need no
    functions; for other classes ``to_wire`` makes plain data of a value and ``from_wire`` the value of the data. Raises
    ``ValidationError`` for what is no class, or needs them."""
    if not isinstance(kind, type):
        raise ValidationError(
            f"What travels is told by its class, and this is a {type(kind).__name__}.",
            hint=f"register_wire_type({type(kind).__name__}, ...)",
        )
    form = _own_form(kind)
    if to_wire is not None and from_wire is not None:
        form = _Form(_name(kind), kind, to_wire, from_wire)
    if form is None:
        raise ValidationError(
            f"{kind.__name__} needs two functions to travel.",
            hint=f"register_wire_type({kind.__name__}, to_wire=..., from_wire=...)",
        )
    _FORMS[kind] = form
    _READERS[form.name] = form


def to_wire(value: Any) -> Any:
    """``value`` as plain data that :func:`from_wire` turns into an equal value of the same type.

    Raises ValidationError for a type that is not known, and says how to register one.
    """
    try:
        return _write(value)
    except RecursionError:
        raise ValidationError("The value is nested too deep, or contains itself.") from None


def from_wire(data: Any, *, classes: Iterable[type] = ()) -> Any:
    """The value that :func:`to_wire` wrote. ``classes`` are user classes that may appear, beside the registered ones.

    Raises ValidationError for data that is damaged or names a class that is not known.
    """
    readers = dict(_READERS)
    for kind in classes:
        form = _FORMS.get(kind) or _own_form(kind)
        if form is not None:
            readers[form.name] = form
    try:
        return _read(data, readers)
    except RecursionError:
        raise ValidationError("The data is nested too deep.") from None


def to_plain(value: Any) -> Any:
    """``value`` in its natural plain form, without tags; what is not known comes back as it is."""
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(to_plain(key)): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(part) for part in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal | fractions.Fraction | uuid.UUID | pathlib.PurePath | complex):
        return str(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, pydantic.BaseModel):
        return to_plain(value.model_dump())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Serializable):
        return to_plain(value.to_wire())
    return _scalar(value) if _is_carried(value) else value


def _write(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, float, str, bytes):
        return value
    if kind is int:
        # Python writes no longer number down in decimals, and reads none.
        return (
            value if value in _INT_RANGE else _tagged("int", str(value) if value.bit_length() < 4_096 else hex(value))
        )
    if kind is list:
        return [_write(part) for part in value]
    if kind is dict:
        if _TAG not in value and all(type(key) is str for key in value):
            return {key: _write(part) for key, part in value.items()}
        return _tagged("dict", [[_write(key), _write(part)] for key, part in value.items()])
    if kind in (tuple, set, frozenset):
        return _tagged(kind.__name__, [_write(part) for part in value])
    form = _FORMS.get(kind) or (_FORMS[pathlib.Path] if isinstance(value, pathlib.Path) else _own_form(kind))
    if form is not None:
        return _tagged(form.name, _write(form.write(value)))
    if _is_carried(value):
        return _scalar(value)
    raise ValidationError(
        f"A value of type {kind.__name__} cannot travel.",
        ({"field": "", "message": "It is of an unknown type.", "input": kind.__name__},),
        hint=f"Register it: register_wire_type({kind.__name__}, to_wire=..., from_wire=...)",
    )


def _read(data: Any, readers: Mapping[str, _Form]) -> Any:
    if isinstance(data, list | tuple):
        return [_read(part, readers) for part in data]
    if not isinstance(data, dict):
        return data
    if _TAG not in data:
        return {key: _read(part, readers) for key, part in data.items()}
    name = data[_TAG]
    inner = _read(data.get(_VALUE), readers)
    read = _CONTAINERS.get(name) if isinstance(name, str) else None
    if read is None and isinstance(name, str) and name in readers:
        read = readers[name].read
    if read is None:
        short = str(name).rpartition(":")[2]
        raise ValidationError(
            f"The data names the type {str(name)[:100]}, which is not known here.",
            hint=f"Pass classes=[{short}], or register it: register_wire_type({short}).",
        )
    try:
        return read(inner)
    except ValidationError:
        raise
    except Exception as error:  # a damaged value, or a class that refuses: both are the data's fault
        raise ValidationError(f"The data is no {str(name)[:100]}: {error}") from None


_CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "dict": dict,
    "frozenset": frozenset,
    "int": lambda text: int(text, 0),
    "set": set,
    "tuple": tuple,
}


def _own_form(kind: type) -> _Form | None:
    """How a class that explains itself is written, or None."""
    name = _name(kind)
    if issubclass(kind, enum.Enum):
        return _Form(name, kind, lambda value: value.name, lambda member: kind[member])
    if issubclass(kind, pydantic.BaseModel):
        return _Form(name, kind, _attributes_of_model, lambda data: kind.model_validate(data))
    if hasattr(kind, "to_wire") and hasattr(kind, "from_wire"):
        return _Form(name, kind, lambda value: value.to_wire(), lambda data: kind.from_wire(data))
    if dataclasses.is_dataclass(kind):
        return _Form(name, kind, _attributes, lambda data: _make(kind, data))
    return None


def _attributes(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}


def _attributes_of_model(value: pydantic.BaseModel) -> dict[str, Any]:
    return dict(value)


def _make(kind: type, data: Mapping[str, Any]) -> Any:
    """A dataclass from its fields, those that ``__init__`` does not take included."""
    fields = {item.name: item for item in dataclasses.fields(kind)}
    made = kind(**{name: value for name, value in data.items() if fields[name].init})
    for name, value in data.items():
        if not fields[name].init:
            object.__setattr__(made, name, value)
    return made


def _tagged(name: str, value: Any) -> dict[str, Any]:
    return {_TAG: name, _VALUE: value}


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _is_carried(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in _CARRIED


def _scalar(value: Any) -> Any:
    """A numpy scalar as the Python number that it is; arrays and tables as they are."""
    numpy = sys.modules.get("numpy")
    return value.item() if numpy is not None and isinstance(value, numpy.generic) else value
