"""What the router can run, by name: native functions, kinds that become calls, strategies.

A registry only holds and finds; a name that is not there is a ``ConfigurationError`` that names its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Generic, TypeVar

from dspex_lab.errors import ConfigurationError

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one sort by name; ``noun`` is what the sort is called in errors."""

    def __init__(self, noun: str, entries: Mapping[str, T] | None = None) -> None:
        self._noun = noun
        self._entries: dict[str, T] = dict(entries or {})

    def register(self, name: str, entry: T) -> None:
        """Add ``entry`` as ``name``. A name that is taken is a ``ConfigurationError``."""
        if name in self._entries:
            raise ConfigurationError(
                f"There is a {self._noun} called {name!r} already.", self._noun, "a name that is free", name
            )
        self._entries[name] = entry

    def replace(self, name: str, entry: T) -> None:
        """Add ``entry`` as ``name``, in place of what had that name."""
        self._entries[name] = entry

    def find(self, name: str) -> T:
        """The entry called ``name``."""
        try:
            return self._entries[name]
        except KeyError:
            pass
        near = get_close_matches(name, self._entries, n=1)
        names = ", ".join(sorted(self._entries)) or "none"
        raise ConfigurationError(
            f"There is no {self._noun} called {name!r}.",
            self._noun,
            f"one of {names}",
            name,
            hint=f"Did you mean {near[0]!r}?" if near else f"Those that exist: {names}.",
        )

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __repr__(self) -> str:
        return f"<Registry [{self._noun}: {', '.join(sorted(self._entries)) or 'none'}]>"
