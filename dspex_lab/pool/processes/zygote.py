"""The zygote: a single-threaded process that has DSPy and more imported and forks workers from itself.

It knows no pools, no calls and no ZMQ: it makes no thread and no ZMQ context, or forking would copy a broken state.
One connection on its Unix socket is one worker: the request comes in as a JSON line, ``{"pid": ...}`` goes back,
and when the worker ends ``{"status": ...}`` follows, because nobody else can wait for a zygote's child. It dies with
its parent, the host, and every worker dies with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["ForkRequest", "Zygote", "die_with_parent", "main"]

#: What every worker needs and takes long to import, beside the modules that the settings name.
PRELOAD = (
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "IPython.extensions",
    "psutil",
    "dspex_lab.worker.kernel",
    "dspex_lab.worker.ops.system",
    "dspex_lab.worker.ops.python",
    "dspex_lab.worker.ops.lm",
    "dspex_lab.worker.ops.dspy",
    "dspex_lab.worker.ops.code",
)
#: The worker's entry point, by name: this room must not import that one.
_WORKER_ENTRY = ("dspex_lab.worker.kernel", "run_worker")

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class ForkRequest:
    """What a worker starts with: its connection file, whole environment, folder and log file."""

    connection_file: str
    env: dict[str, str]
    cwd: str
    log_file: str


@dataclass
class _Peer:
    """One connection: bytes that came so far, and the worker's pid once it is forked."""

    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    pid: int | None = None


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent dies; exits at once if it is dead already."""
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent or parent == 1:
        os._exit(1)


class Zygote:
    """Accepts fork requests on ``path`` until its parent dies or SIGTERM comes."""

    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Bound under another name and then moved: who sees the path can connect to it.
        draft = Path(f"{path}~")
        self._listener.bind(str(draft))
        draft.chmod(0o600)
        self._listener.listen(64)
        draft.rename(path)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._peers: dict[int, _Peer] = {}
        self._wakeup_read, self._wakeup_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wakeup_read, selectors.EVENT_READ)

    def serve(self) -> NoReturn:
        """Fork on request, reap on SIGCHLD; never returns."""
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj == self._wakeup_read:
                    os.read(self._wakeup_read, 4096)
                else:
                    self._read(key.data)
            self._reap()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        peer = _Peer(connection)
        self._selector.register(connection, selectors.EVENT_READ, peer)

    def _read(self, peer: _Peer) -> None:
        try:
            data = peer.connection.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._forget(peer)
            return
        peer.received += data
        if peer.pid is None and b"\n" in peer.received:
            self._fork(peer, ForkRequest(**json.loads(peer.received)))

    def _fork(self, peer: _Peer, request: ForkRequest) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_worker(request)
        peer.pid = pid
        self._peers[pid] = peer
        _tell(peer, {"pid": pid})

    def _become_worker(self, request: ForkRequest) -> NoReturn:
        """In the child: let go of everything of the zygote's, then be a kernel. Never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._close_inherited()
            os.setsid()
            die_with_parent()
            _redirect(request.log_file)
            os.environ.clear()
            os.environ.update(request.env)
            os.chdir(request.cwd)
            module, name = _WORKER_ENTRY
            sys.argv = [module]
            getattr(importlib.import_module(module), name)(request.connection_file)
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # The zygote's own exit handlers are not the worker's to run.
            os._exit(status)

    def _close_inherited(self) -> None:
        self._selector.close()
        self._listener.close()
        os.close(self._wakeup_read)
        os.close(self._wakeup_write)
        for peer in self._peers.values():
            peer.connection.close()

    def _reap(self) -> None:
        while self._peers:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if peer := self._peers.pop(pid, None):
                _tell(peer, {"status": os.waitstatus_to_exitcode(status)})
                self._forget(peer)

    def _forget(self, peer: _Peer) -> None:
        """The connection is closed; the worker, if it lives, goes on until the host ends it."""
        if peer.connection.fileno() >= 0:
            self._selector.unregister(peer.connection)
            peer.connection.close()


def _tell(peer: _Peer, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the host let go of this worker; its exit is reaped all the same
        peer.connection.sendall(json.dumps(message).encode() + b"\n")


def _redirect(log_file: str) -> None:
    """Standard input from nowhere; output and errors to the worker's own log."""
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)


def main() -> None:
    """``python -m dspex_lab.pool.processes.zygote SOCKET [MODULE ...]``; the log names what cannot be imported."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    zygote = Zygote(sys.argv[1])
    for name in (*sys.argv[2:], *PRELOAD):
        try:
            importlib.import_module(name)
        except Exception as error:  # a module of the user's may raise whatever it likes
            sys.stderr.write(f"not preloaded: {name} ({type(error).__name__}: {error})\n")
    gc.collect()
    # What is here now is shared by all workers; the collector must not touch (and so copy) it.
    gc.freeze()
    zygote.serve()


if __name__ == "__main__":
    main()
