"""The live panels in a real JupyterLab: while cells run, with plotly from the kernel, saved and loaded again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, expect

if TYPE_CHECKING:
    from tests.browser.conftest import NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

IMPORT = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from lab_stage import stage, support_trace"
SET_UP = f"{IMPORT}; import dspex_lab as lab; stage = stage()"
OpenNotebook = Callable[[list[str]], "NotebookPage"]


def _run(notebook: NotebookPage, selector: str) -> Locator:
    """Run the first cell. JupyterLab may drop a request that comes while it still connects: then once more."""
    cell = notebook.cell(0)
    for patience_ms in (10_000, 10_000, 40_000):
        notebook.run_cell(0)
        try:
            expect(cell.locator(selector)).to_be_visible(timeout=patience_ms)
            return cell
        except AssertionError:
            continue
    raise AssertionError("The cell did not run.")


def _set_theme(notebook: NotebookPage, name: str) -> None:
    notebook.command("apputils:change-theme", theme=name)
    notebook.page.wait_for_function(f"document.body.dataset.jpThemeName === {name!r}")
    notebook.page.wait_for_timeout(600)  # the style sheets' fading, for the picture's sake


def test_a_pool_is_resized_while_a_cell_runs(open_notebook: OpenNotebook) -> None:
    """The button's order reaches the lab during a long cell, and the panel shows what came of it."""
    hold = "import time; time.sleep(12); print('ordered', stage.ordered)"
    notebook = open_notebook([f"{SET_UP}; lab.show_pools()", hold])
    cell = _run(notebook, ".dspex-pools")
    notebook.wait_for_end(cell)
    pool = cell.get_by_role("region", name="Pool general")
    expect(pool).to_contain_text("size 8")
    notebook.page.wait_for_timeout(1_000)  # the subshell is made when the panel first says something
    notebook.run_cell(1)
    notebook.wait_for_start(notebook.cell(1))
    pool.get_by_role("button", name="One worker more for general").click()
    expect(pool).to_contain_text("size 9", timeout=8_000)
    notebook.wait_for_start(notebook.cell(1))
    notebook.screenshot("pools-jupyterlab-light", cell)
    _set_theme(notebook, "JupyterLab Dark")
    notebook.screenshot("pools-jupyterlab-dark", cell)
    _set_theme(notebook, "JupyterLab Light")
    expect(notebook.output(notebook.cell(1))).to_contain_text("ordered [('general', 9)]", timeout=20_000)


def test_the_static_form_is_hidden_while_the_panel_lives_and_stays_in_the_notebook(open_notebook: OpenNotebook) -> None:
    """A reader with no kernel sees the table; one with a kernel the panel only."""
    notebook = open_notebook([f"{SET_UP}; lab.show_pools()"])
    cell = _run(notebook, ".dspex-pools")
    table = cell.locator(".jp-RenderedHTMLCommon table")
    expect(table).to_be_hidden()
    notebook.wait_for_end(cell)
    notebook.save()
    notebook.end_kernel()
    notebook.page.reload()
    expect(table).to_be_visible(timeout=30_000)
    expect(table).to_contain_text("optimizer")
    notebook.screenshot("pools-jupyterlab-saved", cell)


def test_nothing_is_asked_when_the_view_is_gone(open_notebook: OpenNotebook) -> None:
    """A panel whose output was cleared stops asking the host; so it does when it is lost, and goes on after."""
    count = "import time; before = stage.asked; time.sleep(3); print('asked', stage.asked - before)"
    notebook = open_notebook([f"{SET_UP}; lab.show_pools()", "stage.is_lost = True", "stage.is_lost = False", count])
    cell = _run(notebook, ".dspex-pools")
    notebook.wait_for_end(cell)
    notebook.run_cell(1)
    expect(cell.locator(".dspex-notice").first).to_have_text("The pool host ended.", timeout=10_000)
    notebook.screenshot("pools-jupyterlab-lost", cell)
    notebook.run_cell(2)
    expect(cell.get_by_text("The pool host ended.")).to_have_count(0, timeout=10_000)
    cell.locator(".jp-InputArea-editor").click()
    notebook.command("notebook:clear-cell-output")
    expect(cell.locator(".dspex-pools")).to_have_count(0)
    notebook.page.wait_for_timeout(1_500)
    notebook.run_cell(3)
    expect(notebook.output(notebook.cell(3))).to_contain_text("asked 0", timeout=20_000)


