"""Forms in a real JupyterLab: filled in, refused, run, cancelled, loaded again, saved; and files for tables."""

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


def shown(notebook: NotebookPage, index: int = 0) -> Locator:
    """Run a cell; the form in it. JupyterLab may drop a request that comes too early."""
    notebook.page.set_viewport_size({"width": 1280, "height": 1400})  # the pictures show a whole form
    form = notebook.cell(index).locator("form.dspex-form")
    for patience_ms in (8_000, 8_000, 30_000):
        notebook.run_cell(index)
        try:
            expect(form).to_be_visible(timeout=patience_ms)
            return form
        except AssertionError:
            continue
    raise AssertionError("No form was shown.")


def set_theme(notebook: NotebookPage, name: str) -> None:
    notebook.command("apputils:change-theme", theme=name)
    notebook.page.wait_for_function(f"document.body.dataset.jpThemeName === {name!r}")
    notebook.page.wait_for_timeout(300)  # the style sheets' fading, for the picture's sake


def test_a_form_is_filled_in_and_run(open_notebook: OpenNotebook) -> None:
    """Ctrl+Enter runs; the answer streams into the card; the result is in Python."""
    notebook = open_notebook([f"{HARNESS}; lab = forms.open_lab(); form = forms.triage(); form", "print(form.result)"])
    form = shown(notebook)
    cell = notebook.cell(0)
    notebook.screenshot("form-light-empty", cell)
    form.get_by_label("ticket", exact=True).fill("I was charged twice for my May invoice.")
    form.get_by_label("ticket", exact=True).press("Control+Enter")
    expect(form.locator(".dspex-output", has_text="reply")).to_contain_text("Dear customer", timeout=20_000)
    notebook.screenshot("form-light-streaming", cell)
    expect(form.locator(".dspex-state")).to_have_text("succeeded", timeout=20_000)
    expect(form).to_contain_text("within three days")
    notebook.screenshot("form-light-done", cell)
    set_theme(notebook, "JupyterLab Dark")
    notebook.screenshot("form-dark-done", cell)
    notebook.run_cell(1)
    expect(notebook.output(notebook.cell(1))).to_contain_text("billing", timeout=20_000)
    set_theme(notebook, "JupyterLab Light")


def test_what_does_not_fit_is_told_at_its_field(open_notebook: OpenNotebook) -> None:
    """While one types, and when one runs; JSON tells its line; then it runs with every kind of value."""
    notebook = open_notebook([f"{HARNESS}; lab = forms.open_lab(); form = forms.everything(); form", "form.run.inputs"])
    form = shown(notebook)
    form.get_by_label("stars", exact=True).fill("9")
    expect(form.get_by_role("alert").filter(has_text="less than or equal to 5")).to_be_visible(timeout=20_000)
    extras = form.get_by_label("extras", exact=True)
    extras.fill('{\n  "a": 1,\n  "b" 2\n}')
    expect(form.get_by_text("Line 3, column 7")).to_be_visible()
    form.get_by_role("button", name="Run").click()
    expect(form.get_by_text("Mend this first.")).to_be_visible()
    notebook.screenshot("form-light-faults", notebook.cell(0))
    set_theme(notebook, "JupyterLab Dark")
    notebook.screenshot("form-dark-faults", notebook.cell(0))
    set_theme(notebook, "JupyterLab Light")
    extras.fill('{"a": 1}')
    form.get_by_label("order", exact=True).fill('[{"name": "pen", "count": "many"}]')
    form.get_by_role("button", name="Run").click()
    expect(form.get_by_role("alert").filter(has_text="integer")).to_be_visible(timeout=20_000)
    form.get_by_label("order", exact=True).fill('[{"name": "pen", "count": 2}]')
    form.get_by_label("ticket", exact=True).fill("two\nlines")
    form.get_by_label("stars", exact=True).fill("4")
    form.get_by_label("mood", exact=True).select_option(label="angry")
    form.get_by_label("tags", exact=True).fill("a\nb")
    form.get_by_label("sales").check()
    form.get_by_label("urgent").check()
    form.get_by_label("since", exact=True).fill("2026-11-26")
    form.get_by_role("button", name="Run").click()
    expect(form.locator(".dspex-state")).to_have_text("succeeded", timeout=30_000)
    notebook.screenshot("form-light-everything", notebook.cell(0))
    notebook.run_cell(1)
    output = notebook.output(notebook.cell(1))
    for part in ("'stars': 4", "Mood.ANGRY", "['sales']", "'urgent': True", "datetime.date(2026, 11, 26)"):
        expect(output).to_contain_text(part, timeout=20_000)


