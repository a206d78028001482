"""What only a machine with a GPU can show: ``python -m tests.gpu.check``, or ``make check-gpu``.

Prints one line for each check. Exit status 0: all hold; 1: one does not; 77: there is no GPU here, nothing was checked.
The functions are tested without a GPU too (``test_check.py``), as far as they go there.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import psutil

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call, LmReply, LmRequest, LmSpec
from dspex_lab.errors import ConfigurationError, LabError
from dspex_lab.pool.processes.gpus import Gpu, find_gpus
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.site import Site, python_call, until

__all__ = ["CHECKS", "NO_GPU", "Finding", "ask", "devices_of_workers", "is_spread", "main", "required_is_kept"]

NO_GPU = 77
WORKERS = 4
_MB = 1024 * 1024
LIMIT_S = 240.0

POOLS = (
    PoolSpec(name="devices", size=WORKERS, gpu="auto"),
    PoolSpec(name="strict", size=1, gpu="required"),
    PoolSpec(name="plain", size=1),
    PoolSpec(name="neural", size=1, concurrency=8, max_memory_mb=32_768, gpu="auto", op_timeout_s=LIMIT_S),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """How one check ended, for a line of the table."""

    name: str
    is_well: bool
    found: str

    def __str__(self) -> str:
        return f"{'ok    ' if self.is_well else 'FAILED'}  {self.name:<44}  {self.found}"


def _worker(seconds: float) -> tuple[int, str]:
    """Runs in a worker: who it is, and which device it was given."""
    time.sleep(seconds)
    return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES", "unset")


async def devices_of_workers(backend: KernelBackend, pool: str, count: int) -> list[str]:
    """The device of each of ``count`` workers at once, as their own environment says."""
    async with asyncio.timeout(LIMIT_S):
        calls = [backend.submit(python_call(_worker, 1.5, pool=pool)) for _ in range(count)]
        by_pid = dict([(await call.result()).value for call in calls])
    if len(by_pid) != count:
        raise AssertionError(f"{count} calls at once ran in {len(by_pid)} workers")
    return list(by_pid.values())


def is_spread(devices: Sequence[str], gpus: Sequence[Gpu]) -> bool:
    """Whether each worker has one of the GPUs, and no GPU has two workers more than another."""
    counts = Counter({gpu.uuid: 0 for gpu in gpus})
    counts.update(devices)
    return len(counts) == len(gpus) and max(counts.values()) - min(counts.values()) <= 1


async def required_is_kept(backend: KernelBackend, gpus: Sequence[Gpu]) -> str:
    """A pool that requires a GPU has one; where there is none it refuses."""
    try:
        devices = await devices_of_workers(backend, "strict", 1)
    except ConfigurationError as error:
        if gpus:
            raise
        return f"refused: {error.message}"
    if devices[0] not in [gpu.uuid for gpu in gpus]:
        raise AssertionError(f"the worker was given {devices[0]!r}")
    return f"a worker on {devices[0]}"


async def _spread(backend: KernelBackend, gpus: Sequence[Gpu]) -> str:
    devices = await devices_of_workers(backend, "devices", WORKERS)
    if not is_spread(devices, gpus):
        raise AssertionError(f"the workers were given {devices}")
    return ", ".join(f"{count} on {uuid}" for uuid, count in Counter(devices).items())


async def _off(backend: KernelBackend, gpus: Sequence[Gpu]) -> str:
    devices = await devices_of_workers(backend, "plain", 1)
    if devices != [""]:
        raise AssertionError(f"a worker that asked for none was given {devices[0]!r}")
    return "no device"


async def _named(backend: KernelBackend, gpus: Sequence[Gpu]) -> str:
    status = await backend.request("status")
    device = str(status["pools"]["devices"]["device"])
    if gpus[0].name not in device:
        raise AssertionError(f"the status says {device!r}, the driver {gpus[0].name!r}")
    return device


async def _model_runs(backend: KernelBackend, gpus: Sequence[Gpu]) -> str:
    """The engine answers, types hold, and the device's memory holds the weights: 135 million numbers of two bytes."""
    for package in ("torch", "transformers", "llguidance"):
        if importlib.util.find_spec(package) is None:
            raise AssertionError(f"{package} is not installed: pip install 'dspex-lab[transformers]'")
    before = _used_mb()
    schema = {"type": "object", "properties": {"stars": {"enum": [1, 2, 3]}}, "required": ["stars"]}
    reply = await ask(backend, "A fine book. Stars?", schema)
    if reply.text not in [f'{{"stars": {stars}}}' for stars in (1, 2, 3)]:
        raise AssertionError(f"the answer is {reply.text!r}")
    grown = _used_mb() - before
    if grown < 250:
        raise AssertionError(f"the devices' memory grew by {grown} MB only: it runs on the CPU")
    return f"{grown} MB of the devices' memory"


