"""A JupyterLab server of the tests' own, and a page in a headless browser to use it with.

The server listens on loopback with a token, in private folders; it and everything that it started are ended by
process id. Tests wait for what they want to see; a screenshot is kept of every test that fails, in
``build/screenshots/``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

__all__ = ["SCREENSHOTS", "LabServer", "NotebookPage", "running_server", "write_notebook"]

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_TIMEOUT_S = 60.0
#: A promise would count as true at once: what is waited for must be a plain value.
KERNEL_IS_IDLE = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
#: The status that JupyterLab draws is a moment behind the connection, and a cell run in between is lost.
KERNEL_IS_READY = """async () => {
  const context = window.jupyterapp.shell.currentWidget.sessionContext;
  await context.ready;
  await context.session.kernel.info;
}"""
STOP_TIMEOUT_S = 15.0
#: JupyterLab with nothing that asks, moves or hides: no news, no dialogs, every cell in the page.
OVERRIDES: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension/plugin.jupyterlab-settings": {"autosave": False},
}


# --- the server ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LabServer:
    """A running JupyterLab: where it listens, its token, the folder of its notebooks."""

    url: str
    token: str
    folder: Path

    def page_url(self, notebook: str) -> str:
        """The address of a notebook in a workspace of its own, named by its path in the folder."""
        query = urllib.parse.urlencode({"token": self.token})
        workspace = notebook.partition("/")[0]
        # Not "?reset": JupyterLab loads the page a second time for that, and what was begun in between is lost.
        return f"{self.url}lab/workspaces/{workspace}/tree/{urllib.parse.quote(notebook)}?{query}"

    def notebook_7_url(self, notebook: str) -> str:
        """The address of a notebook in Notebook 7, which the same server serves."""
        return f"{self.url}notebooks/{urllib.parse.quote(notebook)}?{urllib.parse.urlencode({'token': self.token})}"


@pytest.fixture(scope="session")
def lab_server(lab_runtime_dir: Path) -> Iterator[LabServer]:
    """One JupyterLab for all browser tests."""
    with running_server(lab_runtime_dir / "browser") as server:
        yield server


@contextlib.contextmanager
def running_server(home: Path, python: str = sys.executable) -> Iterator[LabServer]:
    """The JupyterLab of a Python, with its private folders in ``home``."""
    folder = home / "notebooks"
    folder.mkdir(parents=True)
    for name, values in OVERRIDES.items():
        file = home / "settings" / name
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values))
    token = secrets.token_hex(16)
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(
            _server_command(folder, python), env=_server_env(home, token), stdout=log, stderr=log
        )
        try:
            yield LabServer(_wait_for_url(process, home), token, folder)
        finally:
            _end(process)


def _server_command(folder: Path, python: str) -> list[str]:
    return [
        *(python, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0"),
        *(f"--ServerApp.root_dir={folder}", "--ServerApp.terminals_enabled=False"),
        *("--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True"),
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]


def _server_env(home: Path, token: str) -> dict[str, str]:
    """The session's environment with private folders, and with the token, which a command line would show."""
    return {
        **os.environ,
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "run"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }


def _wait_for_url(process: subprocess.Popen[bytes], home: Path) -> str:
    """Where the server listens, as it says itself in its runtime folder once it does."""
    information = home / "run" / f"jpserver-{process.pid}.json"
    deadline, tick = time.monotonic() + START_TIMEOUT_S, threading.Event()
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return str(json.loads(information.read_text())["url"])
        except (OSError, ValueError):
            tick.wait(0.05)
    raise RuntimeError(f"JupyterLab did not start:\n{(home / 'server.log').read_text()[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and everything that came of it."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
    for child in family:
        if child.is_running():
            child.kill()
    psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)


# --- the page -----------------------------------------------------------------------------------------------------


