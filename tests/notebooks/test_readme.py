"""What the README says about the notebooks and the native engine is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import dspex_lab
from dspex_lab.magics.signature_magic import define_signature

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_every_notebook_is_listed() -> None:
    """The table names each notebook that there is, and none that is not."""
    listed = set(re.findall(r"\]\((notebooks/\w+\.ipynb)\)", README))
    assert listed == {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_the_native_examples_run() -> None:
    """The signature's cell compiles; validation, template and metric come to what the comments beside them say."""
    namespace: dict[str, Any] = {"lab": dspex_lab}
    cell = next(block for block in BLOCKS if block.startswith("%%signature"))
    first, _, body = cell.partition("\n")
    define_signature(first.removeprefix("%%signature"), body, namespace)
    lines = [line for block in BLOCKS if "lab.validate(" in block for line in block.splitlines()]
    values = [eval(line, namespace) for line in lines]
    assert values == [{"mood": "mixed", "stars": 4, "topic": "battery"}, "4 of 5: battery", 1.0]
    with pytest.raises(dspex_lab.ValidationError):
        dspex_lab.validate({"mood": "mixed", "stars": "four", "topic": "battery"}, namespace["Triage"])
