"""``notebooks/run.py``: what it prints, what it leaves, and how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "notebooks" / "run.py"

pytestmark = pytest.mark.timeout(120)


def write_notebook(folder: Path, *sources: str) -> Path:
    """A notebook with one heading and code cells."""
    blank: dict[str, object] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    heading = {"cell_type": "markdown", "id": "heading", "metadata": {}, "source": "# Title\n## Part one"}
    cells = [heading, *({**blank, "id": f"cell-{i}", "source": source} for i, source in enumerate(sources))]
    path = folder / "book.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    return path


def run(notebook: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUN), str(notebook), "--output", str(notebook.parent / "out"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_it_prints_each_output_and_leaves_a_notebook_and_a_page(tmp_path: Path) -> None:
    """Streams and results are printed under their heading; the executed notebook and its page hold them too."""
    done = run(write_notebook(tmp_path, "print('streamed')\n{'typed': 7}"))
    assert done.returncode == 0, done.stderr
    assert "[Part one] print('streamed')" in done.stdout
    assert "   streamed\n   {'typed': 7}\n" in done.stdout
    executed = json.loads((tmp_path / "out" / "book.ipynb").read_text())
    assert executed["cells"][1]["execution_count"] == 1
    assert "typed" in (tmp_path / "out" / "book.html").read_text()


def test_the_page_shows_the_static_form_of_a_panel_and_loads_nothing(tmp_path: Path) -> None:
    """A widget's view is passed over for its HTML, and the page names no script from elsewhere."""
    bundle = {
        "text/html": "<b>static form</b>",
        "text/plain": "text form",
        "application/vnd.jupyter.widget-view+json": {"model_id": "x"},
    }
    run(write_notebook(tmp_path, f"from IPython.display import display\ndisplay({bundle!r}, raw=True)"))
    page = (tmp_path / "out" / "book.html").read_text()
    assert "<b>static form</b>" in page
    assert 'src="http' not in page


def test_a_failing_cell_is_told_with_its_line(tmp_path: Path) -> None:
    """Exit status 1, the cell's own error and the line of the cell; later cells do not run."""
    done = run(write_notebook(tmp_path, "x = 1\nx / 0", "print('never')"))
    assert done.returncode == 1
    assert "line 2: x / 0\nZeroDivisionError: division by zero" in done.stdout
    assert "   never" not in done.stdout
    assert (tmp_path / "out" / "book.ipynb").exists()


def test_a_cell_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """The time of a cell is bounded, and its kernel is gone afterwards."""
    done = run(write_notebook(tmp_path, "import time\ntime.sleep(600)"), "--cell-timeout", "1")
    assert done.returncode == 1
    assert "more than 1 s" in done.stdout


def test_a_notebook_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """A wrong path is a usage error, and nothing is written."""
    done = run(tmp_path / "none.ipynb")
    assert done.returncode == 2
    assert "there is no notebook" in done.stderr
