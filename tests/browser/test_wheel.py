"""The wheel alone: in an environment of its own it brings the extension of JupyterLab and that of the server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SCREENSHOTS, LabServer, running_server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
LIMIT_S = 300.0


def run(*command: str | Path) -> str:
    """What the command says; its whole output is in the failure of one that fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that has JupyterLab and the wheel, which was built of the sdist."""
    folder = tmp_path_factory.mktemp("wheel")
    run(UV, "build", "--quiet", "--out-dir", folder / "dist", ".")
    (wheel,) = (folder / "dist").glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv")
    limits = ("--constraints", "requirements/dev.lock")
    run(UV, "pip", "install", "--quiet", "--python", python, *limits, "jupyterlab", wheel)
    return python.parent


@pytest.fixture(scope="module")
def its_server(installed: Path, lab_runtime_dir: Path) -> Iterator[LabServer]:
    with running_server(lab_runtime_dir / "wheel", str(installed / "python")) as server:
        yield server


def test_jupyter_lists_what_the_wheel_brought(installed: Path) -> None:
    """Both extensions are enabled and sound, and known to come with our package."""
    labextensions = run(installed / "jupyter", "labextension", "list")
    (line,) = [line for line in labextensions.splitlines() if "dspex-lab v" in line]
    assert "enabled" in line
    assert "OK" in line
    assert "(python, dspex-lab)" in line
    servers = run(installed / "jupyter", "server", "extension", "list")
    assert "dspex_lab.server enabled" in " ".join(servers.replace("\x1b[32m", "").replace("\x1b[0m", "").split())


def test_its_jupyterlab_has_the_panel(page: Page, its_server: LabServer) -> None:
    """The page has the side panel, and the panel its line to the server."""
    page.goto(f"{its_server.url}lab?token={its_server.token}")
    page.wait_for_function("() => window.jupyterapp?.commands.hasCommand('dspex-lab:show')", timeout=60_000)
    page.evaluate("() => { window.jupyterapp.commands.execute('dspex-lab:show') }")
    expect(page.locator("#dspex-lab-side")).to_contain_text(
        re.compile("No notebook has run a pipeline yet|ago"), timeout=60_000
    )
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "wheel.png")
