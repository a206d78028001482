"""Our cells in the editors of JupyterLab and Notebook 7: colours, red lines, words, with no kernel that knows them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SCREENSHOTS, write_notebook

if TYPE_CHECKING:
    from tests.browser.conftest import LabServer, NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

CELLS = [
    "class Order: ...",
    '%%signature Triage\n"""Route a ticket."""\nticket: strr\norder: Order\n->\nurgency: int',
    """%%pipeline support --run ticket="Hello"
triage = predict(Triage, strem=True)
mood = predict("ticket -> mood: int")
reply = predict("mood: list -> reply")""",
]
LIMIT_MS = 60_000


def check_marks(page: Page) -> None:
    """What is wrong is underlined, in a step and between two; what another cell defines is not."""
    faults = page.locator(".cm-lintRange-error")
    expect(faults.filter(has_text="strr")).to_be_visible(timeout=LIMIT_MS)
    expect(faults.filter(has_text="strem")).to_be_visible(timeout=LIMIT_MS)
    expect(faults.filter(has_text="reply")).to_be_visible(timeout=LIMIT_MS)
    expect(faults).to_have_count(3)
    expect(page.locator(".dspex-cm-magic")).to_have_count(2)
    expect(page.locator(".dspex-cm-arrow")).to_have_text("->")
    faults.filter(has_text="strr").hover()
    expect(page.locator(".cm-tooltip-lint")).to_contain_text("Did you mean `str`?")


def mend(page: Page) -> None:
    page.locator(".cm-lintRange-error", has_text="strr").click()
    page.keyboard.press("End")
    page.keyboard.press("Backspace")
    expect(page.locator(".cm-lintRange-error", has_text="str")).to_have_count(1, timeout=LIMIT_MS)


def test_faults_are_underlined_in_jupyterlab(open_notebook: Callable[[list[str]], NotebookPage]) -> None:
    """As they are typed, before anything runs."""
    notebook = open_notebook(CELLS)
    check_marks(notebook.page)
    notebook.screenshot("editor-faults")
    mend(notebook.page)


def test_faults_are_underlined_in_notebook_7(page: Page, lab_server: LabServer) -> None:
    """The same server, the other page."""
    name = f"{secrets.token_hex(4)}/notebook.ipynb"
    (lab_server.folder / name).parent.mkdir()
    write_notebook(CELLS, lab_server.folder / name)
    page.goto(lab_server.notebook_7_url(name))
    expect(page.locator(".jp-CodeCell").first).to_be_visible(timeout=LIMIT_MS)
    check_marks(page)
    page.screenshot(path=SCREENSHOTS / "editor-notebook-7.png")
    mend(page)
    page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")


def test_words_are_offered_without_a_kernel(open_notebook: Callable[[list[str]], NotebookPage]) -> None:
    """Tab offers the classes of other cells also when the kernel is gone."""
    notebook = open_notebook([CELLS[0], "%%signature A\nfirst: Ord"])
    notebook.end_kernel()
    notebook.cell(1).locator(".cm-line").last.click()
    notebook.page.keyboard.press("End")
    notebook.page.keyboard.press("Tab")
    offered = notebook.page.locator(".jp-Completer-item", has_text="Order")
    expect(offered.first).to_be_visible(timeout=LIMIT_MS)
    notebook.screenshot("editor-completion")
