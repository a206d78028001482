"""What a row is known by: its content, and which one of those with the same content it is.

So a row is found again when rows were added, left out or put in another order. Counting is done in a file of SQLite's
own, for there may be millions of them. Lives on one thread.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from typing import Any

from dspex_lab.errors import LabError
from dspex_lab.signatures import to_plain
from dspex_lab.wire.codec import encode

__all__ = ["RowKeys"]

_BYTES = 16
_COUNT = "INSERT INTO seen VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times"


class RowKeys:
    """Gives every row its key, in the rows' order. Close it."""

    def __init__(self) -> None:
        # A database without a name is a temporary file, which goes with the connection.
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute("CREATE TABLE seen (content BLOB PRIMARY KEY, times INTEGER) WITHOUT ROWID")
        self._seen.execute("BEGIN")

    def key(self, inputs: Mapping[str, Any]) -> bytes | None:
        """The key of the row with these inputs; None for one whose inputs have no form as bytes."""
        try:
            frames = encode({name: to_plain(value) for name, value in inputs.items()})
        except LabError:
            return None
        digest = hashlib.blake2b(digest_size=_BYTES)
        for frame in frames:
            digest.update(frame)
        content = digest.digest()
        times: int = self._seen.execute(_COUNT, (content,)).fetchone()[0]
        return content if times == 1 else hashlib.blake2b(content + b"%d" % times, digest_size=_BYTES).digest()

    def close(self) -> None:
        self._seen.close()
