"""The check for machines with a GPU, on one that may have none: its judgement, exit statuses, and way to workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.pool.processes.gpus import Gpu, find_gpus
from dspex_lab.testing.site import Site, until
from tests.gpu import check

TWO = (Gpu("GPU-a", "A", 1000), Gpu("GPU-b", "B", 1000))


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.end()


@pytest.fixture
async def backend(site: Site) -> AsyncIterator[KernelBackend]:
    made = KernelBackend(site.settings(*check.POOLS, local_engine="transformers", worker_start_timeout_s=check.LIMIT_S))
    await made.open()
    yield made
    await made.request("stop")
    await until(lambda: not site.processes())
    await made.aclose()


@pytest.mark.parametrize(
    ("devices", "is_well"),
    [
        (["GPU-a", "GPU-b", "GPU-a", "GPU-b"], True),
        (["GPU-a", "GPU-b", "GPU-a"], True),
        (["GPU-a", "GPU-a", "GPU-a", "GPU-b"], False),
        (["GPU-a", "GPU-a"], False),
        (["GPU-a", "GPU-c"], False),
        (["GPU-a", "", "GPU-b"], False),
    ],
)
def test_an_uneven_share_is_seen(devices: list[str], is_well: bool) -> None:
    """Each worker has one of the GPUs, and none has two workers more than another."""
    assert check.is_spread(devices, TWO) is is_well


def test_a_machine_without_a_gpu_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """It says so and has an exit status of its own."""
    assert check.main(()) == check.NO_GPU
    assert "no GPU" in capsys.readouterr().out


async def test_a_check_that_fails_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are made all the same, and the whole has failed."""

    async def well(*_: object) -> str:
        return "fine"

    async def ill(*_: object) -> str:
        raise AssertionError("all on one device")

    monkeypatch.setattr(check, "CHECKS", {"one": ill, "two": well})
    told: list[check.Finding] = []
    assert not await check.examine(site, TWO, told.append)
    assert [(one.name, one.is_well, one.found) for one in told] == [
        ("one", False, "all on one device"),
        ("two", True, "fine"),
    ]


async def test_workers_say_which_device_they_have(backend: KernelBackend) -> None:
    """Workers that run at the same time each tell their own; there is none where the machine has none."""
    devices = await check.devices_of_workers(backend, "devices", 2)
    gpus = find_gpus()
    assert check.is_spread(devices, gpus) if gpus else devices == ["", ""]


async def test_a_required_gpu_is_had_or_refused(backend: KernelBackend) -> None:
    """One way or the other, and never a worker without."""
    found = await check.required_is_kept(backend, find_gpus())
    assert found.startswith("a worker on GPU-" if find_gpus() else "refused: ")


@pytest.mark.model
async def test_the_engine_answers_in_the_pool(backend: KernelBackend) -> None:
    """A worker of ``neural`` loads the GGUF file into torch, on whichever device it has, and follows the schema."""
    pytest.importorskip("torch", reason="make test-transformers installs the extra, 2 GB, and runs this")
    schema = {"type": "object", "properties": {"stars": {"enum": [1, 2, 3]}}, "required": ["stars"]}
    replies = await asyncio.gather(*(check.ask(backend, "A fine book. Stars?", schema) for _ in range(2)))
    assert all(reply.text in [f'{{"stars": {stars}}}' for stars in (1, 2, 3)] for reply in replies)
    assert all(reply.usage.input_tokens > 0 for reply in replies)
