"""How much of the GPUs is in use, by device and by process, as the driver says. NVML only: no CUDA, and no memory of a
device.

Called off the event loop: a driver may take its time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dspex_lab.pool.processes.gpus import nvml_text

__all__ = ["DeviceUsage", "GpuUsage", "read_gpu_usage"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeviceUsage:
    """One device now; ``busy_percent`` is the time in which it computed at all, None where the driver does not say."""

    uuid: str
    name: str
    memory_bytes: int
    used_bytes: int
    busy_percent: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The device as plain data, for the host's status."""
        return {
            "uuid": self.uuid,
            "name": self.name,
            "memory_bytes": self.memory_bytes,
            "used_bytes": self.used_bytes,
            "busy_percent": self.busy_percent,
        }


@dataclass(frozen=True, slots=True)
class GpuUsage:
    """All devices now, and the device memory in bytes of each process that has some (in a container the driver may
    know processes by other ids, and then none of ours is there)."""

    devices: tuple[DeviceUsage, ...] = ()
    by_pid: Mapping[int, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any] | None:
        """All devices together, and each, as plain data; None where there is none."""
        if not self.devices:
            return None
        busy = [device.busy_percent for device in self.devices if device.busy_percent is not None]
        return {
            "memory_bytes": sum(device.memory_bytes for device in self.devices),
            "used_bytes": sum(device.used_bytes for device in self.devices),
            "busy_percent": max(busy) if busy else None,
            "devices": [device.to_dict() for device in self.devices],
        }


def read_gpu_usage() -> GpuUsage:
    """What the driver says now; nothing where there is no driver. Never raises."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return GpuUsage()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        by_pid: dict[int, int] = {}
        for handle in handles:
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
                # Without the right to know, the driver gives a process and not what it has.
                by_pid[process.pid] = by_pid.get(process.pid, 0) + (process.usedGpuMemory or 0)
        return GpuUsage(tuple(_device(pynvml, handle) for handle in handles), by_pid)
    except pynvml.NVMLError as error:
        log.debug("The use of the GPUs cannot be read: %s.", error)
        return GpuUsage()
    finally:
        pynvml.nvmlShutdown()


def _device(nvml: Any, handle: Any) -> DeviceUsage:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        busy: float | None = float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except nvml.NVMLError:  # not of a part of a device
        busy = None
    uuid, name = nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)
    return DeviceUsage(nvml_text(uuid), nvml_text(name), int(memory.total), int(memory.used), busy)
