"""Files as memory: private, writable views, let go of with their last reader, beside whatever that one does.

Knows nothing of who made the files and of what they hold.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue

from dspex_lab.errors import HostUnavailable

__all__ = ["Mappings"]

_MAP_FAILED = ctypes.c_void_p(-1).value

# Python's own mmap keeps a file descriptor for each mapping, and a notebook may hold thousands of arrays.
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


#: From here on a mapping is let go of beside the work: the system frees its pages one by one, those of 64 MB in 8 ms.
_SLOW_BYTES = 16 * 1024 * 1024


class Mappings:
    """Views on files. While there are large ones, a thread waits to unmap them: who drops an old value to take a new
    one does not wait for the system."""

    def __init__(self) -> None:
        # Its put() may be called in the middle of anything, as finalizers are.
        self._gone: SimpleQueue[tuple[int, int]] = SimpleQueue()
        self._lock = threading.Lock()
        self._large = 0
        self._thread: threading.Thread | None = None

    def map(self, descriptor: int, size_bytes: int) -> memoryview:
        """A private, writable view on the whole file: pages are shared until the reader writes into them."""
        import numpy as np

        address = _libc.mmap(None, size_bytes, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE, descriptor, 0)
        if address == _MAP_FAILED:
            number = ctypes.get_errno()
            raise HostUnavailable(
                f"A large value cannot be mapped: {os.strerror(number)}.", hint="Is the memory of this process limited?"
            )
        block = (ctypes.c_ubyte * size_bytes).from_address(address)
        let_go = _libc.munmap if size_bytes < _SLOW_BYTES else self._add_large()
        # At exit arrays may outlive every finalizer; the system lets go of the mapping then.
        weakref.finalize(block, let_go, address, size_bytes).atexit = False
        # Not memoryview(block): that one, of a type that is C's, can be neither cast nor written.
        return np.frombuffer(memoryview(block), np.uint8).data

    def _add_large(self) -> Callable[[int, int], None]:
        """Count one more, and have the thread wait for it; what lets go of it."""
        with self._lock:
            self._large += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._unmap, name="dspex-unmap", daemon=True)
                self._thread.start()
        return lambda address, size_bytes: self._gone.put((address, size_bytes))

    def _unmap(self) -> None:
        """Unmap until no large view is left."""
        while True:
            _libc.munmap(*self._gone.get())
            with self._lock:
                self._large -= 1
                if not self._large:
                    self._thread = None
                    return

    def __repr__(self) -> str:
        return f"<Mappings [large: {self._large}]>"
