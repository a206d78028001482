"""The notebook about pipelines: it runs, its provider fails on purpose, and it says what became of its runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.timeout(600)
@pytest.mark.model
@pytest.mark.usefixtures("ended_host")
def test_the_pipelines_run(tmp_path: Path) -> None:
    """Every cell runs; retries, fallback, circuit, cache and budget do what the text says; a run that failed goes on
    and repeats nothing; a row that fails has its error; and each cell that fails on purpose does so with our error."""
    command = [sys.executable, str(NOTEBOOKS / "run.py"), str(NOTEBOOKS / "04_pipelines.ipynb"), "--output"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    shown = done.stdout
    assert "(('parts',), ('noise', 'moods'), ('overall',), ('reply',))" in shown
    assert re.search(r"reply\.(then|otherwise) +skipped", shown)
    assert re.search(r"forty-two\n.*\n +predict .* 2\n", shown), "two retries"
    assert "no idea - by the route native" in shown
    assert "CircuitOpen: openai/stand-in" in shown
    assert "from 1 request\n" in shown
    assert "another signature: 2 requests" in shown
    assert "tokens of the 400 that it may" in shown
    assert "FIFTY-FOUR\n   ['the day is young'," in shown
    assert "['expensive', 'fragile', 'fragile']\n   A LONG STUDY OF ANTS" in shown
    assert re.search(r"60 answers of a model that takes 0.3 s for each", shown)
    assert "We are glad that you like your camera. Enjoy it! Yours sincerely, the team" in shown
    cells = json.loads((tmp_path / "04_pipelines.ipynb").read_text())["cells"]
    meant = [cell for cell in cells if "raises-exception" in cell["metadata"].get("tags", [])]
    errors = [[one["ename"] for one in cell["outputs"] if one["output_type"] == "error"] for cell in meant]
    assert errors == [["PipelineError"], ["PipelineError"], ["PipelineError"]]