def test_a_run_is_cancelled_while_another_cell_runs(open_notebook: OpenNotebook) -> None:
    """Run and Cancel reach the kernel although a cell keeps it busy."""
    setup = f"{HARNESS}; lab = forms.open_lab(pause_s=0.3); form = forms.triage(ticket='x'); form"
    notebook = open_notebook([setup, "import time; print('busy'); time.sleep(12)"])
    form = shown(notebook)
    notebook.run_cell(1)
    expect(notebook.output(notebook.cell(1))).to_contain_text("busy", timeout=20_000)
    form.get_by_role("button", name="Run").click()
    expect(form.locator(".dspex-state")).to_have_text("running", timeout=10_000)
    form.get_by_role("button", name="Cancel").click()
    expect(form.locator(".dspex-state")).to_have_text("cancelled", timeout=10_000)
    notebook.wait_for_start(notebook.cell(1))


def test_a_form_lives_on_in_a_page_that_is_loaded_again(open_notebook: OpenNotebook) -> None:
    """With its kernel it is a form, without it is the card; nobody reads of a model that is not found."""
    notebook = open_notebook([f"{HARNESS}; lab = forms.open_lab(); form = forms.triage(); form"])
    shown(notebook)
    notebook.save()
    notebook.page.reload()
    notebook.wait_until_idle()
    form = notebook.cell(0).locator("form.dspex-form")
    expect(form).to_be_visible(timeout=30_000)
    form.get_by_label("ticket", exact=True).fill("again")
    form.get_by_role("button", name="Run").click()
    expect(form.locator(".dspex-state")).to_have_text("succeeded", timeout=30_000)
    notebook.end_kernel()
    notebook.page.reload()
    expect(notebook.cell(0).locator(".jp-RenderedHTMLCommon table")).to_contain_text("drop everything", timeout=30_000)
    expect(form).to_have_count(0)
    expect(notebook.page.get_by_text("model not found")).to_have_count(0)
    notebook.screenshot("form-saved", notebook.cell(0))


def test_a_table_comes_as_a_file(open_notebook: OpenNotebook) -> None:
    """A CSV becomes rows, or a DataFrame; one that is none is told; a picture becomes what DSPy takes."""
    setup = (
        f"{HARNESS}; import pandas as pd, dspex_lab as lab; forms.open_lab()\n"
        "def count(table: pd.DataFrame, order: list[dict]) -> str:\n"
        "    return f'{len(table)} and {len(order)}'\n"
        "form = lab.form(lab.native(count)); form"
    )
    notebook = open_notebook([setup, "print(form.run.inputs['table'].dtypes.to_dict(), form.run.inputs['order'])"])
    form = shown(notebook)
    csv = b"name,count\npen,2\nink,3\n"
    choosers = form.locator("input[type=file]")
    choosers.nth(0).set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": csv * 100_000})
    expect(form).to_contain_text("2 columns: name, count", timeout=30_000)
    choosers.nth(1).set_input_files({"name": "b.png", "mimeType": "image/png", "buffer": b"\x89PNG"})
    expect(form).to_contain_text("A table comes as .csv", timeout=20_000)
    choosers.nth(1).set_input_files({"name": "b.csv", "mimeType": "text/csv", "buffer": csv})
    expect(form).to_contain_text("2 rows × 2 columns: name, count", timeout=20_000)
    notebook.screenshot("form-light-files", notebook.cell(0))
    form.get_by_role("button", name="Run").click()
    expect(form).to_contain_text("299999 and 2", timeout=30_000)
    notebook.run_cell(1)
    expect(notebook.output(notebook.cell(1))).to_contain_text("{'name': 'pen', 'count': 2}", timeout=20_000)


def test_the_value_of_a_signature_cell_is_a_form(open_notebook: OpenNotebook) -> None:
    """The cell's value stays the signature; shown by itself later it is a card."""
    cell = "%%signature Triage\n" + "ticket: str  # the customer's words\n->\nurgency: int"
    notebook = open_notebook([f"{HARNESS}; lab = forms.open_lab()\n%load_ext dspex_lab", cell, "Triage"])
    notebook.run_all()
    form = notebook.cell(1).locator("form.dspex-form")
    expect(form).to_be_visible(timeout=40_000)
    form.get_by_label("ticket", exact=True).fill("x")
    form.get_by_label("ticket", exact=True).press("Control+Enter")
    expect(form.locator(".dspex-state")).to_have_text("succeeded", timeout=20_000)
    expect(notebook.cell(2).locator(".jp-RenderedHTMLCommon table")).to_be_visible()
    expect(notebook.cell(2).locator("form.dspex-form")).to_have_count(0)
