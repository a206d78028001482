"""The run panel after the end, in a real JupyterLab: its graph, a step that is run again, a page loaded anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, expect

if TYPE_CHECKING:
    from tests.browser.conftest import NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

HARNESS = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import forms"
OpenNotebook = Callable[[list[str]], "NotebookPage"]


def ended(notebook: NotebookPage) -> Locator:
    """Run the first cell to its end; its panel. JupyterLab may drop a request that comes too early."""
    notebook.page.set_viewport_size({"width": 1280, "height": 1400})
    panel = notebook.cell(0).locator(".jp-RenderedHTMLCommon .dspex-run")
    for patience_ms in (12_000, 12_000, 40_000):
        notebook.run_cell(0)
        try:
            expect(panel.locator(".dspex-state")).to_have_text("succeeded", timeout=patience_ms)
            return panel
        except AssertionError:
            continue
    raise AssertionError("The run did not end.")


def set_theme(notebook: NotebookPage, name: str) -> None:
    notebook.command("apputils:change-theme", theme=name)
    notebook.page.wait_for_function(f"document.body.dataset.jpThemeName === {name!r}")
    notebook.page.wait_for_timeout(300)  # the style sheets' fading, for the picture's sake


def test_a_step_is_run_again_in_its_panel(open_notebook: OpenNotebook) -> None:
    """What is before it is kept; the same panel shows the new run, live and then for good."""
    notebook = open_notebook([f"{HARNESS}; run = forms.show_support(pause_s=0.1)", "print(run.id)"])
    cell = notebook.cell(0)
    panel = ended(notebook)
    notebook.wait_for_end(cell)
    notebook.screenshot("rerun-light-ended", cell)
    row = panel.locator(".dspex-step", has_text="reply").last
    row.hover()
    notebook.screenshot("rerun-light-hover", cell)
    panel.get_by_role("button", name="Run again from reply").click()
    expect(panel.locator(".dspex-state")).to_have_text("running", timeout=10_000)
    expect(panel.locator(".dspex-step", has_text="summary").first).to_contain_text("kept")
    expect(panel.locator(".dspex-field", has_text="Dear customer")).to_be_visible(timeout=10_000)
    notebook.screenshot("rerun-light-again", cell)
    expect(panel.locator(".dspex-state")).to_have_text("succeeded", timeout=20_000)
    expect(panel.locator(".dspex-step", has_text="mood").first).to_contain_text("kept")
    set_theme(notebook, "JupyterLab Dark")
    notebook.screenshot("rerun-dark-ended", cell)
    set_theme(notebook, "JupyterLab Light")
    notebook.save()
    notebook.page.reload()
    notebook.wait_until_idle()
    expect(panel.locator(".dspex-step", has_text="mood").first).to_contain_text("kept", timeout=30_000)
    panel.get_by_role("button", name="Run again from summary").focus()
    notebook.page.keyboard.press("Enter")
    expect(panel.locator(".dspex-state")).to_have_text("running", timeout=10_000)
    expect(panel.locator(".dspex-state")).to_have_text("succeeded", timeout=20_000)
    notebook.end_kernel()
    notebook.page.reload()
    table = cell.locator(".dspex-static table").first
    expect(table).to_be_visible(timeout=30_000)
    expect(table).to_contain_text("kept")
    expect(panel).to_have_count(0)
    cell.get_by_text("Graph").click()
    expect(cell.locator("svg.dxg")).to_be_visible()
    notebook.screenshot("rerun-saved", cell)
    expect(notebook.page.get_by_text("model not found")).to_have_count(0)


def test_the_graph_is_walked_by_keyboard(open_notebook: OpenNotebook) -> None:
    """One box stands in the way of Tab; arrows go on, Enter goes to the step's row."""
    notebook = open_notebook([f"{HARNESS}; run = forms.show_support(pause_s=0.001)"])
    panel = ended(notebook)
    graph = panel.get_by_role("group", name="The pipeline's steps")
    boxes = graph.get_by_role("button")
    expect(boxes).to_have_count(4)
    assert [box.get_attribute("tabindex") for box in boxes.all()] == ["0", "-1", "-1", "-1"]
    boxes.first.focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(boxes.nth(1)).to_be_focused()
    notebook.page.keyboard.press("End")
    expect(graph.get_by_role("button", name="reply, predict: succeeded")).to_be_focused()
    notebook.screenshot("graph-light-focus", notebook.cell(0))
    notebook.page.keyboard.press("Enter")
    expect(panel.locator(".dspex-step", has_text="reply").last).to_be_focused()
