"""Workers that do all that a worker must not: their calls end, once and rightly, and other pools never notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call
from dspex_lab.errors import LabError
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.problem_worker import PROBLEMS, problem_python
from dspex_lab.testing.site import LIMIT_S, Site, echo, end_of, until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def settings(shared_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A pool for each problem, and one without any."""
    folder = tmp_path_factory.mktemp("problems")
    pools = [
        PoolSpec(
            name=problem.replace("_", "-"),
            size=1,
            python=problem_python(folder, problem),
            max_memory_mb=200,
            cancel_grace_s=0.3,
            idle_retire_s=1.0 if problem == "ignore_sigterm" else 300.0,
        )
        for problem in PROBLEMS
    ]
    sound = PoolSpec(name="sound", size=1)
    return shared_site.settings(sound, *pools, worker_start_timeout_s=6.0, worker_silence_s=2.0)


@pytest.fixture
async def backend(settings: Settings) -> AsyncIterator[KernelBackend]:
    made = KernelBackend(settings)
    await made.open()
    yield made
    await made.aclose()


@pytest.fixture(autouse=True)
def _others_are_served(settings: Settings) -> Iterator[None]:
    """Whatever happens in a pool with a problem, the sound one answers at once."""
    yield

    async def check() -> None:
        backend = KernelBackend(settings)
        assert await end_of(backend.submit(echo(1, pool="sound"))) == 1
        await backend.aclose()

    asyncio.run(check())


async def error_of(backend: KernelBackend, call: Call, *, limit_s: float = LIMIT_S) -> LabError:
    async with asyncio.timeout(limit_s):
        with pytest.raises(LabError) as caught:
            await backend.submit(call).result()
    return caught.value


async def pool(backend: KernelBackend, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await backend.request("status"))["pools"][name]
    return found


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hang-at-start", "say hello within"),
        ("crash-at-start", "exit status 3"),
        ("unknown-version", "protocol version"),
    ],
)
async def test_workers_that_never_start_leave_a_pool_that_says_why(
    backend: KernelBackend, name: str, reason: str
) -> None:
    """After a few tries, with growing pauses, the calls end and the pool's trouble names the cause."""
    error = await error_of(backend, echo(pool=name))
    assert type(error).__name__ == "WorkerLost"
    assert reason in error.message
    assert reason in (await pool(backend, name))["trouble"]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("be-silent", "WorkerLost", "silent"),
        ("send-garbage", "WorkerLost", "broke the protocol"),
        ("exit-quietly", "WorkerLost", "exit status 0"),
    ],
)
async def test_a_worker_that_fails_its_call_is_replaced(
    backend: KernelBackend, name: str, kind: str, words: str
) -> None:
    """The call ends with what happened, and there is another worker for the next."""
    for _ in range(2):
        error = await error_of(backend, echo(pool=name), limit_s=20)
        assert (type(error).__name__, words in error.message) == (kind, True), error
    assert (await pool(backend, name))["counters"]["lost_workers"] >= 1


async def test_an_answer_after_the_deadline_is_nobodys(backend: KernelBackend) -> None:
    """The caller hears of its deadline in time, and what comes later is taken for no other call's answer."""
    for _ in range(2):
        began = time.monotonic()
        assert type(await error_of(backend, echo(pool="answer-late", timeout_s=3.0))).__name__ == "DeadlineExceeded"
        assert time.monotonic() - began < 6
    async with asyncio.timeout(LIMIT_S):
        while (await pool(backend, "answer-late"))["counters"]["failed"] < 2:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)
    assert (await pool(backend, "answer-late"))["counters"]["succeeded"] == 0


@pytest.mark.parametrize(("name", "value"), [("answer-twice", "first"), ("answer-for-others", "mine")])
async def test_an_answer_counts_once_and_for_its_own_call(backend: KernelBackend, name: str, value: str) -> None:
    """The second one, and one to a call that is not the worker's, are dropped."""
    assert [await end_of(backend.submit(echo(pool=name))) for _ in range(5)] == [value] * 5
    counters = (await pool(backend, name))["counters"]
    assert (counters["submitted"], counters["succeeded"]) == (5, 5)


async def test_a_flood_ends_with_its_worker(backend: KernelBackend, shared_site: Site) -> None:
    """A reader that never asked for so much is not drowned, and neither is the host."""
    host = psutil.Process(shared_site.host_pid())
    before = host.memory_info().rss
    pending = backend.submit(echo(pool="flood-a-stream", stream=True, credit=8))
    chunks = []
    async with asyncio.timeout(LIMIT_S):
        async for chunk in pending:
            chunks.append(chunk)
            await asyncio.sleep(0.05)
    with pytest.raises(LabError, match="without credit"):
        await pending.result()
    assert len(chunks) <= 64
    assert host.memory_info().rss - before < 50 * 2**20


async def test_a_worker_that_leaks_is_ended_before_it_hurts(backend: KernelBackend) -> None:
    """It serves until it is over its limit; then another takes its place. A call that it had then says so."""
    answers: list[Any] = []
    while 1 not in answers[1:] and len(answers) < 30:
        answers.append(await end_of(backend.submit(echo(pool="leak-memory", idempotent=True))))
        await asyncio.sleep(0.05)  # the host looks ten times a second
    assert answers[-1] == 1
    assert max(one for one in answers if isinstance(one, int)) < 15
    assert {one for one in answers if isinstance(one, str)} <= {"WorkerMemoryExceeded"}


async def test_a_worker_that_ignores_the_order_to_go_is_killed(backend: KernelBackend) -> None:
    """Asked to go, it has its grace, and then it is gone."""
    pid = await end_of(backend.submit(echo(pool="ignore-sigterm")))
    assert await end_of(backend.submit(echo(pool="ignore-sigterm"))) == pid
    await until(lambda: not psutil.pid_exists(pid), limit_s=10)
    counters = (await pool(backend, "ignore-sigterm"))["counters"]
    assert counters["lost_workers"] == 0


async def test_zombies_are_nobodys_for_long(backend: KernelBackend, shared_site: Site) -> None:
    """What a worker never waited for is reaped by who inherits it."""
    assert await end_of(backend.submit(echo(pool="leave-zombies"))) == "done"
    assert await end_of(backend.submit(echo(pool="leave-zombies"))) == "WorkerLost"
    host = psutil.Process(shared_site.host_pid())

    def zombies() -> list[int]:
        return [one.pid for one in host.children(recursive=True) if one.status() == psutil.STATUS_ZOMBIE]

    await until(lambda: not zombies(), limit_s=5)


def test_every_problem_is_tried() -> None:
    """A problem that no test names would be forgotten."""
    text = Path(__file__).read_text()
    assert [name for name in PROBLEMS if name.replace("_", "-") not in text] == []
