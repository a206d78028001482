"""What a worker may do to the machine: limits for every worker, walls around one whose pool says ``sandbox="on"``.

There are two rings. The **worker** of a sandbox is closed before it has threads (Landlock, limits, no capabilities)
and sealed when its channel to the host is up (no socket is opened any more); its host takes no calls from it. Code
that a model wrote does not run in that process, whose memory holds the host's key: each piece has a **process of its
own**, with nothing inherited but a pipe, in a folder of its own, without sockets and without children.

Who is exempt from ``RLIMIT_NPROC``, as root is, is stopped by the filter of system calls; threads are counted by who
waits for the process (``ops.code``). Knows nothing of operations and of the host.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dspex_lab.errors import ConfigurationError
from dspex_lab.wire.segments import SHARED_MEMORY
from dspex_lab.worker import landlock, seccomp

__all__ = [
    "MAX_FILE_MB",
    "Guards",
    "guard_generated_code",
    "guard_worker",
    "missing_walls",
    "python_folders",
    "seal_worker",
]

_MB = 1024 * 1024
_PR_SET_PDEATHSIG = 1
#: The largest file that code in a sandbox may write, in MB, and how many files it may have open.
MAX_FILE_MB = 256
_MAX_OPEN_FILES = 256

#: What a Python program reads of its machine; nothing here is a secret.
_SYSTEM_READABLE = (
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/fonts",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/dev/random",
    "/dev/urandom",
)
_DEVICES_WRITABLE = ("/dev/null", "/dev/zero", "/dev/full")


@dataclass(frozen=True, slots=True)
class Guards:
    """How this worker is guarded. ``trouble`` says why a sandbox is not closed; nothing may run in it then."""

    is_sandbox: bool = False
    max_memory_mb: int = 512
    trouble: str = ""

    def refusal(self) -> ConfigurationError | None:
        """Why no code may run here, if so."""
        if not self.trouble:
            return None
        return ConfigurationError(
            f"This system cannot close a sandbox: {self.trouble}.",
            "sandbox",
            f"Linux with Landlock version {landlock.LEAST_ABI} (6.2) or later, and seccomp",
            self.trouble,
            hint='Give the pool sandbox="off" to run code without walls, with all that you may do yourself.',
        )


def missing_walls() -> str:
    """What this system lacks to close a sandbox; "" when it lacks nothing."""
    abi = landlock.landlock_abi()
    if abi == 0:
        return "it has no Landlock"
    if abi < landlock.LEAST_ABI:
        return f"its Landlock is of version {abi}"
    return "" if seccomp.has_filter() else "its system calls cannot be filtered"


def guard_worker(folder: Path, *, is_sandbox: bool, max_memory_mb: int) -> Guards:
    """Set the limits of this worker, and close it if it is a sandbox. ``folder`` is its own.

    Call it before the first thread: walls hold for the threads that come of the one that built them.
    """
    seccomp.forbid_new_privileges()
    _limit(resource.RLIMIT_CORE, 0)
    if not is_sandbox:
        return Guards(max_memory_mb=max_memory_mb)
    if trouble := missing_walls():
        return Guards(is_sandbox=True, max_memory_mb=max_memory_mb, trouble=trouble)
    seccomp.drop_capabilities()
    _limit(resource.RLIMIT_FSIZE, MAX_FILE_MB * _MB)
    # The address space itself is left alone: each thread reserves much of it and uses little.
    _limit(resource.RLIMIT_DATA, _mapped_bytes("data") + max_memory_mb * _MB)
    package = Path(__file__).parents[1]
    landlock.restrict_files(
        # The kernel hides the environment and the memory of processes outside all the same.
        (*_system_folders(), *python_folders(), package, Path("/proc"), Path.cwd()),
        (folder, *map(Path, _DEVICES_WRITABLE)),
        # An installation for development: Python looks for the package in here.
        listable=() if package.parent.name == "site-packages" else (package.parent,),
        # Large values come and go by names that nobody can guess.
        unlisted=(SHARED_MEMORY,),
        may_execute=True,
    )
    return Guards(is_sandbox=True, max_memory_mb=max_memory_mb)


def seal_worker(guards: Guards) -> None:
    """The channel to the host is up: a sandbox opens no further socket, on any of its threads."""
    if guards.is_sandbox and not guards.trouble:
        seccomp.seal()


def guard_generated_code(scratch: Path, *, is_sandbox: bool, max_memory_mb: int) -> None:
    """Limit this process, which is to run code that a model wrote, for good; in a sandbox also close it, so that it
    writes in ``scratch`` only. It ends with the thread that started it."""
    _die_with_parent()
    seccomp.forbid_new_privileges()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, MAX_FILE_MB * _MB)
    _limit(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    _limit(resource.RLIMIT_AS, _mapped_bytes("size") + max_memory_mb * _MB)
    _be_the_first_to_go()
    if not is_sandbox:
        return
    seccomp.drop_capabilities()
    landlock.restrict_files((*_system_folders(), *python_folders()), (scratch, *map(Path, _DEVICES_WRITABLE)))
    seccomp.seal_generated_code()


def python_folders() -> tuple[Path, ...]:
    """Where this Python and its packages lie. Never the user's home itself, nor a folder that contains it."""
    installed = [Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages", ".zip"))]
    prefixes = [Path(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)]
    home = Path(os.path.expanduser("~")).resolve()  # noqa: PTH111 - Path.home() raises where there is none
    found = {path.resolve() for path in (*prefixes, *installed)}
    return tuple(sorted(path for path in found if not home.is_relative_to(path)))


def _system_folders() -> tuple[Path, ...]:
    return tuple(map(Path, _SYSTEM_READABLE))


def _die_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _limit(what: int, value: int) -> None:
    """Lower a limit for good; one that is lower already stays."""
    hard = resource.getrlimit(what)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, value))


def _mapped_bytes(what: Literal["size", "data"]) -> int:
    """What this process has mapped already, which is many times what it uses: in all, or as memory of its own."""
    pages = Path("/proc/self/statm").read_text().split()
    return int(pages[0 if what == "size" else 5]) * resource.getpagesize()


def _be_the_first_to_go() -> None:
    """When the machine runs out of memory, this process is ended before any other."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return
