"""What a row is known by: its content, and which one of those with the same content it is.

So a row is found again when rows were added, left out or put in another order. Where there are very many rows they are
counted in a temporary file. Lives on one thread.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dspex_lab.errors import LabError
from dspex_lab.signatures import to_plain
from dspex_lab.wire.codec import encode

__all__ = ["RowKeys"]

_BYTES = 16
#: So many contents are counted in memory.
_IN_MEMORY = 100_000
_KEEP = "INSERT INTO seen VALUES (?, ?)"
_COUNT = "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times"


class RowKeys:
    """Gives every row its key, in the rows' order. Close it."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}
        self._file: sqlite3.Connection | None = None

    def key(self, inputs: Mapping[str, Any]) -> bytes | None:
        """The key of the row with these inputs; None for one whose inputs have no form as bytes."""
        digest = hashlib.blake2b(digest_size=_BYTES)
        try:
            for frame in _frames(inputs):
                digest.update(frame)
        except LabError:
            return None
        content = digest.digest()
        times = self._count(content)
        return content if times == 1 else hashlib.blake2b(content + b"%d" % times, digest_size=_BYTES).digest()

    def _count(self, content: bytes) -> int:
        """How often there was a row of that content, this one included."""
        if self._file is None:
            times = self._seen[content] = self._seen.get(content, 0) + 1
            if len(self._seen) > _IN_MEMORY:
                self._file = _moved(self._seen)
                self._seen = {}
            return times
        count: int = self._file.execute(_COUNT, (content,)).fetchone()[0]
        return count

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _frames(inputs: Mapping[str, Any]) -> Sequence[bytes | memoryview]:
    try:
        return [msgspec.msgpack.encode(inputs)]
    except (TypeError, ValueError, OverflowError, RecursionError):  # arrays, tables, models, or what has no form
        return encode({name: to_plain(value) for name, value in inputs.items()})


def _moved(seen: Mapping[bytes, int]) -> sqlite3.Connection:
    # A database without a name is a temporary file, which goes with the connection.
    file = sqlite3.connect("", isolation_level=None)
    file.execute("CREATE TABLE seen (content BLOB PRIMARY KEY, times INTEGER) WITHOUT ROWID")
    file.execute("BEGIN")
    file.executemany(_KEEP, seen.items())
    return file
