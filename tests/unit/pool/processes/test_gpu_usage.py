"""What the driver says of devices and processes, and what becomes of a driver that does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from dspex_lab.pool.processes.gpu_usage import DeviceUsage, GpuUsage, read_gpu_usage
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost

GB = 2**30
ONE = DeviceUsage("GPU-1", "H100", 80 * GB, 10 * GB, 50.0)
TWO = DeviceUsage("GPU-2", "H100", 80 * GB, 20 * GB, None)


class Driver:
    """Two devices; a process on both."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        for name in dir(self):
            if name.startswith("nvml"):
                patch.setattr(pynvml, name, getattr(self, name))
        self.is_open = False

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's own names
        self.is_open = True

    def nvmlShutdown(self) -> None:  # noqa: N802 - the name in NVML
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - the name in NVML
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802 - the name in NVML
        return index

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:  # noqa: N802 - the name in NVML
        return [SimpleNamespace(pid=7, usedGpuMemory=3 * GB), SimpleNamespace(pid=8 + handle, usedGpuMemory=None)]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802 - the name in NVML
        return SimpleNamespace(total=80 * GB, used=(10 + 10 * handle) * GB)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802 - the name in NVML
        if handle:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(gpu=50)

    def nvmlDeviceGetUUID(self, handle: int) -> bytes:  # noqa: N802 - the name in NVML
        return f"GPU-{handle + 1}".encode()

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802 - the name in NVML
        return "H100"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    return Driver(monkeypatch)


def test_devices_and_processes_are_read(driver: Driver) -> None:
    """Memory by process over all devices; a figure that the driver keeps to itself is none."""
    assert read_gpu_usage() == GpuUsage((ONE, TWO), {7: 6 * GB, 8: 0, 9: 0})
    assert not driver.is_open


def test_a_driver_that_fails_is_no_error(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again later, and let go of each time."""

    def lost(_: int) -> Any:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lost)
    assert read_gpu_usage() == GpuUsage()
    assert not driver.is_open


def test_devices_together_are_plain_data() -> None:
    """Memory adds up, and the busiest says how busy they are; none at all is None."""
    found = GpuUsage((ONE, TWO)).to_dict()
    assert found is not None
    assert (found["memory_bytes"], found["used_bytes"], found["busy_percent"]) == (160 * GB, 30 * GB, 50.0)
    assert GpuUsage().to_dict() is None


def test_a_worker_has_the_device_memory_of_its_process() -> None:
    """In the host's status, for the pools that compute there."""
    host = FakeHost(PoolSpec(name="neural", size=1, gpu="auto"))
    host.kernels.is_gpu_there = True
    host.workforce.start(host.workforce.pool("neural"))
    host.greet_all()
    (worker,) = host.workforce.workers.values()
    host.workforce.gpu_usage = GpuUsage((ONE,), {worker.pid or 0: GB})
    found = host.workforce.statistics()["neural"]
    assert found["workers"][0]["gpu_memory_bytes"] == GB
    assert found["gpu"]["used_bytes"] == 10 * GB
