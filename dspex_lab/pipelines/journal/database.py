"""Opening the journal's file: private, WAL, synced with each commit, of a known version.

A damaged file is set aside and a new one begun; one of a newer version is left alone, for other notebooks use it.
Knows the tables, and nothing of what is in them.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import Final

from dspex_lab.errors import ConfigurationError

__all__ = ["SCHEMA_VERSION", "open_for_reading", "open_journal"]

log = logging.getLogger(__name__)

#: Raised with every change to the tables.
SCHEMA_VERSION: Final = 1

#: How long to wait for the commits of other notebooks.
_BUSY_S = 30.0
#: Two processes that make one new file at a time meet an error that SQLite does not wait for.
_OPEN_TRIES, _OPEN_PAUSE_S = 50, 0.02

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS runs (
    number INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, pipeline TEXT NOT NULL, state TEXT NOT NULL,
    started_at REAL NOT NULL, changed_at REAL NOT NULL, owner_pid INTEGER NOT NULL, owner_started REAL NOT NULL,
    fingerprint BLOB NOT NULL, inputs BLOB NOT NULL, options BLOB NOT NULL, source TEXT NOT NULL,
    step_count INTEGER NOT NULL, error BLOB
);
CREATE TABLE IF NOT EXISTS states (run INTEGER NOT NULL, at REAL NOT NULL, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS steps (
    run INTEGER NOT NULL, key TEXT NOT NULL, step TEXT NOT NULL, at REAL NOT NULL, tokens INTEGER NOT NULL,
    metrics BLOB NOT NULL, outputs BLOB NOT NULL, PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_time ON runs (started_at);
CREATE INDEX IF NOT EXISTS states_by_run ON states (run);
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


def open_journal(path: Path) -> sqlite3.Connection:
    """A connection that writes to the journal at ``path``, made with mode 0600 if it is not there.

    What a commit has written survives the machine's power. Raises ``OSError``, ``sqlite3.Error`` or
    ``ConfigurationError`` where there is no file to write to.
    """
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, full, not writable: the file itself is sound
            raise
        log.warning("The journal %s cannot be used (%s); it was set aside.", path, error)
        _set_aside(path)
        return _connect(path)


def open_for_reading(path: Path) -> sqlite3.Connection | None:
    """A connection that cannot write; None where there is no journal yet. Raises ``ConfigurationError`` for one of a
    newer version."""
    if not path.is_file():
        return None
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
    try:
        if _checked_version(database) == SCHEMA_VERSION:
            return database
    except BaseException:
        database.close()
        raise
    database.close()
    return None


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)
    # SQLite gives its -wal and -shm files the mode of the database.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    database = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False, isolation_level=None)
    try:
        if _checked_version(database) < SCHEMA_VERSION:
            _use_wal(database)
            database.executescript(_SCHEMA)
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA journal_size_limit = 4194304").fetchall()
    except BaseException:
        database.close()
        raise
    return database


def _use_wal(database: sqlite3.Connection) -> None:
    for attempt in range(_OPEN_TRIES):
        try:
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
            database.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError:
            if attempt + 1 == _OPEN_TRIES:
                raise
            time.sleep(_OPEN_PAUSE_S)
        else:
            return


def _checked_version(database: sqlite3.Connection) -> int:
    version = _version(database)
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"The journal is of version {version}, and this is {SCHEMA_VERSION}.",
            "data_dir",
            str(SCHEMA_VERSION),
            str(version),
            hint="Another notebook has a newer DSPex Lab: update this one, or set DSPEX_LAB_DATA_DIR.",
        )
    return version


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _set_aside(path: Path) -> None:
    """Rename the file and what belongs to it, over an older one that was set aside: one is kept, to look at."""
    for suffix in ("-wal", "-shm"):
        path.with_name(f"{path.name}.aside{suffix}").unlink(missing_ok=True)
        if (beside := path.with_name(path.name + suffix)).exists():
            beside.replace(path.with_name(f"{path.name}.aside{suffix}"))
    path.replace(path.with_name(f"{path.name}.aside"))