async def _batch_pays(backend: KernelBackend, gpus: Sequence[Gpu]) -> str:
    """Eight answers at once take less than half of the time that they take one after another."""
    began = time.monotonic()
    alone = [await ask(backend, f"Write about the number {n}.") for n in range(8)]
    middle = time.monotonic()
    together = await asyncio.gather(*(ask(backend, f"Write about the number {n}.") for n in range(8)))
    ratio = (middle - began) / (time.monotonic() - middle)
    tokens = sum(reply.usage.output_tokens for reply in together)
    if ratio < 2 or not all(reply.text for reply in (*alone, *together)):
        raise AssertionError(f"{ratio:.1f} times as fast together")
    return f"{tokens / (time.monotonic() - middle):.0f} tokens/s, {ratio:.1f} times as fast together"


async def _memory_is_told(backend: KernelBackend, gpus: Sequence[Gpu]) -> str:
    """The statistics have each worker's memory, as the system has it."""
    workers = (await backend.request("status"))["pools"]["neural"]["workers"]
    told, real = (workers[0]["rss_bytes"], psutil.Process(workers[0]["pid"]).memory_info().rss)
    if not 0.8 < told / real < 1.25:
        raise AssertionError(f"told {told // _MB} MB, the system says {real // _MB}")
    return f"{told // _MB} MB, the system says {real // _MB}"


async def _device_memory_is_told(backend: KernelBackend, gpus: Sequence[Gpu]) -> str:
    """The statistics have what the model's worker holds of a device, and nothing of one that was given none."""
    async with asyncio.timeout(LIMIT_S):
        while True:  # the host asks the driver now and then
            pools = (await backend.request("status"))["pools"]
            told = pools["neural"]["workers"][0]["gpu_memory_bytes"]
            if told:
                break
            await asyncio.sleep(0.5)
    other = [worker["gpu_memory_bytes"] for worker in pools["plain"]["workers"]]
    if not 250 <= told // _MB <= _used_mb() or any(other):
        raise AssertionError(f"told {told // _MB} MB, and {other} of workers without a device")
    return f"{told // _MB} MB"


async def ask(backend: KernelBackend, text: str, schema: Mapping[str, object] | None = None) -> LmReply:
    """The small model's reply, from the pool ``neural``."""
    lm = LmSpec("local/smollm2-135m", max_tokens=64, timeout_s=LIMIT_S)
    request = LmRequest(lm, ({"role": "user", "content": text},), schema)
    call = Call("lm.complete", {"request": msgspec.to_builtins(request)}, pool="neural", timeout_s=LIMIT_S)
    return msgspec.convert((await backend.submit(call).result()).value, LmReply)


def _used_mb() -> int:
    """What all devices' memory holds, of whomever."""
    import pynvml

    pynvml.nvmlInit()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return sum(int(pynvml.nvmlDeviceGetMemoryInfo(handle).used) for handle in handles) // _MB
    finally:
        pynvml.nvmlShutdown()


Check = Callable[[KernelBackend, Sequence[Gpu]], Awaitable[str]]
CHECKS: dict[str, Check] = {
    f"{WORKERS} workers share the GPUs evenly": _spread,
    "a pool that requires a GPU has one": required_is_kept,
    "a pool that asks for none has none": _off,
    "the status names the GPU": _named,
    "the engine transformers runs on CUDA": _model_runs,
    "answers side by side pay": _batch_pays,
    "the statistics tell the worker's memory": _memory_is_told,
    "the statistics tell the device's memory too": _device_memory_is_told,
}


async def examine(site: Site, gpus: Sequence[Gpu], tell: Callable[[Finding], None]) -> bool:
    """Make every check on a host of its own; whether all are well."""
    backend = KernelBackend(site.settings(*POOLS, local_engine="transformers", worker_start_timeout_s=LIMIT_S))
    is_well = True
    try:
        for name, check in CHECKS.items():
            try:
                finding = Finding(name, is_well=True, found=await check(backend, gpus))
            except (AssertionError, LabError, TimeoutError) as error:
                finding = Finding(name, is_well=False, found=" ".join(str(error).split()) or type(error).__name__)
            is_well = is_well and finding.is_well
            tell(finding)
        await backend.request("stop")
        await until(lambda: not site.processes())
    finally:
        await backend.aclose()
    return is_well


def main(gpus: Sequence[Gpu] | None = None) -> int:
    """The exit status."""
    found = find_gpus() if gpus is None else gpus

    def say(line: object) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    if not found:
        say("There is no GPU here (NVML finds none): nothing was checked.")
        return NO_GPU
    for gpu in found:
        say(f"{gpu.name}, {gpu.memory_mb} MB, {gpu.uuid}")
    site = Site()
    try:
        return 0 if asyncio.run(examine(site, found, say)) else 1
    finally:
        site.end()


if __name__ == "__main__":
    sys.exit(main())
