"""Folders that go, whatever was made in them. Knows nothing of whose they are."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

__all__ = ["remove_tree"]

#: So many folders, one in the other, are open at a time; those below are moved up first.
_MOST_OPEN = 32
#: Opens a folder itself, and nothing that a link names; needs no right to look into it.
_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Level:
    """An open folder, and the folders in it that are still to go: nothing else is in it any more."""

    name: str
    descriptor: int
    folders: list[str]


def remove_tree(folder: Path) -> None:
    """Remove ``folder`` and all in it; raises nothing, and leaves what cannot be removed.

    Neither the stack, nor the longest path, nor the number of open files bounds how deep folders may be nested, and
    no rights keep one. Links are removed and never followed.
    """
    levels: list[_Level] = []
    token, count = secrets.token_hex(8), 0
    try:
        with contextlib.suppress(OSError):
            levels.append(_entered(str(folder), None))
        while levels:
            level = levels[-1]
            with contextlib.suppress(OSError):
                if not level.folders:
                    os.close(levels.pop().descriptor)
                    os.rmdir(level.name, dir_fd=levels[-1].descriptor if levels else None)
                elif len(levels) < _MOST_OPEN:
                    _enter_or_remove(level.folders.pop(), levels)
                else:
                    name, moved = level.folders.pop(), f"{token}-{(count := count + 1)}"
                    _make_accessible(name, level.descriptor)
                    os.rename(name, moved, src_dir_fd=level.descriptor, dst_dir_fd=levels[0].descriptor)
                    levels[0].folders.append(moved)
    finally:  # an interrupt
        for level in levels:
            os.close(level.descriptor)


def _enter_or_remove(name: str, levels: list[_Level]) -> None:
    """Go into the folder. Where no rights can be given, as within a sandbox, it may be empty, and is removed so."""
    parent = levels[-1].descriptor
    try:
        levels.append(_entered(name, parent))
    except OSError:
        os.rmdir(name, dir_fd=parent)


def _entered(name: str, parent: int | None) -> _Level:
    """The folder, open, with everything removed from it that is none."""
    _make_accessible(name, parent)
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    folders = []
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                    continue
                with contextlib.suppress(OSError):
                    os.unlink(entry.name, dir_fd=descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return _Level(name, descriptor, folders)


def _make_accessible(name: str, parent: int | None) -> None:
    """Give back the rights that a folder was made without."""
    handle = os.open(name, _HANDLE, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{handle}").chmod(0o700)
    finally:
        os.close(handle)
