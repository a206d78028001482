"""Pipelines in JupyterLab: the plan as a picture, a question that is answered in its form, a batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import NotebookPage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("ended_host"),
]

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_pipelines.ipynb"
SETUP = "%load_ext dspex_lab"
ASKING = """%%pipeline letter --run product="camera"
draft = template("We are glad that you like your {{ product }}.")
check = ask("May this go out?", shows=["draft"], answer="approved: bool, tone: Literal['warm', 'cool'] = 'warm'")
final = native(lambda draft, approved, tone: f"{draft} [{approved}, {tone}]", writes="final")
"""


@pytest.mark.model
def test_the_pipelines_run_in_jupyterlab(open_notebook: Callable[[Path], NotebookPage]) -> None:
    """All cells run; the plan is a picture in the page; the last cell has its answer."""
    notebook = open_notebook(NOTEBOOK)
    notebook.run_all()
    last = notebook.cell_with("run.answer(approved=True")
    notebook.wait_for_end(last, timeout_s=200)
    expect(notebook.output(last)).to_contain_text("Yours sincerely")
    for name, text in (
        ("plan", "--dry-run review"),
        ("graph", "letter.last_run.graph"),
        ("result", "print(result.letter)"),
        ("retries", "server.play(Behaviour(status=429"),
        ("failed", "%%pipeline research"),
        ("runs", "lab.runs()"),
        ("batch", "asked = pd.DataFrame"),
    ):
        cell = notebook.cell_with(text)
        cell.scroll_into_view_if_needed()
        notebook.screenshot(f"pipelines-{name}")
    expect(notebook.output(notebook.cell_with("--dry-run review")).locator('svg[role="img"]')).to_be_visible()


def test_a_question_is_answered_in_its_form(open_notebook: Callable[[list[str]], NotebookPage]) -> None:
    """While the cell runs, the form is filled in by keyboard and mouse, and the run goes on with what was said."""
    notebook = open_notebook([SETUP, ASKING, "letter.last_run.result().final"])
    notebook.run_all_but_last()
    cell = notebook.cell(1)
    form = cell.locator(".dspex-run form")
    expect(form).to_be_visible(timeout=60_000)
    expect(form).to_contain_text("May this go out?")
    notebook.screenshot("pipelines-question")
    form.get_by_label("approved").check()
    form.get_by_label("tone").select_option("cool")
    form.get_by_label("tone").press("Enter")
    form.get_by_role("button").first.click()
    notebook.wait_for_end(cell, timeout_s=30)
    notebook.run_cell(2)
    notebook.wait_for_end(notebook.cell(2))
    expect(notebook.output(notebook.cell(2))).to_contain_text("[True, cool]")
    notebook.screenshot("pipelines-answered")
