"""Starts, interrupts and ends worker processes through jupyter_client. Knows no calls.

Each worker is an ordinary kernel under an ``AsyncKernelManager`` with ``ipc`` transport; the zygote's provisioner
makes its process, or jupyter_client's local one where the pool names another Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from dspex_lab.errors import LabError
from dspex_lab.folders import remove_tree
from dspex_lab.pool.processes.environment import clean_environment
from dspex_lab.pool.processes.gpus import Gpu, choose_gpu, device_environment, find_gpus, gpu_refusal
from dspex_lab.pool.processes.logs import forget_old_logs
from dspex_lab.pool.processes.remains import HOST_MARK, WORKER_MARK, adopt_orphans, end_adopted, host_mark
from dspex_lab.pool.processes.rendezvous import ConnectionFile
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.wire.segments import prefix_of

__all__ = ["KernelLifecycle"]

log = logging.getLogger(__name__)

#: How long a worker that was asked to go may take before it is killed.
_STOP_GRACE_S = 2.0
_POLL_S = 0.02

ExitListener = Callable[[str, int, str], None]


class _OneSpec(KernelSpecManager):
    """Knows the one kernel spec that it was given."""

    def __init__(self, spec: KernelSpec) -> None:
        super().__init__()
        self._spec = spec

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return self._spec


@dataclass(slots=True)
class _Worker:
    """A worker's process. ``start`` is the task that brings it up."""

    manager: AsyncKernelManager
    folder: Path
    gpu: Gpu | None = None
    tasks: set[asyncio.Future[None]] = field(default_factory=set)
    is_launched: bool = False
    is_unwanted: bool = False


