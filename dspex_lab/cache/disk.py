"""The cache in one SQLite file: plain data, shared by the processes of one user, there after a restart.

Values are msgpack, never pickle, and only what comes back exactly as it went in is kept. A file that is damaged or of
another version is begun anew: a cache can always be made again.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import msgspec

from dspex_lab.cache.base import BaseCache, Cached
from dspex_lab.cache.key import is_encodable
from dspex_lab.clock import Clock

__all__ = ["DiskCache"]

log = logging.getLogger(__name__)

_VERSION = 1
_MB = 1_048_576
#: What was looked up is written down for the order of eviction with the next write, or when so many have gathered.
_MAX_TOUCHED = 500
_MAX_DEPTH = 100
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, size INTEGER NOT NULL, stored_at REAL NOT NULL, expires_at REAL,
    used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_use ON entries (used, size);
PRAGMA user_version = {_VERSION};
COMMIT;
"""


class DiskCache(BaseCache):
    """Up to ``max_entries`` values of together ``max_size_mb``, each for ``ttl_s`` seconds (None: for good).

    Close it, or use it with ``with``. After ``close`` a look-up misses and nothing is kept.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock | None = None,
        *,
        max_entries: int = 100_000,
        max_size_mb: float = 256.0,
        ttl_s: float | None = None,
    ) -> None:
        super().__init__(clock, max_entries=max_entries, ttl_s=ttl_s)
        self._path = path
        self._max_bytes = int(max_size_mb * _MB)
        self._lock = threading.RLock()
        self._touched: dict[str, None] = {}
        self._database: sqlite3.Connection | None = _open(path)
        self._count, self._bytes = self._measure()

    def get(self, key: str) -> Cached | None:
        now = self._clock.now()
        with self._lock:
            found = self._execute("SELECT value, stored_at, expires_at FROM entries WHERE key = ?", key)
            if found and found[0][2] is not None and found[0][2] <= now:
                self.delete(key)
                self._counters.expired += 1
                found = []
            if not found:
                self._counters.misses += 1
                return None
            self._counters.hits += 1
            self._touched.pop(key, None)
            self._touched[key] = None
            if len(self._touched) > _MAX_TOUCHED:
                self._write_touched()
            value, stored_at, _ = found[0]
        return Cached(msgspec.msgpack.decode(value, strict=True), max(0.0, now - stored_at))

    def put(self, key: str, value: Any, *, ttl_s: float | None = None) -> bool:
        encoded = msgspec.msgpack.encode(value) if _is_plain(value, 0) else b""
        now = self._clock.now()
        with self._lock:
            if not encoded or len(encoded) > self._max_bytes or self._database is None:
                self._counters.rejected += 1
                return False
            self._write_touched()
            with self._database:
                self._execute(
                    "INSERT OR REPLACE INTO entries (key, value, size, stored_at, expires_at, used)"
                    " VALUES (?, ?, ?, ?, ?, (SELECT coalesce(max(used), 0) + 1 FROM entries))",
                    key, encoded, len(encoded), now, self._expiry(ttl_s, now),
                )  # fmt: skip
            self._counters.stored += 1
            # An upper bound, as a replaced entry counts twice, and a lower one beside other processes: it decides
            # only when to measure.
            self._count += 1
            self._bytes += len(encoded)
            if self._count > self._max_entries or self._bytes > self._max_bytes:
                self._evict(now)
        return True

    def delete(self, key: str) -> bool:
        with self._lock:
            self._touched.pop(key, None)
            return bool(self._execute("DELETE FROM entries WHERE key = ? RETURNING key", key, commit=True))

    def clear(self) -> None:
        with self._lock:
            self._touched.clear()
            self._execute("DELETE FROM entries", commit=True)
            self._count = self._bytes = 0

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._write_touched()
                self._database.close()
                self._database = None

    def _sizes(self) -> tuple[int, int | None]:
        with self._lock:
            return self._measure()

    def _measure(self) -> tuple[int, int]:
        rows = self._execute("SELECT count(*), coalesce(sum(size), 0) FROM entries")
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    def _evict(self, now: float) -> None:
        """Drop what is too old, then the least recently used until the rest fits."""
        self._counters.expired += len(
            self._execute("DELETE FROM entries WHERE expires_at <= ? RETURNING 1", now, commit=True)
        )
        self._count, self._bytes = self._measure()
        while self._count > self._max_entries or self._bytes > self._max_bytes:
            # A hundredth at a time, so that not every write has to evict; one at least, for small caches.
            some = max(1, self._count - self._max_entries, self._count // 100)
            dropped = self._execute(
                "DELETE FROM entries WHERE key IN (SELECT key FROM entries ORDER BY used LIMIT ?) RETURNING 1",
                some, commit=True,
            )  # fmt: skip
            if not dropped:
                break
            self._counters.evicted += len(dropped)
            self._count, self._bytes = self._measure()

    def _write_touched(self) -> None:
        """Write down, in the order of use, what was looked up since the last write."""
        if not self._touched or self._database is None:
            return
        keys = [(key,) for key in self._touched]
        self._touched.clear()
        with self._database:
            self._database.executemany(
                "UPDATE entries SET used = (SELECT max(used) + 1 FROM entries) WHERE key = ?", keys
            )

    def _execute(self, statement: str, *parameters: Any, commit: bool = False) -> list[Any]:
        if self._database is None:
            return []
        rows = self._database.execute(statement, parameters).fetchall()
        if commit:
            self._database.commit()
        return rows


def _open(path: Path) -> sqlite3.Connection:
    """The database, private to the user; begun anew where what is there cannot be used."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # SQLite gives its -wal and -shm files the mode of the database.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    try:
        return _connect(path)
    except sqlite3.OperationalError:  # locked, full, not writable: the file itself is sound
        raise
    except sqlite3.DatabaseError as error:
        log.warning("The cache %s cannot be used (%s) and is begun anew.", path, error)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _open(path)


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL").fetchall()
        database.execute("PRAGMA synchronous = NORMAL")
        if database.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
            database.execute("DROP TABLE IF EXISTS entries")
        database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _is_plain(value: Any, depth: int) -> bool:
    """Whether msgpack gives ``value`` back as it is: exact plain types only, no tuples, no keys but texts."""
    kind = type(value)
    if value is None or kind in (bool, float, bytes):
        return True
    if kind is str:
        return is_encodable(value)
    if kind is int:
        return bool(-(2**63) <= value < 2**64)
    if depth > _MAX_DEPTH:
        return False
    if kind is list:
        return all(_is_plain(item, depth + 1) for item in value)
    return kind is dict and all(
        type(key) is str and _is_plain(key, depth) and _is_plain(item, depth + 1) for key, item in value.items()
    )
