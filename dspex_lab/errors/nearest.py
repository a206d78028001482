"""What somebody most likely meant by a name that is not known: the hint of many errors."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "nearest"]

#: A name is looked for among so many, and by so many of its characters: a namespace may be huge.
_MOST_NAMES = 2_000
_MOST_CHARS = 80


def nearest(name: object, known: Iterable[object]) -> str | None:
    """The name of ``known`` that is most like ``name``, whatever its case; None where none is like it."""
    pool = [one for one, _ in zip(known, range(_MOST_NAMES), strict=False) if isinstance(one, str)]
    lowered = {one.lower(): one for one in reversed(pool)}
    found = get_close_matches(str(name)[:_MOST_CHARS].lower(), lowered, n=1)
    return lowered[found[0]] if found else None


def did_you_mean(
    name: object, known: Iterable[object], otherwise: str | None = None, *, form: str = "{!r}"
) -> str | None:
    """``Did you mean 'retry'?``, written in the ``form`` that one would write the name in; else ``otherwise``."""
    found = nearest(name, known)
    return otherwise if found is None else f"Did you mean {form.format(found)}?"
