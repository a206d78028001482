"""What the metrics endpoint is told of the host: the latest that was heard, at once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from dspex_lab.errors import HostUnavailable
from dspex_lab.server.host_figures import HostFigures
from tests.unit.server.conftest import TOKEN, Server


class Host:
    """A host that the test has come, go and answer."""

    def __init__(self) -> None:
        self.is_alive = True
        self.fails = False
        self.asked = 0

    def is_there(self) -> bool:
        return self.is_alive

    async def status(self) -> dict[str, Any] | None:
        self.asked += 1
        if self.fails:
            raise HostUnavailable("It ended.")
        return {"pid": self.asked}

    async def statistics(self) -> dict[str, Any] | None:
        return {"series": []}


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def figures(host: Host) -> HostFigures:
    known: Any = host
    return HostFigures(known)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_look_gives_what_was_heard_and_asks_anew(figures: HostFigures, host: Host) -> None:
    """The first has nothing yet; each of the next the answer to the one before."""
    assert figures.status() is None
    await settle()
    assert figures.status() == {"pid": 1}
    assert figures.statistics() == {"series": []}
    await settle()
    assert figures.status() == {"pid": 2}


async def test_a_host_that_is_asked_is_not_asked_again(figures: HostFigures, host: Host) -> None:
    """However often somebody looks meanwhile."""
    for _ in range(10):
        figures.status()
    await settle()
    assert host.asked == 1


async def test_a_host_that_is_gone_has_no_figures(figures: HostFigures, host: Host) -> None:
    """At once, whatever was heard before; one that cannot be asked has none either."""
    figures.refresh()
    await settle()
    host.is_alive = False
    assert (figures.status(), figures.statistics()) == (None, None)
    host.is_alive, host.fails = True, True
    figures.refresh()
    await settle()
    assert (figures.status(), figures.statistics()) == (None, None)


def test_the_servers_metrics_have_the_hosts(server: Server) -> None:
    """Behind the server's own authentication; without a host one figure says so, and none is started."""
    answer = httpx.get(f"{server.url}metrics", headers={"Authorization": f"token {TOKEN}"}, timeout=20, trust_env=False)
    assert answer.status_code == 200
    assert "dspex_lab_host_up 0.0" in answer.text
    assert httpx.get(f"{server.url}metrics", timeout=20, trust_env=False).status_code in (302, 403)
    assert not (server.site.folder / "host.json").exists()