class NotebookPage:
    """A notebook open in JupyterLab, in terms of its cells. Cells count from 0, code cells only."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url

    def load(self) -> None:
        """Open (or reload) the page and wait until its cells are drawn and its kernel is idle."""
        self.page.goto(self._url)
        self.wait_until_idle()

    def wait_until_idle(self, *, timeout_s: float = 60.0) -> None:
        """Wait until the notebook's kernel is connected and has nothing to do."""
        self.page.wait_for_function(KERNEL_IS_IDLE, timeout=timeout_s * 1000)
        self.page.evaluate(KERNEL_IS_READY)
        self.page.wait_for_function(KERNEL_IS_IDLE, timeout=timeout_s * 1000)

    def command(self, name: str, **arguments: Any) -> None:
        """Start one of JupyterLab's commands; does not wait for its end."""
        self.page.evaluate("([name, args]) => { window.jupyterapp.commands.execute(name, args) }", [name, arguments])

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def run_all_but_last(self) -> None:
        """Start every cell above the last."""
        self.page.locator(".jp-NotebookPanel .jp-CodeCell .jp-InputArea-editor").last.click()
        self.command("notebook:run-all-above")

    def run_cell(self, index: int) -> None:
        """Start one cell."""
        self.cell(index).locator(".jp-InputArea-editor").click()
        self.command("notebook:run-cell")

    def interrupt(self) -> None:
        self.command("notebook:interrupt-kernel")

    def save(self) -> None:
        """Save, and wait until the notebook is no longer marked as changed."""
        self.command("docmanager:save")
        expect(self.page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty")).to_have_count(0)

    def end_kernel(self) -> None:
        """Shut the kernel down, so that what is seen after a reload is what was saved."""
        self.page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-NotebookPanel .jp-CodeCell").nth(index)

    def cell_with(self, text: str) -> Locator:
        """The first code cell whose source holds ``text``."""
        source = self.page.locator(".jp-InputArea-editor", has_text=text)
        return self.page.locator(".jp-NotebookPanel .jp-CodeCell", has=source).first

    def output(self, cell: Locator) -> Locator:
        return cell.locator(".jp-OutputArea")

    def wait_for_end(self, cell: Locator, *, timeout_s: float = 60.0) -> None:
        """Wait until the cell has been run to its end (its prompt holds a number)."""
        prompt = cell.locator(".jp-InputPrompt")
        expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=timeout_s * 1000)

    def wait_for_start(self, cell: Locator, *, timeout_s: float = 60.0) -> None:
        """Wait until the cell is running or queued (its prompt holds a star)."""
        expect(cell.locator(".jp-InputPrompt")).to_have_text("[*]:", timeout=timeout_s * 1000)

    def screenshot(self, name: str, part: Locator | None = None) -> Path:
        """Keep a picture of the page, or of a part of it, in ``build/screenshots/NAME.png``."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        if part is None:
            self.page.screenshot(path=path)
        else:
            part.screenshot(path=path)
        return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One headless browser for a file's tests. Playwright keeps an event loop running on this thread, and while it
    does no asynchronous test can run: it must be gone before the next file begins."""
    spec = importlib.util.spec_from_file_location("install_browser", Path(__file__).with_name("install.py"))
    assert spec is not None
    assert spec.loader is not None
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)
    executable = install.find_browser()
    assert executable, "No browser; run: python tests/browser/install.py"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(executable), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own for the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    yield page
    context.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Keep a picture of what a failed test saw, before its fixtures take it away."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and isinstance(page, Page):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"failed-{item.name}.png")
    return report


@pytest.fixture
def open_notebook(page: Page, lab_server: LabServer) -> Iterator[Callable[[Path | list[str]], NotebookPage]]:
    """Open a notebook: a file (copied, with the data beside it), or the sources of code cells."""
    opened: list[NotebookPage] = []

    def open_(source: Path | list[str]) -> NotebookPage:
        name = f"{secrets.token_hex(4)}/notebook.ipynb"
        target = lab_server.folder / name
        target.parent.mkdir()
        if isinstance(source, Path):
            shutil.copy(source, target)
            if (source.parent / "data").is_dir():
                shutil.copytree(source.parent / "data", target.parent / "data")
        else:
            write_notebook(source, target)
        notebook = NotebookPage(page, lab_server.page_url(name))
        notebook.load()
        opened.append(notebook)
        return notebook

    yield open_
    for notebook in opened:
        notebook.end_kernel()


def write_notebook(sources: list[str], target: Path) -> None:
    """A notebook of code cells; its kernel is named, so that no dialog asks for one."""
    blank: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    cells = [{**blank, "id": f"cell-{index}", "source": source} for index, source in enumerate(sources)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": cells}
    target.write_text(json.dumps(notebook))
