"""What a process keeps of files that have no name any more: no listing of their folder shows them. Linux only."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

__all__ = ["hidden_bytes"]

#: A mapping of a removed file: its inode, and the path that it had.
_REMOVED = re.compile(rb"^\S+ \S+ \S+ \S+ (\d+) +(/.*) \(deleted\)$", re.MULTILINE)


def hidden_bytes(pid: int, folder: Path, *, largest_bytes: int) -> int:
    """What removed files take on the disk that ``pid`` has open, in any of its threads, or that were in ``folder`` and
    are mapped into its memory. The size of one that is mapped alone cannot be seen: it counts as ``largest_bytes``."""
    sizes: dict[int, int] = {}
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():  # each may have a table of descriptors of its own
            sizes.update(_open_files(thread / "fd"))
    for inode in _mapped_files(pid, os.fsencode(folder.resolve())):
        sizes.setdefault(inode, largest_bytes)
    return sum(sizes.values())


def _open_files(table: Path) -> dict[int, int]:
    found = {}
    with contextlib.suppress(OSError), os.scandir(table) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # it was closed meanwhile
                status = entry.stat()
                if status.st_nlink == 0:
                    found[status.st_ino] = status.st_blocks * 512
    return found


def _mapped_files(pid: int, folder: bytes) -> set[int]:
    try:
        listing = Path(f"/proc/{pid}/maps").read_bytes()
    except OSError:
        return set()
    return {int(inode) for inode, path in _REMOVED.findall(listing) if path.startswith(folder)}
