"""The notebook's side of the host without a host: what happens while there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dspex_lab.backends import kernels
from dspex_lab.backends.base import Backend
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call
from dspex_lab.errors import Cancelled, DeadlineExceeded, HostUnavailable
from dspex_lab.settings import Settings


@pytest.fixture
async def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KernelBackend]:
    """A backend whose host never comes."""
    monkeypatch.setattr(kernels, "start_host", lambda settings: None)
    made = KernelBackend(Settings.create(runtime_dir=tmp_path, host_start_timeout_s=0.2))
    yield made
    await made.aclose()


async def test_a_host_that_does_not_come_is_told(backend: KernelBackend) -> None:
    """open() ends with HostUnavailable that says where the log is; a call ends likewise."""
    with pytest.raises(HostUnavailable) as caught:
        await backend.open()
    assert "host.log" in str(caught.value)
    with pytest.raises(HostUnavailable):
        await backend.submit(Call("system.echo")).result()


async def test_calls_that_wait_for_a_host_are_under_way(backend: KernelBackend) -> None:
    """The books balance while the connection is made."""
    pending = backend.submit(Call("system.echo"))
    statistics = backend.statistics()
    assert (statistics.calls, statistics.in_flight, statistics.is_open) == (1, 1, False)
    with pytest.raises(HostUnavailable):
        await pending.result()
    assert backend.statistics().failed == 1


async def test_a_call_that_waits_for_a_host_can_be_cancelled(backend: KernelBackend) -> None:
    """cancel() ends it at once; another that waits goes on."""
    first, second = backend.submit(Call("system.echo")), backend.submit(Call("system.echo"))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(Cancelled):
        await first.result()
    assert not second.has_ended
    second.cancel()


async def test_closing_ends_calls_that_wait_for_a_host(backend: KernelBackend) -> None:
    """aclose() leaves nobody waiting for a connection that will not come."""
    pending = backend.submit(Call("system.echo"))
    await asyncio.sleep(0)
    await backend.aclose()
    with pytest.raises(Cancelled):
        async with asyncio.timeout(1):
            await pending.result()


async def test_the_time_without_a_host_counts(backend: KernelBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call's deadline holds while the host is awaited."""
    monkeypatch.setattr("dspex_lab.wire.caller._DEADLINE_GRACE_S", 0.0)
    with pytest.raises(DeadlineExceeded):
        await backend.submit(Call("system.echo", timeout_s=0.05)).result()


async def test_a_closed_backend_stays_closed(backend: KernelBackend) -> None:
    """After aclose() no host is looked for."""
    await backend.aclose()
    with pytest.raises(HostUnavailable, match="closed"):
        await backend.open()


def test_it_is_a_backend(tmp_path: Path) -> None:
    """The Protocol is the type checker's to hold."""

    def take(one: Backend) -> str:
        return one.name

    assert take(KernelBackend(Settings.create(runtime_dir=tmp_path))) == "kernels"


async def test_closing_a_session_starts_no_host(backend: KernelBackend) -> None:
    """A session ended with its host: without one there is nothing to close."""
    assert await backend.request("session.close", session="s") is None
    assert not backend.is_connecting()
