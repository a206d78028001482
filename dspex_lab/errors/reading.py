"""Errors read from plain data: the inverse of :meth:`LabError.to_dict`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspex_lab.errors import calls, written
from dspex_lab.errors.calls import PythonError
from dspex_lab.errors.foreign import repr_of
from dspex_lab.errors.root import LabError

__all__ = ["error_from_dict"]

_BY_NAME: Mapping[str, type[LabError]] = {
    "LabError": LabError,
    **{name: getattr(module, name) for module in (calls, written) for name in module.__all__},
}


def error_from_dict(data: Any) -> LabError:
    """The error that :meth:`LabError.to_dict` wrote; a type that is not known here, and data that is no error at
    all, become a :class:`PythonError`. Never raises: whoever waits for the end of a call must get one."""
    if not isinstance(data, Mapping):
        return PythonError(f"What was told is no error: {repr_of(data)}.")
    name, message = str(data.get("type")), str(data.get("message", "unknown error"))
    cls = _BY_NAME.get(name, PythonError)
    try:
        fields = {field: _thaw(data[field]) for field in cls._fields if data.get(field) is not None}
        return cls(message, hint=data.get("hint"), retryable=data.get("retryable"), **fields)
    except (TypeError, ValueError, RecursionError):
        return PythonError(message, error_type=name)


def _thaw(value: Any) -> Any:
    """What an error had as an attribute, from what the wire made of it."""
    if isinstance(value, list):
        return tuple(_thaw(item) for item in value)
    if isinstance(value, dict) and {"type", "message", "retryable"} <= value.keys():
        return error_from_dict(value)
    return value
