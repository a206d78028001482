"""The machine's GPUs, and which of them a worker gets. The decision is pure; only :func:`find_gpus` asks the driver.

NVML (``nvidia-ml-py``) is asked without CUDA, so the host itself takes no memory of a device.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dspex_lab.errors import ConfigurationError
from dspex_lab.settings import PoolSpec

__all__ = ["Gpu", "choose_gpu", "device_environment", "find_gpus", "gpu_refusal", "nvml_text"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device: its UUID (what CUDA_VISIBLE_DEVICES takes), its name, its memory in MB."""

    uuid: str
    name: str
    memory_mb: int


def find_gpus() -> tuple[Gpu, ...]:
    """The NVIDIA devices that the driver shows; none where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        log.info("No GPU: %s.", error)
        return ()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(
            Gpu(
                uuid=nvml_text(pynvml.nvmlDeviceGetUUID(handle)),
                name=nvml_text(pynvml.nvmlDeviceGetName(handle)),
                memory_mb=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) // (1024 * 1024),
            )
            for handle in handles
        )
    except pynvml.NVMLError as error:
        log.warning("The GPUs cannot be read: %s.", error)
        return ()
    finally:
        pynvml.nvmlShutdown()


def choose_gpu(spec: PoolSpec, gpus: Sequence[Gpu], in_use: Iterable[str]) -> Gpu | None:
    """The device with the fewest workers (``in_use`` holds one UUID for each), in the driver's order when several
    have as few; None for a pool that wants none, or where there is none."""
    if spec.gpu == "off" or not gpus:
        return None
    loads = Counter(in_use)
    return min(gpus, key=lambda gpu: loads[gpu.uuid])


def device_environment(gpu: Gpu | None) -> dict[str, str]:
    """What a worker's environment says of devices: its own, or none at all, so that nobody takes another's."""
    return {"CUDA_VISIBLE_DEVICES": gpu.uuid if gpu else ""}


def gpu_refusal(spec: PoolSpec, gpus: Sequence[Gpu]) -> ConfigurationError | None:
    """Why the pool cannot work on this machine, or None when it can."""
    if spec.gpu != "required" or gpus:
        return None
    return ConfigurationError(
        f"The pool {spec.name!r} requires a GPU, and there is none.",
        f"pools.{spec.name}.gpu",
        "a machine with an NVIDIA driver",
        "no GPU",
        hint='Say gpu="auto" to have it run on the CPU.',
    )


def nvml_text(value: str | bytes) -> str:
    """Older drivers' bindings answer in bytes."""
    return value.decode() if isinstance(value, bytes) else value
