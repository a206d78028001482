"""The notebook about pools: it runs, its workers die on purpose, and it says what became of their calls."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("ended_host")
def test_the_pools_run(tmp_path: Path) -> None:
    """Every cell runs; a job's value is found by its id; cancelled work is over and its pool serves; the keyboard goes
    before the batch; an idempotent call survives its worker; the sandbox refuses; and each cell that fails on purpose
    does so with an error of ours."""
    command = [sys.executable, str(NOTEBOOKS / "run.py"), str(NOTEBOOKS / "03_pools.ipynb"), "--output"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    shown = done.stdout
    assert "'motto': 'measure twice', 'secret': None" in shown
    assert "{'to': 2, 'be': 2, 'or': 1, 'not': 1}" in shown
    assert "'full'" in shown
    assert "['first', 'KEYBOARD', 'batch 1'" in shown
    assert re.search(r"oversleep cancelled .* the same worker", shown)
    assert re.search(r"stubborn +cancelled .* another worker", shown)
    assert "survived in process" in shown
    assert shown.count("Operation not permitted") == 2
    assert "find the secret  KeyError" in shown
    cells = json.loads((tmp_path / "03_pools.ipynb").read_text())["cells"]
    meant = [cell for cell in cells if "raises-exception" in cell["metadata"].get("tags", [])]
    errors = [[one["ename"] for one in cell["outputs"] if one["output_type"] == "error"] for cell in meant]
    assert errors == [["ConfigurationError"], ["SessionLost"], ["WorkerMemoryExceeded"], ["WorkerLost"]]
