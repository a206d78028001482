"""Large frames through shared memory: a file in ``/dev/shm`` whose name travels instead of its bytes.

A segment belongs to whom its name says: ``dspex-HOST.OWNER.TOKEN``. Arguments belong to the caller, a result to its
worker and, once the host has passed it on, to the caller. Who reads a segment unlinks it, unless the call may run
again; what is never read goes with the call, with its owner, or with the host: whoever remains sweeps by prefix.
Knows neither messages' meaning nor sockets; where there is no shared memory, or no room in it, frames stay frames.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dspex_lab.errors import HostUnavailable, ProtocolError
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.mappings import Mappings
from dspex_lab.wire.messages import Segment

__all__ = [
    "SHARED_MEMORY",
    "THRESHOLD_BYTES",
    "Segments",
    "belong_to",
    "hand_over",
    "prefix_of",
    "realm_of",
    "sweep",
]

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - files there have names nobody can guess, are 0600 and never followed

#: From here on a segment is quicker than two hops through sockets (``tests/benchmarks/large_values.py``).
THRESHOLD_BYTES = 1024 * 1024

_NAME = re.compile(r"dspex-[0-9a-f]{8}\.[A-Za-z0-9_-]{1,64}\.[0-9a-f]{16}")


def realm_of(host_id: str) -> str:
    """What the names of all segments of a host begin with."""
    return f"dspex-{host_id}."


def prefix_of(host_id: str, owner: str) -> str:
    """What the names of the segments begin with that belong to ``owner``: a worker's id, or a client's token."""
    return f"{realm_of(host_id)}{owner}."


class Segments:
    """One process's way to the segments of its host. ``prefix`` is its own (:func:`prefix_of`), under which it makes
    segments; those of the whole host can be read. Without a prefix none are made and none can be read."""

    def __init__(
        self, prefix: str = "", *, folder: Path = SHARED_MEMORY, threshold_bytes: int = THRESHOLD_BYTES
    ) -> None:
        self._prefix = prefix if folder.is_dir() else ""
        self._realm = prefix.partition(".")[0] + "."
        self._folder = folder
        self._threshold_bytes = threshold_bytes
        self._mappings = Mappings()

    def place(self, frames: Frames, *, is_kept: bool = False) -> tuple[Frames, tuple[Segment, ...]]:
        """``frames`` with the large ones empty, and the segments that hold those instead.

        A frame for which there is no room stays what it is. With ``is_kept`` readers leave the segments to whoever
        made them.
        """
        if not self._prefix:
            return frames, ()
        rest, segments = list(frames), []
        for index, frame in enumerate(frames):
            if len(frame) < self._threshold_bytes:
                continue
            name = f"{self._prefix}{secrets.token_hex(8)}"
            if not self._write(name, frame):
                break
            segments.append(Segment(index, name, len(frame), is_kept))
            rest[index] = b""
        return rest, tuple(segments)

    def _write(self, name: str, frame: bytes | memoryview) -> bool:
        """Whether the whole frame is there. Written and not mapped: a full file system is then an error, no SIGBUS."""
        path = self._folder / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        try:
            view, done = memoryview(frame), 0
            while done < len(view):
                done += os.write(descriptor, view[done:])
            return True
        except OSError:
            path.unlink(missing_ok=True)
            return False
        except BaseException:  # an interrupt
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def restore(self, frames: Frames, segments: Sequence[Segment]) -> Frames:
        """``frames`` with those that ``segments`` hold in their places: writable views on private mappings, which
        are let go with their last reader. A name that is no segment of this host is a :class:`ProtocolError` and is
        not opened."""
        if not segments:
            return frames
        restored = list(frames)
        try:
            for segment in segments:
                restored[segment.frame] = self._read(segment, restored)
        except BaseException:
            self.remove([segment for segment in segments if not segment.is_kept])
            raise
        return restored

    def _read(self, segment: Segment, frames: Frames) -> memoryview:
        if segment.frame >= len(frames) or len(frames[segment.frame]):
            raise ProtocolError("A segment for a frame that is none came in.")
        path = self._path(segment)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise HostUnavailable(
                "A large value was lost on its way.",
                hint="The process that sent it, or the host, ended meanwhile. Call again.",
            ) from error
        except OSError as error:
            raise ProtocolError(f"A segment that cannot be opened came in: {error}.") from error
        try:
            status = os.fstat(descriptor)
            is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            if not is_ours or status.st_size != segment.size_bytes:
                raise ProtocolError("A segment that is not what its message says came in.")
            frame = self._mappings.map(descriptor, segment.size_bytes)
        finally:
            os.close(descriptor)
        if not segment.is_kept:
            path.unlink(missing_ok=True)
        return frame

    def _path(self, segment: Segment) -> Path:
        if not (self._prefix and segment.name.startswith(self._realm) and _NAME.fullmatch(segment.name)):
            raise ProtocolError("A segment that is none of this host's came in.")
        return self._folder / segment.name

    def remove(self, segments: Sequence[Segment]) -> None:
        """Unlink what nobody will read any more; names that are none of this host's are left alone."""
        for segment in segments:
            with contextlib.suppress(ProtocolError, FileNotFoundError):
                self._path(segment).unlink()

    def sweep_host(self) -> None:
        """The host ended, and its workers with it: unlink whatever any of them, or its clients, left."""
        if self._prefix:
            sweep(self._realm, folder=self._folder)

    def __repr__(self) -> str:
        return f"<Segments {self._prefix or '[off]'}>"


def hand_over(segments: Sequence[Segment], prefix: str, *, folder: Path = SHARED_MEMORY) -> tuple[Segment, ...]:
    """The segments under names that begin with ``prefix``: from now on they are its owner's. For the host alone,
    which has checked the names that came in (:func:`belong_to`)."""
    given = []
    for segment in segments:
        name = f"{prefix}{segment.name.rpartition('.')[2]}"
        with contextlib.suppress(FileNotFoundError):  # the reader will say so
            (folder / segment.name).rename(folder / name)
        given.append(msgspec.structs.replace(segment, name=name))
    return tuple(given)


def belong_to(prefix: str, segments: Sequence[Segment]) -> bool:
    """Whether every name is one that the owner of ``prefix`` could have made."""
    return all(segment.name.startswith(prefix) and _NAME.fullmatch(segment.name) for segment in segments)


def sweep(prefix: str, *, folder: Path = SHARED_MEMORY) -> None:
    """Unlink every segment whose name begins with ``prefix``: their owner is gone."""
    if not folder.is_dir():
        return
    for entry in os.scandir(folder):
        if entry.name.startswith(prefix) and _NAME.fullmatch(entry.name):
            Path(entry.path).unlink(missing_ok=True)
