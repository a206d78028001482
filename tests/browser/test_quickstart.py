"""The quickstart in JupyterLab, as a reader of it lives through it: live tokens, Cancel, and what stays."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    from tests.browser.conftest import NotebookPage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.model,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("ended_host"),
]

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"
#: The first cell that needs the host also starts it and loads the model.
FIRST_RUN_S = 240.0
#: Longer than anybody would wait, so that only Cancel ends it.
LONG = """%%pipeline essay --run topic="the sea"
essay = chain_of_thought("topic -> essay: str", stream=True)
chapters = chain_of_thought("essay -> chapters: str", stream=True)
"""
SETUP = "%load_ext dspex_lab"


def watch_text(page: Page) -> None:
    """Note in the page each length that the panels' streamed text had, from now on: polling could miss some."""
    page.evaluate(
        """() => {
          window.lengths = [];
          const measure = () => {
            const live = document.querySelectorAll(".dspex-run:not(.dspex-is-succeeded) .dspex-field-text");
            const length = [...live].reduce((sum, node) => sum + node.textContent.length, 0);
            if (live.length && length !== window.lengths.at(-1)) window.lengths.push(length);
          };
          new MutationObserver(measure).observe(document.body, { subtree: true, childList: true, characterData: true });
        }"""
    )


def growth(page: Page) -> int:
    """How often the streamed text grew since :func:`watch_text`."""
    lengths: list[int] = page.evaluate("() => window.lengths")
    return sum(after > before for before, after in itertools.pairwise(lengths))


def panel(cell: Locator) -> Locator:
    return cell.locator(".dspex-run")


def test_the_quickstart_runs_with_live_tokens_and_stays(open_notebook: Callable[[Path], NotebookPage]) -> None:
    """All cells run; the panel's text grows at least three times before the end; no cell fails. After a save, the
    kernel's end and a reload, the static result is still in the cell: a second run would take minutes on two cores."""
    notebook = open_notebook(QUICKSTART)
    pipeline = notebook.cell_with("%%pipeline")
    watch_text(notebook.page)
    notebook.run_all()
    expect(panel(pipeline)).to_be_visible(timeout=FIRST_RUN_S * 1000)
    expect(panel(pipeline).locator(".dspex-field-text").first).not_to_be_empty(timeout=FIRST_RUN_S * 1000)
    notebook.screenshot("quickstart-live")
    notebook.wait_for_end(notebook.cell_with("%lab status"), timeout_s=FIRST_RUN_S)
    assert growth(notebook.page) >= 3
    expect(notebook.page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']")).to_have_count(0)
    expect(notebook.output(pipeline).locator("table")).to_contain_text(re.compile("parallel|chain_of_thought"))
    pipeline.scroll_into_view_if_needed()
    notebook.screenshot("quickstart-done")
    result = notebook.output(pipeline).locator("table").text_content()
    notebook.save()
    notebook.end_kernel()
    notebook.load()
    expect(panel(pipeline)).to_have_count(0)
    assert notebook.output(pipeline).locator("table").text_content() == result
    pipeline.scroll_into_view_if_needed()
    notebook.screenshot("quickstart-reloaded")


def test_cancel_works_while_the_cell_runs(open_notebook: Callable[[list[str]], NotebookPage]) -> None:
    """A click on Cancel during a running cell ends it within seconds, as cancelled, and the next cell runs."""
    notebook = open_notebook([SETUP, LONG, 'import dspex_lab as lab\nlab.predict("word -> opposite")(word="hot")'])
    notebook.run_all_but_last()
    cell = notebook.cell(1)
    expect(panel(cell).locator(".dspex-field-text").first).not_to_be_empty(timeout=FIRST_RUN_S * 1000)
    notebook.wait_for_start(cell, timeout_s=1)
    panel(cell).locator("button.dspex-cancel").click()
    notebook.wait_for_end(cell, timeout_s=3)
    expect(notebook.output(cell)).to_contain_text("ancelled")
    notebook.screenshot("quickstart-cancelled")
    notebook.run_cell(2)
    notebook.wait_for_end(notebook.cell(2), timeout_s=60)
    expect(notebook.output(notebook.cell(2))).to_contain_text("opposite")


def test_an_interrupt_ends_a_streaming_cell(open_notebook: Callable[[list[str]], NotebookPage]) -> None:
    """Kernel → Interrupt during a streaming cell ends it within seconds, and the next cell runs."""
    notebook = open_notebook([SETUP, LONG, "print('still here')"])
    notebook.run_all_but_last()
    cell = notebook.cell(1)
    expect(panel(cell).locator(".dspex-field-text").first).not_to_be_empty(timeout=FIRST_RUN_S * 1000)
    notebook.interrupt()
    notebook.wait_for_end(cell, timeout_s=3)
    notebook.run_cell(2)
    expect(notebook.output(notebook.cell(2))).to_contain_text("still here")
