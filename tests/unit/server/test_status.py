"""The status route on a real Jupyter Server: asks for authentication, tells of the host, and never starts one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from dspex_lab.lab import Lab
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site

TOKEN = "a-token-of-this-test"
PATH = "dspex-lab/api/status"
_START_TIMEOUT_S = 40.0


@dataclass(frozen=True, slots=True)
class Server:
    """A Jupyter Server under a base URL, and the runtime folder that it looks into."""

    url: str
    site: Site

    def ask(self, method: str = "GET", **headers: str) -> httpx.Response:
        return httpx.request(method, f"{self.url}{PATH}", headers=headers, timeout=20, trust_env=False)

    def status(self) -> dict[str, object]:
        answer = self.ask(Authorization=f"token {TOKEN}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        found: dict[str, object] = answer.json()
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Only our extension is loaded, as the file that the wheel brings has it."""
    folder = tmp_path_factory.mktemp("server")
    site, port = Site(), free_port()
    config = Path(__file__).parents[3] / "jupyter-config" / "jupyter_server_config.d" / "dspex_lab.json"
    (folder / "jupyter_server_config.json").write_text(config.read_text())
    home = {name: str(folder) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "HOME")}
    environment = os.environ | home | {"DSPEX_LAB_RUNTIME_DIR": str(site.folder), "JUPYTER_NO_CONFIG": ""}
    options = [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.base_url=/user/ada/"]
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", *options]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    made = Server(f"http://127.0.0.1:{port}/user/ada/", site)
    try:
        wait_until_up(made, process, folder / "log")
        yield made
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        site.end()


def wait_until_up(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < limit and process.poll() is None:
        try:
            httpx.get(f"{server.url}api", timeout=5, trust_env=False)
            return
        except httpx.TransportError:
            time.sleep(0.05)  # another process
    pytest.fail(f"The server did not start:\n{log.read_text()[-3000:]}")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "token wrong"}], ids=["none", "a wrong one"])
def test_without_the_token_nothing_is_told(server: Server, headers: dict[str, str]) -> None:
    """The route asks for authentication as Jupyter's own do."""
    answer = server.ask(**headers)
    assert answer.status_code == 403
    assert "is_running" not in answer.text


def test_without_a_host_it_says_so_and_starts_none(server: Server) -> None:
    """``is_running`` is false, however often it is asked, and the runtime folder stays as it was."""
    before = sorted(server.site.folder.iterdir())
    assert [server.status() for _ in range(3)] == [{"is_running": False, "status": None}] * 3
    assert sorted(server.site.folder.iterdir()) == before


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    """The status is read only; with the token it is 405."""
    assert server.ask(method, Authorization=f"token {TOKEN}").status_code == 405


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
        time.sleep(0.02)  # another process
    gone = {"is_running": False, "status": None}
    assert server.status() == gone
    psutil.wait_procs([one for one in server.site.processes() if one.pid == pid], timeout=20)
    assert server.status() == gone
    assert not (server.site.folder / "host.json").exists()
