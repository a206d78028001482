"""The status route on a real Jupyter Server: tells of the host, and never starts one."""

from __future__ import annotations

import json
import time

import psutil
import pytest

from dspex_lab.lab import Lab
from dspex_lab.settings import PoolSpec, Settings
from tests.unit.server.conftest import TOKEN, Server


def test_without_a_host_it_says_so_and_starts_none(server: Server) -> None:
    """``is_running`` is false, however often it is asked, and the runtime folder stays as it was."""
    before = sorted(server.site.folder.iterdir())
    assert [server.status() for _ in range(3)] == [{"is_running": False, "status": None}] * 3
    assert server.get("pools") == {"host": None, "pools": [], "calls": [], "trouble": ""}
    assert server.get("logs") == {"logs": {}}
    assert server.get("runs") == {"runs": []}
    assert server.get("traces") == {"traces": []}
    assert sorted(server.site.folder.iterdir()) == before


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    """The status is read only; with the token it is 405."""
    assert server.ask("status", method, Authorization=f"token {TOKEN}").status_code == 405


def test_a_host_that_comes_and_goes_is_seen(server: Server) -> None:
    """With a host its own pools are told; the server is no client that keeps it alive, and notices its end."""
    settings = Settings.create(runtime_dir=server.site.folder, pools=(PoolSpec(name="general", size=2),))
    with Lab(settings) as lab:
        pid = lab.status().pid
        told = server.status()
        assert told["is_running"] is True
        status = json.loads(json.dumps(told["status"]))
        assert status["pid"] == pid
        assert {name: pool["spec"]["size"] for name, pool in status["pools"].items()} == {"general": 2}
        assert len(status["clients"]) == 1
        lab.stop()
    limit = time.monotonic() + 20
    while server.status()["is_running"] and time.monotonic() < limit:
        time.sleep(0.05)  # another process, and a limit on questions
    gone = {"is_running": False, "status": None}
    assert server.status() == gone
    psutil.wait_procs([one for one in server.site.processes() if one.pid == pid], timeout=20)
    assert server.status() == gone
    assert not (server.site.folder / "host.json").exists()
