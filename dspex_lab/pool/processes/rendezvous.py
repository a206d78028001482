"""How notebooks and the one host of a user find each other: a lock, and a connection file in the private folder.

The lock is held by the living host and freed by the system whatever kills it, so there is never more than one and a
stale connection file is known for what it is.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from dspex_lab.errors import HostUnavailable
from dspex_lab.folders import remove_tree
from dspex_lab.pool.processes.environment import allowed_environment
from dspex_lab.pool.processes.remains import end_marked, host_mark
from dspex_lab.settings import Settings
from dspex_lab.wire.segments import realm_of, sweep

__all__ = ["LOG", "ConnectionFile", "HostLock", "clear_remains", "end_host", "find_host", "start_host"]

log = logging.getLogger(__name__)

_FILE = "host.json"
_LOCK = "host.lock"
LOG = "host.log"
_HOST_FOLDER = re.compile(r"[0-9a-f]{8}")

#: Who asks whether the lock is held takes it for a blink; so often, and so long apart (seconds), it is tried.
_ATTEMPTS = 30
_PAUSE_S = 0.01

#: What a host takes at once for its log, its traces and its files.
_ROOM_BYTES = 256 * 1024

#: The host is its warden's child, and that one nobody's: whoever started them need not wait for their end.
_WARDEN = Path(__file__).with_name("warden.py")


@dataclass(frozen=True)
class ConnectionFile:
    """What a client needs to reach the host. ``key`` is the secret that it must show."""

    host_id: str
    pid: int
    address: str
    key: str
    version: str

    def __repr__(self) -> str:
        return f"<ConnectionFile {self.address} [pid: {self.pid}]>"

    @classmethod
    def create(cls, folder: Path, version: str) -> ConnectionFile:
        """A new host's own; nothing is written yet."""
        host_id = secrets.token_hex(4)
        return cls(host_id, os.getpid(), f"ipc://{folder}/{host_id}/host.sock", secrets.token_hex(32), version)

    def write(self, folder: Path) -> None:
        """Put it where clients look, whole or not at all, readable by the user alone."""
        draft = folder / f"{_FILE}.{self.host_id}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file)
        draft.replace(folder / _FILE)

    @staticmethod
    def remove(folder: Path) -> None:
        (folder / _FILE).unlink(missing_ok=True)


class HostLock:
    """Held by the host as long as it lives."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _LOCK
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Take the lock; False when a living host has it."""
        file = self._path.open("ab")
        for _ in range(_ATTEMPTS):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE_S)
                continue
            self._file = file
            return True
        file.close()
        return False

    def is_held(self) -> bool:
        """Whether some process holds it now."""
        if not self._path.exists():
            return False
        with self._path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def clear_remains(folder: Path) -> None:
    """Remove what a host that was killed left behind. For the holder of the lock alone: there is no other host."""
    ConnectionFile.remove(folder)
    hosts = [path for path in folder.iterdir() if path.is_dir() and _HOST_FOLDER.fullmatch(path.name)]
    if hosts:
        end_marked({host_mark(path) for path in hosts})
    for path in folder.iterdir():
        try:
            if path in hosts:
                remove_tree(path)
                sweep(realm_of(path.name))
            elif path.name.startswith(f"{_FILE}."):
                path.unlink(missing_ok=True)
        except OSError as error:  # what stays is in nobody's way
            log.warning("%s cannot be cleared away: %s.", path, error)


def find_host(folder: Path) -> ConnectionFile | None:
    """The living host's connection file, or None: no host, a dead one's file, or one that is still starting."""
    if not HostLock(folder).is_held():
        return None
    try:
        return ConnectionFile(**json.loads((folder / _FILE).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise HostUnavailable(
            f"The host's connection file {folder / _FILE} cannot be read ({error}).",
            hint="Another version of dspex_lab may have written it; end that host and remove the file.",
        ) from error


def end_host(folder: Path) -> bool:
    """End the living host by a signal, for one that speaks another version of the protocol; False when there is
    none. The lock says that it lives, so the pid in its file is its own."""
    host = find_host(folder)
    if host is None:
        return False
    try:
        descriptor = os.pidfd_open(host.pid)
    except ProcessLookupError:
        return False
    try:
        if HostLock(folder).is_held():
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            return True
        return False
    finally:
        os.close(descriptor)


def start_host(settings: Settings) -> None:
    """Start a host in the background; returns at once. One too many leaves by itself. Raises ``OSError`` where the disk
    has no room for it: the host itself could not say so."""
    folder = settings.private_runtime_dir()
    _check_room(folder)
    log_path = folder / LOG
    descriptor = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # Secrets of language models stay in the notebook: they go with the calls that need them.
    shared = settings.model_dump(mode="json", exclude={"lm_api_key", "otlp_headers"})
    if settings.otlp_headers is not None:  # the host's own to use; it comes by a pipe, which nobody else reads
        shared["otlp_headers"] = settings.otlp_headers.get_secret_value()
    with os.fdopen(descriptor, "wb") as log_file:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [sys.executable, "-I", "-S", str(_WARDEN), sys.executable],
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=log_file,
            cwd=folder,
            # The notebook's secrets are none of the host's business, and it would pass its environment on.
            env={**allowed_environment(os.environ), "DSPEX_LAB_RUNTIME_DIR": str(folder)},
        )
    process.communicate(json.dumps(shared).encode())


def _check_room(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, _ROOM_BYTES)
