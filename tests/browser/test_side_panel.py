"""The side panel of JupyterLab: runs, pools and traces of all notebooks, live, without their kernels."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, expect

from dspex_lab.pool.processes.rendezvous import find_host

if TYPE_CHECKING:
    from tests.browser.conftest import NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.usefixtures("ended_host")]

SETUP = "%load_ext dspex_lab\n%lab start"
SLOW = """%%pipeline slow --run seconds=120
import time
first = native(lambda seconds: "done", writes="first")
nap = native(lambda seconds: time.sleep(seconds), writes="nap")
"""
QUICK = """%%pipeline quick --run name="Ada"
greeting = native(lambda name: f"Hello, {name}.", writes="greeting")
"""
LIMIT_MS = 60_000


class SidePanel:
    """The panel in terms of its rows."""

    def __init__(self, notebook: NotebookPage) -> None:
        self.notebook = notebook
        self.node = notebook.page.locator("#dspex-lab-side")
        notebook.command("dspex-lab:show")
        expect(self.node).to_be_visible()

    def runs(self, name: str) -> Locator:
        return self.node.locator(".dspex-side-run", has_text=name)

    @property
    def pools(self) -> Locator:
        return self.node.locator(".dspex-side-pool")


@pytest.fixture
def dark() -> Iterator[Callable[[NotebookPage], None]]:
    """Switches a page to the dark theme; the next test has the light one again."""
    seen: list[NotebookPage] = []

    def switch(notebook: NotebookPage) -> None:
        seen.append(notebook)
        notebook.command("apputils:change-theme", theme="JupyterLab Dark")
        expect(notebook.page.locator('body[data-jp-theme-light="false"]')).to_have_count(1, timeout=LIMIT_MS)
        expect(notebook.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=LIMIT_MS)

    yield switch
    for notebook in seen:
        notebook.command("apputils:change-theme", theme="JupyterLab Light")
        expect(notebook.page.locator('body[data-jp-theme-light="true"]')).to_have_count(1, timeout=LIMIT_MS)


def test_a_run_appears_and_is_cancelled_from_the_panel(
    open_notebook: Callable[[list[str]], NotebookPage], dark: Callable[[NotebookPage], None]
) -> None:
    """While its cell runs the run is there and counts; Cancel ends the cell, and what ended opens in a tab."""
    notebook = open_notebook([SETUP, QUICK, SLOW])
    panel = SidePanel(notebook)
    notebook.run_cell(0)
    notebook.wait_for_end(notebook.cell(0), timeout_s=90)
    expect(panel.pools.first).to_contain_text("general", timeout=LIMIT_MS)
    notebook.run_cell(1)
    expect(panel.runs("quick").first).to_have_attribute("aria-label", re.compile("succeeded"), timeout=LIMIT_MS)
    notebook.run_cell(2)
    row = panel.runs("slow").first
    expect(row).to_have_attribute("aria-label", re.compile("running"), timeout=LIMIT_MS)
    notebook.screenshot("side-panel-running")
    dark(notebook)
    notebook.screenshot("side-panel-running-dark")
    row.get_by_role("button", name="Cancel").click()
    notebook.wait_for_end(notebook.cell(2), timeout_s=10)
    expect(notebook.output(notebook.cell(2))).to_contain_text("ancelled")
    expect(row).to_have_attribute("aria-label", re.compile("cancelled"), timeout=LIMIT_MS)
    row.click()
    tab = notebook.page.locator(".dspex-tab .dspex-run")
    expect(tab).to_contain_text("nap")
    expect(tab).to_contain_text("cancelled")
    notebook.screenshot("side-panel-run-dark")


def test_the_panel_is_used_by_keyboard(open_notebook: Callable[[list[str]], NotebookPage]) -> None:
    """Arrows go from row to row, Enter opens a trace; the waterfall has its spans."""
    notebook = open_notebook([SETUP, QUICK])
    panel = SidePanel(notebook)
    notebook.run_cell(0)
    notebook.wait_for_end(notebook.cell(0), timeout_s=90)
    notebook.run_cell(1)
    traces = panel.node.locator(".dspex-side-trace")
    expect(traces.first).to_be_visible(timeout=LIMIT_MS)
    runs = panel.node.get_by_role("list", name="Runs").locator("li")
    expect(runs.first).to_be_visible(timeout=LIMIT_MS)
    runs.first.focus()
    notebook.page.keyboard.press("ArrowDown")
    notebook.page.keyboard.press("Home")
    expect(runs.first).to_be_focused()
    traces.first.focus()
    notebook.page.keyboard.press("Enter")
    waterfall = notebook.page.locator(".dspex-tab .dspex-waterfall")
    expect(waterfall).to_be_visible(timeout=LIMIT_MS)
    notebook.screenshot("side-panel-trace")


def test_a_host_that_is_killed_is_seen_and_started_again(
    open_notebook: Callable[[list[str]], NotebookPage], lab_runtime_dir: Path
) -> None:
    """The panel says that there is none, at once; its button starts another; the status bar says the same."""
    notebook = open_notebook([SETUP])
    panel = SidePanel(notebook)
    notebook.run_cell(0)
    notebook.wait_for_end(notebook.cell(0), timeout_s=90)
    expect(panel.pools.first).to_be_visible(timeout=LIMIT_MS)
    status = notebook.page.locator(".dspex-status button")
    expect(status).to_contain_text("worker", timeout=LIMIT_MS)
    host = find_host(lab_runtime_dir / "lab")
    assert host is not None
    os.kill(host.pid, signal.SIGKILL)
    expect(panel.pools).to_have_count(0, timeout=LIMIT_MS)
    expect(panel.node).to_contain_text("No pool host runs.")
    expect(status).to_contain_text("off")
    panel.node.get_by_role("button", name=re.compile("Start")).first.click()
    expect(panel.pools.first).to_contain_text("general", timeout=LIMIT_MS)
    panel.pools.first.click()
    expect(notebook.page.locator(".dspex-tab .dspex-pools")).to_contain_text("optimizer")
    notebook.screenshot("side-panel-pools")


def test_a_notebook_begins_with_a_template(open_notebook: Callable[[list[str]], NotebookPage]) -> None:
    """The command makes it in the open folder and opens it; its cells are coloured and not underlined."""
    notebook = open_notebook(["1"])
    notebook.command("dspex-lab:new-notebook", template="signature")
    cells = notebook.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")
    expect(cells.filter(has_text="%%signature Triage")).to_be_visible(timeout=LIMIT_MS)
    expect(notebook.page.locator(".dspex-cm-field").first).to_be_visible()
    expect(notebook.page.locator(".cm-lintRange")).to_have_count(0)
