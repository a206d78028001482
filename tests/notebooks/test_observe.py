"""The notebook about what is seen: it runs, and its trace, its figures and what it heard are those of its own runs."""

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
def test_what_runs_is_seen(tmp_path: Path) -> None:
    """Every cell runs; the trace goes from the run to the attempts at the model; what listens hears each step; and the
    saved notebook has a static form of every panel."""
    command = [sys.executable, str(NOTEBOOKS / "run.py"), str(NOTEBOOKS / "05_observe.ipynb"), "--output"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    shown = done.stdout
    assert re.search(r"mood = '(good|bad)'", shown)
    assert re.search(r"run digest .*\n +native clean .*\n +step both .*\n +step mood .* hybrid → neural", shown)
    assert shown.count("chat local/smollm2-135m") >= 4, "both attempts, in the waterfall and in the table"
    assert "('both', 'running')," in shown
    assert "Calls: 9 (9 succeeded" in shown
    assert "[Its trace] import tempfile" in shown
    assert "   True\n" in shown
    assert re.search(r"Pools: host \w+ .* 1 notebook", shown)
    assert re.search(r"lm\.complete +neural +\d+ +0 ", shown)
    cells = json.loads((tmp_path / "05_observe.ipynb").read_text())["cells"]
    pages = ["".join(out.get("data", {}).get("text/html", "")) for cell in cells for out in cell.get("outputs", ())]
    for word in ("Feedback", "digest", "run digest", "Pools", "Metrics"):
        assert any(word in page for page in pages), f"no static form of {word}"
