"""The journal's file: private, durable, and never harmed by what it cannot read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dspex_lab.errors import ConfigurationError
from dspex_lab.pipelines.journal.database import SCHEMA_VERSION, open_for_reading, open_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.sqlite"


def test_the_file_is_the_users_own(path: Path) -> None:
    """The folder is 0700, and every file in it 0600."""
    database = open_journal(path)
    database.execute("INSERT INTO states VALUES (1, 0, 'x')")
    modes = {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    database.close()
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_commit_is_synced(path: Path) -> None:
    """WAL alone would lose the last commits with the machine's power; FULL does not."""
    database = open_journal(path)
    modes = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    database.close()
    assert modes == ["wal", 2]


def test_a_damaged_file_is_set_aside(path: Path) -> None:
    """A new one is begun, and the old one kept to be looked at."""
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 100)
    open_journal(path).close()
    assert path.with_name("journal.sqlite.aside").read_bytes().startswith(b"this is no")
    reading = open_for_reading(path)
    assert reading is not None
    reading.close()


def test_a_newer_journal_is_left_alone(path: Path) -> None:
    """Another notebook uses it: it is neither written nor set aside."""
    database = open_journal(path)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    before = path.read_bytes()
    for use in (open_journal, open_for_reading):
        with pytest.raises(ConfigurationError, match="of version"):
            use(path)
    assert path.read_bytes() == before


def test_reading_makes_no_file(path: Path) -> None:
    """Who only asks leaves nothing behind."""
    assert open_for_reading(path) is None
    assert not path.parent.exists()