class KernelLifecycle:
    """The ``Kernels`` of the workforce. ``folder`` is the host's private folder, ``connection`` where workers find
    the host; ``on_exit(id, status, reason)`` is called once for each worker, on the loop."""

    def __init__(self, folder: Path, connection: ConnectionFile, settings: Settings, on_exit: ExitListener) -> None:
        self._folder = folder
        self._connection = connection
        self._settings = settings
        self._on_exit = on_exit
        self._workers: dict[str, _Worker] = {}
        self._zygote: asyncio.subprocess.Process | None = None
        self._zygote_lock = asyncio.Lock()
        self._is_closing = False

    @cached_property
    def gpus(self) -> tuple[Gpu, ...]:
        """The machine's devices; asked for when the first pool wants one."""
        return find_gpus()

    def refusal(self, spec: PoolSpec) -> LabError | None:
        return gpu_refusal(spec, self.gpus) if spec.gpu == "required" else None

    def has_gpu(self, spec: PoolSpec) -> bool:
        return spec.gpu != "off" and bool(self.gpus)

    def device(self, spec: PoolSpec) -> str:
        if spec.gpu == "off":
            return ""
        names = [gpu.name for gpu in self.gpus]
        return " + ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names)) or "CPU (no GPU found)"

    def sweep(self) -> None:
        """End what workers that are gone left running, but for the moments in which a process is being made."""
        if self._zygote is None or self._zygote_lock.locked() or self._is_closing:
            return
        provisioners = [worker.manager.provisioner for worker in self._workers.values()]
        own = {self._zygote.pid, *(getattr(one, "pid", None) or 0 for one in provisioners)}
        end_adopted(own, self._workers)

    @property
    def _mark(self) -> dict[str, str]:
        return {HOST_MARK: host_mark(self._folder)}

    @property
    def zygote_socket(self) -> Path:
        return self._folder / "zygote.sock"

    async def open(self) -> None:
        """Start the zygote; it imports while the host goes on, and serves when it is ready."""
        adopt_orphans()
        async with self._zygote_lock:
            await self._start_zygote()

    async def _start_zygote(self) -> None:
        self.zygote_socket.unlink(missing_ok=True)
        with (self._folder / "zygote.log").open("ab") as output:
            self._zygote = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "dspex_lab.pool.processes.zygote",
                str(self.zygote_socket),
                *self._settings.preload,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=clean_environment(os.environ, self._mark, scratch=str(self._folder)),
            )

    # --- orders from the workforce -----------------------------------------------------------------------------

    def start(self, worker_id: str, spec: PoolSpec) -> None:
        folder = self._folder / worker_id
        try:
            worker = _Worker(self._manager(worker_id, spec, folder), folder)
        except Exception as error:  # no descriptors, no memory: as any other start that fails
            log.exception("The worker %s could not be started.", worker_id)
            told = (worker_id, 1, f"{type(error).__name__}: {error}")
            asyncio.get_running_loop().call_soon(self._on_exit, *told)
            return
        self._workers[worker_id] = worker
        self._spawn(worker, self._live(worker_id, spec, worker))

    def stop(self, worker_id: str) -> None:
        if worker := self._workers.get(worker_id):
            self._spawn(worker, self._stop(worker))

    def interrupt(self, worker_id: str) -> None:
        worker = self._workers.get(worker_id)
        if worker is not None and worker.is_launched:
            self._spawn(worker, worker.manager.interrupt_kernel())

    def kill(self, worker_id: str) -> None:
        if worker := self._workers.get(worker_id):
            self._spawn(worker, self._kill(worker))

    def connection_file(self, worker_id: str) -> str | None:
        """Where a console finds the worker."""
        worker = self._workers.get(worker_id)
        return str(worker.manager.connection_file) if worker else None

    # --- what becomes of them ---------------------------------------------------------------------------------

    def _spawn(self, worker: _Worker, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        worker.tasks.add(task)
        task.add_done_callback(worker.tasks.discard)

    def _manager(self, worker_id: str, spec: PoolSpec, folder: Path) -> AsyncKernelManager:
        provisioner: dict[str, Any] = {"provisioner_name": "local-provisioner"}
        if spec.python is None:
            config = {"zygote_socket": str(self.zygote_socket), "log_file": str(self.log_file(worker_id))}
            provisioner = {"provisioner_name": "dspex-lab-zygote", "config": config}
        python = spec.python or sys.executable
        kernel_spec = KernelSpec(
            argv=[python, "-m", "dspex_lab.worker.kernel", "-f", "{connection_file}"],
            display_name=worker_id,
            language="python",
            metadata={"kernel_provisioner": provisioner},
        )
        return AsyncKernelManager(
            kernel_name=worker_id,
            kernel_spec_manager=_OneSpec(kernel_spec),
            transport="ipc",
            ip=str(folder / "k"),
            connection_file=str(folder / "kernel.json"),
        )

    def log_file(self, worker_id: str) -> Path:
        return self._folder / f"{worker_id}.log"

    async def _live(self, worker_id: str, spec: PoolSpec, worker: _Worker) -> None:
        """The worker's whole life: from its launch to the report of its end."""
        status, reason = 1, ""
        try:
            worker.folder.mkdir(mode=0o700)
            await self._await_zygote(spec)
            await worker.manager.start_kernel(
                env=self._environment(worker_id, spec, worker), cwd=self._cwd(spec, worker)
            )
            worker.is_launched = True
            if worker.is_unwanted:
                await self._kill(worker)
            provisioner = worker.manager.provisioner
            status = (await provisioner.wait() if provisioner is not None else None) or 0
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever keeps a worker from starting is told to its pool
            log.exception("The worker %s could not be started.", worker_id)
            reason = f"{type(error).__name__}: {error}"
        self._workers.pop(worker_id, None)
        try:
            # First of all: who waits for its calls need not wait until what it wrote is removed.
            if not self._is_closing:
                self._on_exit(worker_id, status, reason)
        finally:
            await self._clean_up(worker)
            forget_old_logs(self._folder, {*self._workers, "zygote"})

    async def _await_zygote(self, spec: PoolSpec) -> None:
        """Wait until the zygote serves. One that died is started again, once for each worker that asks."""
        if spec.python is not None:
            return
        async with self._zygote_lock:
            if self._zygote is None or self._zygote.returncode is not None:
                await self._start_zygote()
        while not self.zygote_socket.exists():
            if self._zygote is None or self._zygote.returncode is not None:
                raise RuntimeError(f"the zygote is gone; its last words are in {self._folder / 'zygote.log'}")
            await asyncio.sleep(_POLL_S)

    def _environment(self, worker_id: str, spec: PoolSpec, worker: _Worker) -> dict[str, str]:
        config = {
            "worker_id": worker_id,
            "pool": spec.name,
            "address": self._connection.address,
            "key": self._connection.key,
            "heartbeat_s": self._settings.heartbeat_s,
            "sandbox": spec.sandbox,
            "max_memory_mb": spec.max_memory_mb,
            "segment_prefix": prefix_of(self._connection.host_id, worker_id) if spec.sandbox == "off" else "",
        }
        worker.gpu = choose_gpu(spec, self.gpus, [w.gpu.uuid for w in self._workers.values() if w.gpu is not None])
        additions = device_environment(worker.gpu) | spec.env
        environment = clean_environment(os.environ, additions, scratch=str(worker.folder))
        if self._settings.model_dir is not None:
            environment["DSPEX_LAB_MODEL_DIR"] = str(self._settings.model_dir.resolve())
        if self._settings.local_engine != "auto":
            environment["DSPEX_LAB_LOCAL_ENGINE"] = self._settings.local_engine
        told = {"DSPEX_LAB_WORKER": json.dumps(config), "DSPEX_LAB_POOL": spec.name, WORKER_MARK: worker_id}
        return environment | self._mark | told

    @staticmethod
    def _cwd(spec: PoolSpec, worker: _Worker) -> str:
        if spec.cwd is not None:
            return spec.cwd
        scratch = worker.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        return str(scratch)

    async def _stop(self, worker: _Worker) -> None:
        worker.is_unwanted = True
        if not worker.is_launched:
            return
        provisioner = worker.manager.provisioner
        if provisioner is None:
            return
        await provisioner.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_GRACE_S):
                await provisioner.wait()
                return
        await provisioner.kill()

    @staticmethod
    async def _kill(worker: _Worker) -> None:
        worker.is_unwanted = True
        if worker.is_launched and worker.manager.provisioner is not None:
            await worker.manager.provisioner.kill()

    @staticmethod
    async def _clean_up(worker: _Worker) -> None:
        worker.manager.cleanup_connection_file()
        worker.manager.context.destroy(linger=0)
        await asyncio.to_thread(remove_tree, worker.folder)

    async def aclose(self) -> None:
        """End every worker and the zygote, and wait for them; their ends are told to nobody."""
        self._is_closing = True
        for worker in list(self._workers.values()):
            await self._kill(worker)
        if self._zygote is not None and self._zygote.returncode is None:
            self._zygote.kill()
            await self._zygote.wait()
        lives = [task for worker in self._workers.values() for task in worker.tasks]
        if lives:
            await asyncio.wait(lives, timeout=_STOP_GRACE_S)
