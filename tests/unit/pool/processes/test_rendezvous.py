"""How a notebook finds the one host: the lock, the connection file, and what a killed host leaves behind."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspex_lab.errors import HostUnavailable
from dspex_lab.pool.processes.environment import clean_environment
from dspex_lab.pool.processes.rendezvous import ConnectionFile, HostLock, clear_remains, find_host


@pytest.fixture
def held(tmp_path: Path) -> Iterator[HostLock]:
    lock = HostLock(tmp_path)
    assert lock.acquire()
    yield lock
    lock.release()


def test_there_is_one_host(held: HostLock, tmp_path: Path) -> None:
    """Who comes second does not get the lock, until the first lets go."""
    second = HostLock(tmp_path)
    assert held.is_held()
    assert not second.acquire()
    held.release()
    assert not second.is_held()
    assert second.acquire()
    second.release()


def test_asking_does_not_keep_a_host_from_starting(tmp_path: Path) -> None:
    """Clients who look whether there is a host hold the lock for a blink; a host that starts gets it all the same."""
    (tmp_path / "host.lock").touch()
    with (tmp_path / "host.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        release = threading.Timer(0.05, fcntl.flock, (file, fcntl.LOCK_UN))
        release.start()
        lock = HostLock(tmp_path)
        assert lock.acquire()
        release.join()
        lock.release()


def test_what_is_written_is_found(held: HostLock, tmp_path: Path) -> None:
    """A client reads what the living host wrote."""
    connection = ConnectionFile.create(tmp_path, "1.0")
    connection.write(tmp_path)
    assert find_host(tmp_path) == connection


def test_a_dead_hosts_file_is_not_found(tmp_path: Path) -> None:
    """Without the lock a connection file is stale, and without a file there is no host to talk to yet."""
    ConnectionFile.create(tmp_path, "1.0").write(tmp_path)
    assert find_host(tmp_path) is None


def test_a_host_that_starts_is_not_found_yet(held: HostLock, tmp_path: Path) -> None:
    """The lock is taken before the file is there."""
    assert find_host(tmp_path) is None


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"host_id": "a"}', '{"more": 1}'])
def test_a_file_that_cannot_be_read_is_told(held: HostLock, tmp_path: Path, text: str) -> None:
    """Another version's file is an error with a hint, and no guess."""
    (tmp_path / "host.json").write_text(text)
    with pytest.raises(HostUnavailable) as caught:
        find_host(tmp_path)
    assert caught.value.hint


def test_the_file_is_for_the_user_alone(tmp_path: Path) -> None:
    """It holds the key: 0600, and no draft stays beside it."""
    ConnectionFile.create(tmp_path, "1.0").write(tmp_path)
    assert (tmp_path / "host.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["host.json"]


def test_the_key_is_new_long_and_not_shown(tmp_path: Path) -> None:
    """256 bits, another one for each host, and not in the repr."""
    first, second = ConnectionFile.create(tmp_path, "1.0"), ConnectionFile.create(tmp_path, "1.0")
    assert len(bytes.fromhex(first.key)) == 32
    assert first.key != second.key
    assert first.key not in repr(first)


def test_what_a_killed_host_left_is_cleared(held: HostLock, tmp_path: Path) -> None:
    """Its file, its draft and its folder go; logs and what is not a host's stay."""
    old = ConnectionFile.create(tmp_path, "1.0")
    old.write(tmp_path)
    (tmp_path / f"host.json.{old.host_id}").write_text(json.dumps(dataclasses.asdict(old)))
    (tmp_path / old.host_id / "general-1").mkdir(parents=True)
    for name in ("host.log", "telemetry.db"):
        (tmp_path / name).touch()
    (tmp_path / "notes").mkdir()
    clear_remains(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["host.lock", "host.log", "notes", "telemetry.db"]


# --- the environment of workers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "DSPEX_LAB_LM_API_KEY", "PYTHONPATH"])
def test_a_notebooks_secrets_stay_there(name: str) -> None:
    """What is not on the list does not reach a worker."""
    assert name not in clean_environment({name: "secret"}, {}, scratch="/s")


@pytest.mark.parametrize("name", ["PATH", "HOME", "LC_ALL", "VIRTUAL_ENV", "TZ", "SSL_CERT_FILE"])
def test_what_every_program_needs_is_passed_on(name: str) -> None:
    """Paths, locale and certificates are the user's."""
    assert clean_environment({name: "x"}, {}, scratch="/s")[name] == "x"


def test_a_pools_own_variables_win() -> None:
    """What a pool's spec adds comes last; caches go to scratch."""
    made = clean_environment({"PATH": "/a"}, {"PATH": "/b", "OMP_NUM_THREADS": "4"}, scratch="/s")
    assert (made["PATH"], made["OMP_NUM_THREADS"]) == ("/b", "4")
    assert made["DSPY_CACHEDIR"].startswith("/s/")
