"""A real Jupyter Server with our extension alone, and the runtime folder that it looks into."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from dspex_lab.testing.site import Site

__all__ = ["TOKEN", "Server"]

TOKEN = "a-token-of-this-test"
_START_TIMEOUT_S = 90.0


@dataclass(frozen=True, slots=True)
class Server:
    """A Jupyter Server under a base URL."""

    url: str
    site: Site

    def ask(self, path: str = "status", method: str = "GET", body: Any = None, **headers: str) -> httpx.Response:
        """A request with these headers and no others of ours."""
        url = f"{self.url}dspex-lab/api/{path}"
        return httpx.request(method, url, headers=headers, json=body, timeout=40, trust_env=False)

    def get(self, path: str) -> Any:
        """The answer to the user's own question."""
        answer = self.ask(path, Authorization=f"token {TOKEN}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        return answer.json()

    def post(self, path: str, body: Any = None) -> httpx.Response:
        """The answer to the user's own order."""
        return self.ask(path, "POST", body or {}, Authorization=f"token {TOKEN}")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("status")
        return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Only our extension is loaded, as the file that the wheel brings has it."""
    folder = tmp_path_factory.mktemp("server")
    site, port = Site(), _free_port()
    config = Path(__file__).parents[3] / "jupyter-config" / "jupyter_server_config.d" / "dspex_lab.json"
    (folder / "jupyter_server_config.json").write_text(config.read_text())
    home = {name: str(folder) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "HOME")}
    pools = '[{"name": "general", "size": 1, "min_ready": 1}]'
    ours = {"DSPEX_LAB_RUNTIME_DIR": str(site.folder), "DSPEX_LAB_POOLS": pools, "JUPYTER_NO_CONFIG": ""}
    options = [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.base_url=/user/ada/"]
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", *options]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}", "--ServerApp.ip=127.0.0.1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | home | ours, stdout=log, stderr=log)
    made = Server(f"http://127.0.0.1:{port}/user/ada/", site)
    try:
        _wait_until_up(made, process, folder / "log")
        yield made
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        site.end()


def _wait_until_up(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < limit and process.poll() is None:
        try:
            httpx.get(f"{server.url}api", timeout=5, trust_env=False)
            return
        except httpx.TransportError:
            time.sleep(0.05)  # another process
    pytest.fail(f"The server did not start:\n{log.read_text()[-3000:]}")
