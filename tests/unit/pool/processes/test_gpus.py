"""Which device a worker gets."""

from __future__ import annotations

import pytest

from dspex_lab.pool.processes.gpus import Gpu, choose_gpu, device_environment, find_gpus, gpu_refusal
from dspex_lab.settings import PoolSpec

ONE = Gpu("GPU-1", "H100", 80_000)
TWO = Gpu("GPU-2", "H100", 80_000)
AUTO = PoolSpec(name="neural", gpu="auto")


@pytest.mark.parametrize(
    ("in_use", "chosen"),
    [((), ONE), (("GPU-1",), TWO), (("GPU-1", "GPU-2"), ONE), (("GPU-2", "GPU-1", "GPU-1"), TWO), (("GPU-9",), ONE)],
)
def test_the_least_used_device_is_chosen(in_use: tuple[str, ...], chosen: Gpu) -> None:
    """Workers spread over the devices; among equals the first in the driver's order."""
    assert choose_gpu(AUTO, (ONE, TWO), in_use) == chosen


def test_a_pool_without_gpu_sees_none() -> None:
    """A pool that wants no GPU gets none, and its workers' environment hides every device."""
    assert choose_gpu(PoolSpec(name="general"), (ONE,), ()) is None
    assert device_environment(None) == {"CUDA_VISIBLE_DEVICES": ""}
    assert device_environment(ONE) == {"CUDA_VISIBLE_DEVICES": "GPU-1"}


def test_auto_falls_back_to_the_cpu() -> None:
    """Where there is no device, "auto" works without one and "required" is refused with the key."""
    assert choose_gpu(AUTO, (), ()) is None
    assert gpu_refusal(AUTO, ()) is None
    refusal = gpu_refusal(PoolSpec(name="neural", gpu="required"), ())
    assert refusal is not None
    assert refusal.config_key == "pools.neural.gpu"
    assert gpu_refusal(PoolSpec(name="neural", gpu="required"), (ONE,)) is None


def test_asking_the_driver_never_fails() -> None:
    """Without a driver the machine has no GPUs, and that is no error."""
    assert all(gpu.uuid for gpu in find_gpus())
