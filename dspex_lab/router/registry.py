"""What the router can run, by name: native functions, kinds that become calls, strategies.

A registry only holds and finds; a name that is not there is a ``ConfigurationError`` that names its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Generic, TypeVar

from dspex_lab.errors import ConfigurationError
from dspex_lab.router.extensions import extension_names, load_extension

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one sort by name; ``noun`` is what the sort is called in errors. ``group`` is that of the entry points
    by which installed packages add more, each loaded when it is first looked for; a name that is here goes before."""

    def __init__(self, noun: str, entries: Mapping[str, T] | None = None, *, group: str | None = None) -> None:
        self._noun = noun
        self._group = group
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
        added: T | None = load_extension(self._group, name) if self._group is not None else None
        if added is not None:
            return self._entries.setdefault(name, added)
        known = sorted(self)
        near = get_close_matches(name, known, n=1)
        names = ", ".join(known) or "none"
        raise ConfigurationError(
            f"There is no {self._noun} called {name!r}.",
            self._noun,
            f"one of {names}",
            name,
            hint=f"Did you mean {near[0]!r}?" if near else f"Those that exist: {names}.",
        )

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._added()

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._entries, *self._added())))

    def _added(self) -> tuple[str, ...]:
        return extension_names(self._group) if self._group is not None else ()

    def __repr__(self) -> str:
        return f"<Registry [{self._noun}: {', '.join(sorted(self._entries)) or 'none'}]>"
