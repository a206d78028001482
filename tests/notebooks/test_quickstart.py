"""The notebooks that are shown to people: they are kept clean, and they run from top to bottom."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
ALL = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_notebook_is_kept_clean(path: Path) -> None:
    """No outputs and no counts are stored, and a kernel is named, so that no front end asks for one."""
    notebook = json.loads(path.read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


def test_the_reviews_are_whole() -> None:
    """Every review has its text, its product and a rating between -4 and 4, and no id comes twice."""
    reviews = [json.loads(line) for line in (NOTEBOOKS / "data" / "reviews.jsonl").read_text().splitlines()]
    assert len({review["id"] for review in reviews}) == len(reviews) == 52
    assert all(review["text"].strip() and review["product"] for review in reviews)
    assert all(-4 <= review["sentiment"] <= 4 for review in reviews)


@pytest.mark.model
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("ended_host")
def test_the_quickstart_runs(tmp_path: Path) -> None:
    """Every cell runs with the bundled model; results are typed; route, latency and tokens per second are printed."""
    command = [sys.executable, str(NOTEBOOKS / "run.py"), str(NOTEBOOKS / "01_quickstart.ipynb"), "--output"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"mood: (positive|negative|mixed)", done.stdout)
    assert re.search(r"stars: [1-5]\b", done.stdout)
    assert re.search(r"native\b.*\b(ms|s)\b", done.stdout)
    assert re.search(r"hybrid\b.*\b(ms|s)\b.*tok/s", done.stdout)
    page = (tmp_path / "01_quickstart.html").read_text()
    assert "chain_of_thought" in page
