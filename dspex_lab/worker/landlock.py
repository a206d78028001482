"""Landlock through ctypes: which files a process, and all that comes of it, may read and write from now on.

The wrapper of three system calls, probed at run time; which folders those are is said in ``guards``. Knows nothing
of workers and pools.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["LEAST_ABI", "landlock_abi", "restrict_files"]

#: Before version 3 (Linux 6.2) a file outside could still be emptied.
LEAST_ABI = 3

# The numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
#: Every right of the first version; each later one adds the next bits.
_ALL_FILES = (1 << 13) - 1
_LATER_FILES = {2: 1 << 13, 3: _TRUNCATE, 5: _IOCTL_DEVICE}
_MAKE_DEVICE = 1 << 6 | 1 << 11
_BIND_AND_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
#: What a rule about a file, and not about a folder, may speak of.
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_files", ctypes.c_uint64),
        ("handled_network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_abi() -> int:
    """The version of Landlock that this kernel has; 0 where there is none."""
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    except OSError:
        return 0


def restrict_files(
    readable: Iterable[Path],
    writable: Iterable[Path],
    *,
    listable: Iterable[Path] = (),
    unlisted: Iterable[Path] = (),
    may_execute: bool = False,
) -> None:
    """From now on this thread and its offspring read beneath ``readable``, write beneath ``writable``, list names
    beneath ``listable``, write beneath ``unlisted`` what they know by name, and touch no other file; no TCP, and no
    signals or abstract sockets to the outside where the kernel can refuse them.

    Paths that do not exist are left out. The process must have given up new privileges. Raises OSError.
    """
    abi = landlock_abi()
    handled = _ALL_FILES | sum(bit for version, bit in _LATER_FILES.items() if abi >= version)
    attributes = _Ruleset(
        handled,
        _BIND_AND_CONNECT_TCP if abi >= 4 else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0,
    )
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _call(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        reading = _READ_FILE | _READ_DIR | (_EXECUTE if may_execute else 0)
        for path in readable:
            _allow(ruleset, path, reading)
        for path in listable:
            _allow(ruleset, path, _READ_DIR)
        writing = handled & ~(_EXECUTE | _MAKE_DEVICE)
        for path in writable:
            _allow(ruleset, path, writing)
        for path in unlisted:
            _allow(ruleset, path, writing & ~_READ_DIR)
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = _PathBeneath(rights if path.is_dir() else rights & _OF_A_FILE, parent)
        _call(
            _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0)
        )
    finally:
        os.close(parent)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno() or errno.EINVAL
        raise OSError(code, os.strerror(code))
    return result
