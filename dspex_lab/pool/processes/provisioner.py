"""Makes a forked process an ordinary Jupyter kernel: jupyter_client's kernel provisioner over the zygote.

Signals go through a pidfd, so they reach this worker or nobody, even when its pid was given out again. Named by the
entry point ``dspex-lab-zygote``; knows nothing of pools and calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Unicode

__all__ = ["ZygoteProvisioner"]


class ZygoteProvisioner(KernelProvisionerBase):
    """One worker that the zygote forked. ``zygote_socket`` and ``log_file`` come from the kernel spec's metadata."""

    zygote_socket = Unicode(help="Path of the zygote's Unix socket").tag(config=True)
    log_file = Unicode(help="Where the worker's own output goes").tag(config=True)

    pid: int | None = None
    _pidfd: int | None = None
    _watch: asyncio.Task[int] | None = None

    @property
    def has_process(self) -> bool:
        return self.pid is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        manager = self.parent
        if manager is None:
            raise RuntimeError("A provisioner works for a kernel manager.")
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        kwargs.pop("extra_arguments", None)
        return await super().pre_launch(cmd=[manager.connection_file], **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        reader, writer = await asyncio.open_unix_connection(self.zygote_socket)
        request = {
            "connection_file": cmd[0],
            "env": kwargs["env"],
            "cwd": str(kwargs.get("cwd") or "/"),
            "log_file": self.log_file,
        }
        writer.write(json.dumps(request).encode() + b"\n")
        answer = json.loads(await reader.readline() or "{}")
        if "pid" not in answer:
            writer.close()
            raise RuntimeError("The zygote went away before it forked the worker.")
        pid: int = answer["pid"]
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._watch = asyncio.create_task(self._watch_exit(reader, writer))
        return self.connection_info

    async def _watch_exit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        """The worker's exit status; -9 when the zygote itself died, which takes its workers along."""
        try:
            line = await reader.readline()
        except ConnectionError:
            line = b""
        writer.close()
        return int(json.loads(line)["status"]) if line else -int(signal.SIGKILL)

    async def poll(self) -> int | None:
        if self._watch is None:
            return 0
        return self._watch.result() if self._watch.done() else None

    async def wait(self) -> int | None:
        if self._watch is None:
            return 0
        status = await asyncio.shield(self._watch)
        self._close()
        return status

    async def send_signal(self, signum: int) -> None:
        if self._pidfd is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile, which is what most signals ask for
            signal.pidfd_send_signal(self._pidfd, signum)

    async def kill(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        if not restart:
            self._close()

    def _close(self) -> None:
        self.pid = None
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
