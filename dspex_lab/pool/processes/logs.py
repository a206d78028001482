"""The logs of a host's folder: the end of each, and no more of them than anybody looks at.

A worker's log outlives it, for its last words; those of workers that are long gone go.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

__all__ = ["forget_old_logs", "tail"]

_TAIL_BYTES = 20_000
#: So many logs of workers that ended are kept.
_KEPT = 50


def tail(path: Path) -> str:
    """The last words in the file; "" when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def forget_old_logs(folder: Path, living: Collection[str], *, kept: int = _KEPT) -> None:
    """Remove the logs in ``folder`` that were written to longest ago, but for ``kept`` and those of the ``living``,
    by the names of their files without the ending. Raises nothing: a log is no reason to fail."""
    ended = [path for path in folder.glob("*.log") if path.stem not in living]
    try:
        ended.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in ended[kept:]:
            path.unlink(missing_ok=True)
    except OSError:
        return
