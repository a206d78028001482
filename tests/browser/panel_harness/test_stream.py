"""500 tokens in each second into a panel: none is lost, and the page stays free. Longer: ``DSPEX_STREAM_S=30``."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.panel_harness.stage import SCREENSHOTS

if TYPE_CHECKING:
    from tests.browser.conftest import NotebookPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

DURATION_S = float(os.environ.get("DSPEX_STREAM_S", "6"))
#: Longer than this and a page does not answer in time.
MAX_TASK_MS = 100
IMPORT = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from stream import stream"


def test_a_quick_stream_loses_nothing_and_leaves_the_page_free(
    open_notebook: Callable[[list[str]], NotebookPage], browser: Browser
) -> None:
    """What stands in the panel is what was written, to the character; the longest task stays under 100 ms."""
    notebook = open_notebook([IMPORT, f"written = stream(duration_s={DURATION_S})", "print(written)"])
    notebook.run_cell(0)
    notebook.wait_for_end(notebook.cell(0))
    tries = []
    for _ in range(3):  # a busy machine may hold up a page: its best try is the page's own
        tries.append(_longest_task_ms(notebook, browser))
        if tries[-1][0] < MAX_TASK_MS:
            break
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    words = [f"{cpu:.0f} ms of CPU, {wall:.0f} ms by the clock" for cpu, wall in tries]
    (SCREENSHOTS / "stream.txt").write_text(
        f"500 tokens/s for {DURATION_S:g} s, the longest task: {'; '.join(words)}\n"
    )
    assert tries[-1][0] < MAX_TASK_MS, tries


def _longest_task_ms(notebook: NotebookPage, browser: Browser) -> tuple[float, float]:
    """The longest task of the page while a model writes, by its CPU time (others may hold up the machine) and by the
    clock; nothing that it writes may be missing."""
    cell = notebook.cell(1)
    notebook.command("notebook:clear-all-cell-outputs")
    notebook.run_cell(1)
    box = cell.locator(".dspex-field-text").first
    expect(box).to_contain_text("w0 ", timeout=30_000)
    browser.start_tracing(page=notebook.page, categories=["disabled-by-default-devtools.timeline"])
    notebook.wait_for_end(cell, timeout_s=DURATION_S + 60)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    text = box.text_content() or ""
    notebook.run_cell(2)
    said = re.compile(r"Stream\(tokens=(\d+), chars=(\d+), digest='(\w+)'\)")
    expect(notebook.output(notebook.cell(2))).to_contain_text(said, timeout=30_000)
    found = said.search(notebook.output(notebook.cell(2)).inner_text())
    assert found is not None
    assert int(found[1]) >= 0.95 * 500 * DURATION_S
    assert (len(text), hashlib.sha256(text.encode()).hexdigest()) == (int(found[2]), found[3])
    tasks = [event for event in events if event["name"] == "RunTask" and "tdur" in event]
    threads = {event["tid"] for event in events if event.get("args", {}).get("name") == "CrRendererMain"}
    own = [one for one in tasks if one["tid"] in threads]
    return max(one["tdur"] for one in own) / 1000, max(one["dur"] for one in own) / 1000
