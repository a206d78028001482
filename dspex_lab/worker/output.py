"""What a worker's operations print goes to its log, beside the console that may be connected to the kernel."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

__all__ = ["LogEcho", "echo_output"]

#: A log of its own begins anew when it has more than this.
_MAX_LOG_BYTES = 8 * 1024 * 1024


class LogEcho:
    """Writes to ``descriptor`` what is written to a stream of ipykernel's, but for what its ``watcher`` found there
    already. With ``is_own`` the log is bounded: its last words matter, and nobody else writes there."""

    def __init__(self, descriptor: int, watcher: threading.Thread | None, *, is_own: bool) -> None:
        self._descriptor = descriptor
        self._watcher = watcher
        self._is_own = is_own
        self._unchecked_bytes = 0

    def write(self, text: str) -> int:
        if threading.current_thread() is not self._watcher:
            data = memoryview(text.encode(errors="replace"))
            self._unchecked_bytes += len(data)
            while data:
                data = data[os.write(self._descriptor, data) :]
            self._bound()
        return len(text)

    def _bound(self) -> None:
        if self._is_own and self._unchecked_bytes > _MAX_LOG_BYTES // 16:
            self._unchecked_bytes = 0
            if os.fstat(self._descriptor).st_size > _MAX_LOG_BYTES:
                os.ftruncate(self._descriptor, 0)

    def flush(self) -> None:
        """Nothing is held back."""


def echo_output(descriptors: tuple[int, int], *, is_own: bool) -> None:
    """Have ``sys.stdout`` and ``sys.stderr``, which are ipykernel's by now, write to ``descriptors`` as well."""
    streams: tuple[Any, Any] = sys.stdout, sys.stderr
    for stream, descriptor in zip(streams, descriptors, strict=True):
        stream.echo = LogEcho(descriptor, getattr(stream, "watch_fd_thread", None), is_own=is_own)
