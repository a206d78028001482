"""What jobs came to, on the disk: a file for each, so that a job outlives its host, however that ends.

A file holds plain data and the frames of the value as they came, which are nobody's to read here. It is written whole
or not at all, before anybody is told, and it is the user's alone. Knows nothing of calls.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from pathlib import Path
from typing import Any, Literal

import msgspec

__all__ = ["JobEntry", "JobFiles"]

log = logging.getLogger(__name__)

_DRAFT = "draft"


class JobEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One detached call. ``frames`` is its value on the wire, ``error`` what it failed with; neither while it runs.
    Times in epoch seconds."""

    id: str
    op: str
    pool: str
    submitted_at: float
    ended_at: float | None = None
    frames: tuple[bytes, ...] = ()
    error: dict[str, Any] | None = None
    #: Of this form, and no other.
    version: Literal[1] = 1

    def size_bytes(self) -> int:
        return sum(map(len, self.frames))


class JobFiles:
    """The entries in ``folder``, which is made with mode 0700. A disk that refuses is said in the log, and raises
    nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, entry: JobEntry) -> bool:
        """Whether the entry is on the disk, in place of the one that it had."""
        draft = self._folder / _DRAFT
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.msgpack.encode(entry))
            draft.replace(self._path(entry.id))
        except (OSError, ValueError) as error:  # ValueError: an id that has no form as bytes
            log.warning("The job %s cannot be written down: %s.", entry.id, error)
            return False
        return True

    def read(self, job_id: str) -> JobEntry | None:
        """The entry of that job; None when there is none that can be read."""
        return self._read(self._path(job_id))

    def read_all(self) -> list[JobEntry]:
        """Every entry; what is none is removed."""
        entries = []
        with contextlib.suppress(OSError):  # nothing was written down yet, or nothing could be
            for path in list(self._folder.iterdir()):
                entry = self._read(path)
                if entry is None or path != self._path(entry.id):
                    _remove(path)
                else:
                    entries.append(entry)
        return entries

    def remove(self, job_id: str) -> None:
        """Forget the entry; one that is not there is no error."""
        _remove(self._path(job_id))

    def _path(self, job_id: str) -> Path:
        """Ids come from clients, and are no names of files."""
        return self._folder / hashlib.sha256(job_id.encode(errors="surrogatepass")).hexdigest()

    @staticmethod
    def _read(path: Path) -> JobEntry | None:
        try:
            return msgspec.msgpack.decode(path.read_bytes(), type=JobEntry)
        except (OSError, msgspec.MsgspecError):
            return None

    def __repr__(self) -> str:
        return f"<JobFiles {self._folder}>"


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
