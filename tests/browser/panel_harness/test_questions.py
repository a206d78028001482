"""What a run asks people, in a real JupyterLab: the form, its faults, the keyboard, and a saved notebook."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, expect

if TYPE_CHECKING:
    from tests.browser.conftest import NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

IMPORT = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from questions import demo"
OpenNotebook = Callable[[list[str]], "NotebookPage"]


def _ask(notebook: NotebookPage) -> tuple[Locator, Locator]:
    """Run the first cell; the cell, and the form in it. JupyterLab may drop a request that comes too early."""
    cell = notebook.cell(0)
    form = cell.locator("form.dspex-question")
    for patience_ms in (8_000, 8_000, 30_000):
        notebook.run_cell(0)
        try:
            expect(form).to_be_visible(timeout=patience_ms)
            return cell, form
        except AssertionError:
            continue
    raise AssertionError("Nothing was asked.")


def test_a_question_is_answered_by_keyboard_while_the_cell_runs(open_notebook: OpenNotebook) -> None:
    """A wrong answer is told at its field, which gets the focus; the right one lets the run go on."""
    notebook = open_notebook([f"{IMPORT}; run = demo()"])
    cell, form = _ask(notebook)
    expect(form).to_contain_text("Dear Ada")
    expect(cell.locator(".dspex-state").first).to_have_text("waiting")
    notebook.screenshot("question-light", cell)
    notebook.wait_for_start(cell)
    notebook.page.wait_for_timeout(500)  # JupyterLab gives the cell that was started the focus, once, when it likes
    form.get_by_label("approved").focus()
    keyboard = notebook.page.keyboard
    keyboard.press("Space")
    keyboard.press("Tab")
    expect(form.get_by_label("tone")).to_be_focused()
    keyboard.press("ArrowDown")
    keyboard.press("Tab")
    keyboard.type("9")
    keyboard.press("Control+Enter")
    fault = form.get_by_role("alert").filter(has_text="less than or equal to 5")
    expect(fault).to_be_visible(timeout=20_000)
    expect(form.get_by_label("stars")).to_be_focused()
    notebook.screenshot("question-light-refused", cell)
    form.get_by_label("stars").fill("4")
    form.get_by_label("comment").fill("kind words\nand quick")
    form.get_by_label("tags").fill("refund\n\nmay")
    form.get_by_role("button", name="Answer").focus()
    keyboard.press("Enter")
    table = cell.locator(".jp-RenderedHTMLCommon table")
    expect(table).to_contain_text("True warm 4 kind words", timeout=30_000)
    expect(table).to_contain_text("['refund', 'may']")
    expect(form).to_have_count(0)


def test_every_control_has_a_name_and_says_what_is_wrong(open_notebook: OpenNotebook) -> None:
    """Screen readers hear a label, a description and faults; what is open is spoken."""
    notebook = open_notebook([f"{IMPORT}; run = demo(timeout_s=600)"])
    cell, form = _ask(notebook)
    for name, role in (("approved", "checkbox"), ("tone", "combobox"), ("stars", "spinbutton"), ("comment", "textbox")):
        control = form.get_by_role(role, name=name)  # type: ignore[arg-type]  # a role is a literal there
        expect(control).to_be_visible()
        described = control.get_attribute("aria-describedby") or ""
        assert all(notebook.page.locator(f"[id='{one}']").count() == 1 for one in described.split())
    expect(notebook.page.get_by_role("form", name="Is this reply all right?")).to_be_visible()
    expect(cell.locator(".dspex-spoken")).to_contain_text("check asks: Is this reply all right?")
    expect(form).to_contain_text("gives up in 9 min")
    form.get_by_role("button", name="Answer").click()
    expect(form.get_by_label("tone")).to_have_attribute("aria-invalid", "true", timeout=20_000)
    cell.get_by_role("button", name="Cancel").click()
    expect(cell).to_contain_text("cancelled in", timeout=20_000)


def test_a_saved_notebook_shows_what_was_asked(open_notebook: OpenNotebook) -> None:
    """Without its kernel there is no form, but the question, and the line that answers it."""
    notebook = open_notebook([f"{IMPORT}; run = demo()"])
    cell, _ = _ask(notebook)
    notebook.save()
    notebook.end_kernel()
    notebook.page.reload()
    expect(cell).to_contain_text("Is this reply all right?", timeout=30_000)
    expect(cell).to_contain_text("Answer it: lab.run(")
    expect(notebook.page.get_by_text("model not found")).to_have_count(0)
    notebook.screenshot("question-saved", cell)
