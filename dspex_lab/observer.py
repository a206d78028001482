"""A second line to the pool host, for those who only look: it starts no host and keeps none alive.

Panels ask through it about once a second. Knows nothing of what is asked for.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from dspex_lab.backends.base import Backend
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.errors import HostUnavailable
from dspex_lab.pool.processes.rendezvous import find_host
from dspex_lab.portal import Portal
from dspex_lab.settings import Settings

__all__ = ["HostObserver"]


class HostObserver:
    """Looks at the host of ``settings``. ``backend`` is the lab's own: one that has no host process (a test's, or a
    cluster's) is asked itself. Safe on every thread."""

    def __init__(self, settings: Settings, portal: Portal, backend: Backend) -> None:
        self._settings = settings
        self._portal = portal
        self._backend = backend
        self._line: Backend | None = None if isinstance(backend, KernelBackend) else backend
        self._lock = threading.Lock()
        self._is_closed = False

    def ask(self, method: str, **params: Any) -> Any:
        """What the host answers, as plain data; None when no host runs. Raises ``LabError``, and once it is closed
        ``HostUnavailable``."""
        if not self._has_host():
            return None
        line = self._connected()
        try:
            return self._portal.run(lambda: line.request(method, **params))
        except HostUnavailable:
            if self._has_host():
                raise
            return None  # it ended meanwhile

    def _has_host(self) -> bool:
        if self._backend is self._line:
            return True
        try:
            return find_host(self._settings.runtime_dir) is not None
        except OSError as error:
            raise HostUnavailable(f"The pool host cannot be looked for: {error}.") from error

    def _connected(self) -> Backend:
        with self._lock:
            if self._is_closed:  # a panel's thread may ask while the lab is being closed
                raise HostUnavailable("The lab is closed.", hint="Make a new Lab().", retryable=False)
            if self._line is None:
                self._line = self._portal.call_soon(self._new_line)
            return self._line

    def _new_line(self) -> Backend:
        return KernelBackend(self._settings, label=f"panel {os.getpid()}", role="observer")

    def close(self) -> None:
        """Let go of the line. Safe to call twice, and in a fork."""
        with self._lock:
            line, self._line, self._is_closed = self._line, None, True
        if line is not None and line is not self._backend and not self._portal.is_closed:
            self._portal.run(line.aclose)

    def __repr__(self) -> str:
        return f"<HostObserver [{'not asked yet' if self._line is None else repr(self._line)}]>"