def test_charts_are_plotlys_and_come_from_the_kernel(open_notebook: OpenNotebook) -> None:
    """No network is asked for the script; the charts are there in both themes."""
    notebook = open_notebook([f"{SET_UP}; lab.show_metrics()"])
    asked: list[str] = []
    notebook.page.on("request", lambda request: asked.append(request.url))
    cell = _run(notebook, ".dspex-metrics")
    expect(cell.locator(".dspex-mv-plot .main-svg").first).to_be_visible(timeout=60_000)
    assert [url for url in asked if "plotly" in url or "cdn" in url] == []
    _set_theme(notebook, "JupyterLab Light")
    notebook.screenshot("metrics-jupyterlab-light", cell)
    _set_theme(notebook, "JupyterLab Dark")
    notebook.screenshot("metrics-jupyterlab-dark", cell)


def test_a_trace_is_shown_and_read_by_keyboard(open_notebook: OpenNotebook) -> None:
    """JupyterLab's shortcuts leave the tree its keys."""
    show = "from dspex_lab.telemetry import Trace; from dspex_lab.widgets import display_trace"
    show += "; display_trace(Trace.of(support_trace()))"
    notebook = open_notebook([f"{SET_UP}; {show}"])
    cell = _run(notebook, ".dspex-waterfall")
    tree = cell.get_by_role("tree")
    notebook.wait_for_end(cell)
    notebook.page.wait_for_timeout(500)  # JupyterLab gives the cell that was started the focus, once, when it likes
    tree.focus()
    for key in ("Home", "ArrowDown", "ArrowDown", "ArrowDown", "Enter"):
        notebook.page.keyboard.press(key)
    expect(cell.get_by_role("region", name="Details of triage")).to_be_visible()
    notebook.page.keyboard.press("f")
    _set_theme(notebook, "JupyterLab Light")
    notebook.screenshot("trace-jupyterlab-light", cell)
    _set_theme(notebook, "JupyterLab Dark")
    notebook.screenshot("trace-jupyterlab-dark", cell)
    notebook.save()
    notebook.end_kernel()
    notebook.page.reload()
    expect(cell.locator(".jp-RenderedHTMLCommon table")).to_be_visible(timeout=30_000)
    notebook.screenshot("trace-jupyterlab-saved", cell)


LIFE = """
import os, dspex_lab as lab
greet = lab.native(lambda name: f"Hello {name}", pool="general")
lab.show_pools()
print(greet(name="Ada"))
"""
KILL = """
import signal, time
os.kill(lab.current_lab().status().pid, signal.SIGKILL)
time.sleep(1)
print("killed")
"""
AGAIN = "run = greet.submit(name='Bob'); print(run.result())"


@pytest.mark.usefixtures("ended_host")
def test_a_host_is_killed_and_comes_back(open_notebook: OpenNotebook) -> None:
    """A real host: its workers are shown, its end is said, and the next one's workers are shown again."""
    notebook = open_notebook([LIFE, KILL, AGAIN, "lab.trace(run.id)"])
    cell = _run(notebook, ".dspex-pools")
    notebook.wait_for_end(cell, timeout_s=90)
    pool = cell.get_by_role("region", name="Pool general")
    expect(pool).to_contain_text("1 worker", timeout=60_000)
    notebook.run_cell(1)
    expect(cell.locator(".dspex-pools")).to_contain_text("The pool host has ended", timeout=30_000)
    notebook.screenshot("pools-jupyterlab-killed", cell)
    notebook.run_cell(2)
    expect(pool).to_contain_text("1 worker", timeout=90_000)
    notebook.wait_for_end(notebook.cell(2), timeout_s=90)
    notebook.run_cell(3)
    trace = notebook.cell(3).locator(".dspex-waterfall")
    expect(trace).to_contain_text("native", timeout=30_000)
    notebook.screenshot("trace-jupyterlab-real", notebook.cell(3))
