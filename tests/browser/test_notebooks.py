"""Several notebooks and one host, and a notebook that begins anew: what is running goes on, what was shown stays."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LabServer, NotebookPage, write_notebook

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.usefixtures("ended_host")]

SETUP = "%load_ext dspex_lab\n%lab start"
GREET = """%%pipeline greet --run name="NAME"
greeting = native(lambda name: f"Hello, {name}.")
"""
LIMIT_MS = 60_000


def run(notebook: NotebookPage, index: int) -> Locator:
    """The output of a cell that ran to its end."""
    notebook.run_cell(index)
    notebook.wait_for_end(notebook.cell(index), timeout_s=90)
    return notebook.output(notebook.cell(index))


def test_two_notebooks_share_a_host(
    open_notebook: Callable[[list[str]], NotebookPage], page: Page, lab_server: LabServer
) -> None:
    """Each counts the other as a client, and the side panel of one shows the runs of both."""
    first = open_notebook([SETUP, GREET.replace("NAME", "Ada")])
    run(first, 0)
    name = f"{secrets.token_hex(4)}/other.ipynb"
    (lab_server.folder / name).parent.mkdir()
    write_notebook([SETUP, GREET.replace("greet", "welcome").replace("NAME", "Grace")], lab_server.folder / name)
    second = NotebookPage(page.context.new_page(), lab_server.page_url(name))
    second.load()
    try:
        expect(run(second, 0)).to_contain_text("2 notebooks")
        expect(run(first, 1)).to_contain_text("Hello, Ada.")
        expect(run(second, 1)).to_contain_text("Hello, Grace.")
        first.command("dspex-lab:show")
        side = first.page.locator("#dspex-lab-side")
        for pipeline in ("greet", "welcome"):
            expect(side.locator(".dspex-side-run", has_text=pipeline)).to_be_visible(timeout=LIMIT_MS)
    finally:
        second.end_kernel()
        second.page.close()


def test_a_restarted_kernel_finds_its_host_and_its_runs(open_notebook: Callable[[list[str]], NotebookPage]) -> None:
    """What the cell showed stays; the host and its workers are those of before, and the run is in the list."""
    notebook = open_notebook([SETUP, GREET.replace("NAME", "Ada"), "import dspex_lab as lab\nlab.runs()"])
    before = run(notebook, 0).inner_text().split("up")[0]
    run(notebook, 1)
    notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    notebook.wait_until_idle()
    expect(notebook.output(notebook.cell(1))).to_contain_text("Hello, Ada.")
    assert run(notebook, 0).inner_text().split("up")[0] == before
    expect(run(notebook, 2)).to_contain_text("greet")
    expect(run(notebook, 1)).to_contain_text("Hello, Ada.")
    notebook.screenshot("restarted-kernel")
