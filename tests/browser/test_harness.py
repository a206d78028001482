"""The harness itself: a notebook, a kernel and an anywidget, end to end in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

WIDGET = """
import anywidget, traitlets

class Counter(anywidget.AnyWidget):
    _esm = '''
    export default {
      render({ model, el }) {
        const button = document.createElement("button");
        const draw = () => { button.textContent = `count ${model.get("value")}`; };
        button.className = "counter";
        button.addEventListener("click", () => { model.set("value", model.get("value") + 1); model.save_changes(); });
        model.on("change:value", draw);
        draw();
        el.append(button);
      },
    };
    '''
    value = traitlets.Int(0).tag(sync=True)

counter = Counter()
counter
"""


def test_an_anywidget_talks_to_its_kernel(open_notebook: Callable[[list[str]], NotebookPage]) -> None:
    """A click in the page reaches the kernel, which prints what it was told."""
    notebook = open_notebook([WIDGET, "print('value', counter.value)"])
    notebook.run_cell(0)
    button = notebook.page.locator("button.counter")
    expect(button).to_have_text("count 0", timeout=30_000)
    button.click()
    expect(button).to_have_text("count 1")
    notebook.run_cell(1)
    expect(notebook.output(notebook.cell(1))).to_contain_text("value 1")
    assert notebook.screenshot("harness").stat().st_size > 0


def test_an_interrupt_ends_a_cell(open_notebook: Callable[[list[str]], NotebookPage]) -> None:
    """Kernel → Interrupt stops the running cell, and the next cell runs."""
    notebook = open_notebook(["import time\nprint('begun')\ntime.sleep(60)", "print('next')"])
    notebook.run_cell(0)
    expect(notebook.output(notebook.cell(0))).to_contain_text("begun", timeout=30_000)
    notebook.interrupt()
    expect(notebook.output(notebook.cell(0))).to_contain_text("KeyboardInterrupt")
    notebook.run_cell(1)
    expect(notebook.output(notebook.cell(1))).to_contain_text("next")
