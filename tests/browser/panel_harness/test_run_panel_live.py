"""The run panel in a real JupyterLab: made-up runs (see ``feed``), watched, cancelled, saved and loaded again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, expect

if TYPE_CHECKING:
    from tests.browser.conftest import NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

IMPORT = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from feed import demo"
OpenNotebook = Callable[[list[str]], "NotebookPage"]


def _run(notebook: NotebookPage) -> Locator:
    """Run the first cell. JupyterLab may drop a request that comes while it still connects: then once more."""
    cell = notebook.cell(0)
    for patience_ms in (8_000, 8_000, 30_000):
        notebook.run_cell(0)
        try:
            expect(cell.locator(".dspex-run, .jp-RenderedHTMLCommon table")).to_be_visible(timeout=patience_ms)
            return cell
        except AssertionError:
            continue
    raise AssertionError("The cell did not run.")


def _panel(cell: Locator) -> Locator:
    panel = cell.locator(".dspex-run")
    expect(panel).to_be_visible(timeout=30_000)
    return panel


def _result(cell: Locator) -> Locator:
    """What stays in the cell: the run's table, or the panel in its place."""
    ended = cell.locator(".jp-RenderedHTMLCommon .dspex-static table, .jp-RenderedHTMLCommon .dspex-run").first
    expect(ended).to_be_visible(timeout=60_000)
    return ended


def _set_theme(notebook: NotebookPage, name: str) -> None:
    notebook.command("apputils:change-theme", theme=name)
    notebook.page.wait_for_function(f"document.body.dataset.jpThemeName === {name!r}")
    notebook.page.wait_for_timeout(300)  # the style sheets' fading, for the picture's sake


def test_text_grows_while_the_cell_is_blocked(open_notebook: OpenNotebook) -> None:
    """What a model writes is seen while it writes it, and the cell keeps the whole result as a table."""
    notebook = open_notebook([f"{IMPORT}; feed = demo(tokens_per_s=30)"])
    cell = _run(notebook)
    panel = _panel(cell)
    reply = panel.locator(".dspex-step", has=notebook.page.get_by_text("reply")).locator(".dspex-field-text")
    expect(panel).to_contain_text("double charges", timeout=20_000)
    notebook.screenshot("run-panel-light-live", cell)
    expect(reply).to_contain_text("Dear customer", timeout=20_000)
    lengths = [len(reply.inner_text())]
    while len(lengths) < 4:
        length = len(reply.inner_text())
        if length > lengths[-1]:
            lengths.append(length)
    notebook.wait_for_start(cell)
    _set_theme(notebook, "JupyterLab Dark")
    notebook.screenshot("run-panel-dark-live", cell)
    # The aim is 50 ms on an idle machine; here it is only made sure that nothing is held back.
    assert int(panel.get_attribute("data-first-token-delay-ms") or 10_000) < 1000
    expect(_result(cell)).to_contain_text("billing")
    expect(cell).to_contain_text("below $500, and the sum named here is $49")
    notebook.screenshot("run-panel-dark-static", cell)
    _set_theme(notebook, "JupyterLab Light")
    notebook.screenshot("run-panel-light-static", cell)


def test_cancel_works_by_keyboard_while_the_cell_is_running(open_notebook: OpenNotebook) -> None:
    """Enter on the Cancel button calls back within a second, although the cell goes on for longer."""
    hold = "import time; feed = demo(tokens_per_s=18); time.sleep(5); print('cancelled at', feed.cancelled_at)"
    notebook = open_notebook([f"{IMPORT}; {hold}"])
    cell = _run(notebook)
    panel = _panel(cell)
    expect(panel).to_contain_text("charged twice for the same", timeout=20_000)
    panel.get_by_role("button", name="Cancel").focus()
    pressed_at = time.time()
    notebook.page.keyboard.press("Enter")
    expect(_result(cell)).to_contain_text("summary")
    expect(cell).to_contain_text("cancelled in")
    notebook.wait_for_start(cell)
    notebook.wait_for_end(cell)
    notebook.screenshot("run-panel-light-cancelled", cell)
    said = re.search(r"cancelled at ([\d.]+)", notebook.output(cell).inner_text())
    assert said is not None
    assert 0 <= float(said[1]) - pressed_at < 1.0


def test_results_stay_without_a_kernel(open_notebook: OpenNotebook) -> None:
    """A saved notebook shows each result after a reload, with its kernel alive and with none."""
    notebook = open_notebook([f"{IMPORT}; feed = demo(tokens_per_s=500, fails=True)"])
    _run(notebook)
    expect(_result(notebook.cell(0))).to_contain_text("ValueError")
    notebook.wait_for_end(notebook.cell(0))
    notebook.screenshot("run-panel-light-failed", notebook.cell(0))
    notebook.save()
    for state in ("with", "without"):
        if state == "without":
            notebook.end_kernel()
        notebook.page.reload()
        expect(_result(notebook.cell(0))).to_contain_text("ValueError")
        expect(notebook.page.get_by_text("model not found")).to_have_count(0)
        notebook.screenshot(f"run-panel-reloaded-{state}-kernel")


def test_a_page_that_was_loaded_again_during_the_cell_shows_the_end(open_notebook: OpenNotebook) -> None:
    """JupyterLab hears nothing of widgets while the kernel is busy; then the panel is there, with all that came."""
    notebook = open_notebook([f"{IMPORT}; feed = demo(tokens_per_s=30)"])
    cell = _run(notebook)
    expect(_panel(cell)).to_contain_text("charged twice for the same", timeout=20_000)
    notebook.save()
    notebook.page.reload()
    panel = cell.locator(".dspex-run")
    expect(panel.locator(".dspex-state")).to_have_text("succeeded", timeout=30_000)
    expect(panel).to_contain_text("We have refunded the second charge")
    expect(notebook.page.get_by_text("model not found")).to_have_count(0)
    notebook.screenshot("run-panel-reloaded-during-the-cell", cell)
