"""Opening the telemetry database: private, WAL, of a known version; what cannot be used is set aside, not mended.

Telemetry must never keep the host from starting. Knows the tables, and nothing of what is in them.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path
from typing import Final

__all__ = ["SCHEMA_VERSION", "open_database", "open_for_reading", "used_bytes"]

log = logging.getLogger(__name__)

#: Raised with every change to the tables.
SCHEMA_VERSION: Final = 1

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, status TEXT NOT NULL, started_at REAL NOT NULL,
    duration_s REAL, trace_id TEXT, attributes TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS events (
    run_id TEXT, name TEXT NOT NULL, time REAL NOT NULL, trace_id TEXT, span_id TEXT, attributes TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS spans (
    trace_id TEXT NOT NULL, span_id TEXT NOT NULL, parent_id TEXT, name TEXT NOT NULL, started REAL NOT NULL,
    ended REAL NOT NULL, status TEXT NOT NULL, attributes TEXT NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (trace_id, span_id)
);
CREATE INDEX IF NOT EXISTS runs_by_time ON runs (started_at);
CREATE INDEX IF NOT EXISTS events_by_run ON events (run_id);
CREATE INDEX IF NOT EXISTS events_by_time ON events (time);
CREATE INDEX IF NOT EXISTS spans_by_parent ON spans (trace_id, parent_id);
CREATE INDEX IF NOT EXISTS spans_by_time ON spans (ended);
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


def open_database(path: Path) -> sqlite3.Connection:
    """A connection to the telemetry database at ``path``, made with mode 0600 if it is not there.

    A file that is damaged or of another schema version is renamed (``.aside``) and a new one begun. Raises
    ``OSError`` or ``sqlite3.Error`` where no file can be made at all.
    """
    try:
        return _connect(path)
    except (sqlite3.DatabaseError, _OtherVersionError) as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, full, not writable: the file itself is sound
            raise
        log.warning("The telemetry file %s cannot be used (%s); it was set aside.", path, error)
        _set_aside(path)
        return _connect(path)


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises ``FileNotFoundError`` where there is no file, or one without tables of
    this version yet."""
    if not path.is_file():
        raise FileNotFoundError(path)
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0, check_same_thread=False)
    try:
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
    except BaseException:
        database.close()
        raise
    if version != SCHEMA_VERSION:
        database.close()
        raise FileNotFoundError(path)
    return database


def used_bytes(database: sqlite3.Connection) -> int:
    """What is in use of the file: its pages without the free ones."""
    pages, free, size = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


class _OtherVersionError(Exception):
    """The file is of another schema version."""


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # SQLite gives its -wal and -shm files the mode of the database.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    database = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
    try:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL").fetchall()
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA journal_size_limit = 4194304").fetchall()
        _check_version(database)
        database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _check_version(database: sqlite3.Connection) -> None:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version not in (0, SCHEMA_VERSION):
        raise _OtherVersionError(f"schema version {version}, expected {SCHEMA_VERSION}")


def _set_aside(path: Path) -> None:
    """Rename the file, over an older one that was set aside: one is kept, for people to look at."""
    path.replace(path.with_name(f"{path.name}.aside"))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
