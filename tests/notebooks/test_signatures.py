"""The notebook about signatures: it runs, it shows its mistakes on purpose, and both routes answer the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.model
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("ended_host")
def test_the_signatures_run(tmp_path: Path) -> None:
    """Every cell runs with the bundled model; hybrid and python give one answer; DSPy is not loaded before it is asked
    for; and each cell that is wrong on purpose fails with an error of ours."""
    command = [sys.executable, str(NOTEBOOKS / "run.py"), str(NOTEBOOKS / "02_signatures.ipynb"), "--output"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "hybrid:neural" in done.stdout
    assert "python:general" in done.stdout
    assert "The same answer: True" in done.stdout
    assert "DSPy is loaded: False" in done.stdout
    cells = json.loads((tmp_path / "02_signatures.ipynb").read_text())["cells"]
    meant = [cell for cell in cells if "raises-exception" in cell["metadata"].get("tags", [])]
    errors = [[one["ename"] for one in cell["outputs"] if one["output_type"] == "error"] for cell in meant]
    ours = {"SignatureError", "TemplateError", "ValidationError"}
    assert len(errors) >= 8
    assert all(len(names) == 1 and set(names) <= ours for names in errors), errors
