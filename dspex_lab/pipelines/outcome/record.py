"""A read-only record of named values: what a program returns, and what a condition sees.

Knows nothing of runs; it only holds and shows.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

__all__ = ["Record", "StepRecords"]

_MAX_SHOWN_CHARS = 2000


class Record(Mapping[str, Any]):
    """Values by name, as ``record.name`` and ``record["name"]``. A field that is called like one of a mapping's own
    methods (``items``, ``keys``, ``values``, ``get``) is reached by item."""

    __slots__ = ("_values",)
    _values: dict[str, Any]

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", dict(values))

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise KeyError(self._missing(name)) from None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(self._missing(name)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"A {type(self).__name__} is read-only; {name} cannot be set.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"A {type(self).__name__} is read-only; {name} cannot be deleted.")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._values,)

    def to_dict(self) -> dict[str, Any]:
        """The values as a new dict."""
        return dict(self._values)

    def _missing(self, name: str) -> str:
        near = get_close_matches(name, self._values, n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        return f"There is no field {name!r}; there is {', '.join(self._values) or 'none at all'}.{guess}"

    def __repr__(self) -> str:
        if not self._values:
            return f"{type(self).__name__}()"
        width = max(map(len, self._values))
        indent = "\n" + " " * (width + 3)
        lines = (f"{name:<{width}} = {indent.join(_shown(value).splitlines())}" for name, value in self.items())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cell = "text-align:left;vertical-align:top;padding:2px 10px 2px 0"
        rows = "".join(
            f'<tr><th scope="row" style="{cell};font-weight:600">{html.escape(name)}</th>'
            f'<td style="{cell};white-space:pre-wrap">{html.escape(_shown(value))}</td></tr>'
            for name, value in self.items()
        )
        return f'<table style="margin:2px 0">{rows}</table>'


class StepRecords(Mapping[str, Record]):
    """A record for each of many steps, made when it is asked for; ``outputs`` are their values."""

    __slots__ = ("_outputs",)

    def __init__(self, outputs: Mapping[str, Mapping[str, Any]]) -> None:
        self._outputs = outputs

    def __getitem__(self, step: str) -> Record:
        return Record(self._outputs[step])

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def __repr__(self) -> str:
        return repr(dict(self))


def _shown(value: Any) -> str:
    if isinstance(value, list | dict | tuple):
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):
            text = repr(value)
    else:
        text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 1] + "…"
