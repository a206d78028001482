"""Whose code a file is: the user's own, or that of the house, of Python and of installed packages.

Paths only; knows nothing of tracebacks.
"""

from __future__ import annotations

import functools
import site
import sys
import sysconfig
from pathlib import Path

__all__ = ["is_users_file"]

_INSTALLED = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
#: Where packages lie that another Python installed, as a worker of another one may tell them.
_PACKAGES = frozenset({"site-packages", "dist-packages"})


def is_users_file(file: str) -> bool:
    """Whether ``file``, as a frame names it, is the user's own code: a cell, or a file that nobody installed."""
    if file.startswith("<"):
        # Frozen modules, and what Python's own library makes as text, as the methods of dataclasses.
        return not file.startswith(("<frozen", "<string>"))
    path = Path(file)
    return _PACKAGES.isdisjoint(path.parts) and not any(map(path.is_relative_to, _foreign_folders()))


@functools.cache
def _foreign_folders() -> tuple[Path, ...]:
    """Folders and not prefixes of names: ``site-packages`` may lie beside the user's own files, in one environment."""
    named = [sysconfig.get_path(name) for name in _INSTALLED]
    found = [*named, *site.getsitepackages(), site.getusersitepackages()]
    house, programs = Path(__file__).resolve().parents[1], Path(sys.executable).parent
    return tuple({house, programs, *(Path(path) for path in found if path)})
