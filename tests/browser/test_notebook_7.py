"""Forms and runs in Notebook 7, the other page of the same server: filled in, streamed, cancelled while a cell runs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LabServer, NotebookPage, write_notebook

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

HARNESS = f"import sys; sys.path.insert(0, {str(Path(__file__).parent / 'panel_harness')!r}); import forms"
OpenNotebook = Callable[[list[str]], NotebookPage]


@pytest.fixture
def open_notebook_7(page: Page, lab_server: LabServer) -> Iterator[OpenNotebook]:
    opened: list[NotebookPage] = []

    def open_(sources: list[str]) -> NotebookPage:
        name = f"{secrets.token_hex(4)}/notebook.ipynb"
        (lab_server.folder / name).parent.mkdir()
        write_notebook(sources, lab_server.folder / name)
        opened.append(NotebookPage(page, lab_server.notebook_7_url(name)))
        opened[-1].load()
        return opened[-1]

    yield open_
    for notebook in opened:
        notebook.end_kernel()


def shown(notebook: NotebookPage, what: str) -> Locator:
    """Run the first cell; what is in it. A request that comes too early may be dropped."""
    found = notebook.cell(0).locator(what)
    for patience_ms in (8_000, 8_000, 30_000):
        notebook.run_cell(0)
        try:
            expect(found).to_be_visible(timeout=patience_ms)
            return found
        except AssertionError:
            continue
    raise AssertionError(f"There is no {what}.")


def test_a_form_is_run_and_cancelled_while_a_cell_runs(open_notebook_7: OpenNotebook) -> None:
    """The answer streams into the card, and neither Run nor Cancel waits for the cell."""
    setup = f"{HARNESS}; lab = forms.open_lab(pause_s=0.2); form = forms.triage(ticket='I was charged twice.'); form"
    notebook = open_notebook_7([setup, "import time; print('busy'); time.sleep(15)"])
    form = shown(notebook, "form.dspex-form")
    notebook.run_cell(1)
    expect(notebook.output(notebook.cell(1))).to_contain_text("busy", timeout=20_000)
    form.get_by_role("button", name="Run").click()
    expect(form.locator(".dspex-output", has_text="reply")).to_contain_text("Dear", timeout=20_000)
    notebook.screenshot("notebook-7-form", notebook.cell(0))
    form.get_by_role("button", name="Cancel").click()
    expect(form.locator(".dspex-state")).to_have_text("cancelled", timeout=10_000)
    notebook.wait_for_start(notebook.cell(1))


def test_a_run_is_watched_and_stays(open_notebook_7: OpenNotebook) -> None:
    """The panel shows the run to its end; loaded again without a kernel the page has its result."""
    notebook = open_notebook_7([f"{HARNESS}; run = forms.show_support()"])
    panel = shown(notebook, ".dspex-run")
    expect(panel.locator(".dspex-state").first).to_have_text("succeeded", timeout=30_000)
    notebook.wait_for_end(notebook.cell(0))
    notebook.screenshot("notebook-7-run", notebook.cell(0))
    notebook.command("docmanager:save")
    expect(notebook.page.locator(".jp-NotebookCheckpoint")).to_contain_text("Last Checkpoint", timeout=20_000)
    notebook.end_kernel()
    notebook.page.reload()
    expect(notebook.cell(0).locator(".dspex-static").first).to_contain_text("support", timeout=30_000)
