"""What the README says about the notebooks and the native engine is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest

import dspex_lab
from dspex_lab.magics.signature_magic import define_signature
from dspex_lab.testing.backend import FakeBackend

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def lab_of_its_own() -> Iterator[dspex_lab.Lab]:
    """The current lab, whose plain functions run here and which has no host."""
    with dspex_lab.Lab(backend=FakeBackend()) as made:
        before = dspex_lab.use_lab(made)
        yield made
        dspex_lab.use_lab(before)


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


def test_the_examples_of_recovery_and_of_batches_run(
    lab_of_its_own: dspex_lab.Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The options are taken as they stand there; rows come from a list and from a file, and go to a file."""
    monkeypatch.chdir(tmp_path)
    pandas.DataFrame({"text": ["it never worked", "love it"]}).to_csv("reviews.csv", index=False)
    namespace: dict[str, Any] = {"lab": dspex_lab, "Triage": "review -> mood, stars: int, topic"}
    count = dspex_lab.native(lambda raw: len(raw.split()), writes="stars")
    namespace["feedback"] = dspex_lab.pipeline("feedback", triage=count)
    for block in BLOCKS:
        if block.startswith(("careful = ", "table = ")):
            exec(block, namespace)
    assert namespace["table"]["stars"].tolist() == [3, 2]
    assert pandas.read_parquet("answers.parquet")["stars"].tolist() == [3, 2]
    assert namespace["bounded"](raw="three words here").stars == 3


def test_the_examples_of_traces_and_of_listening_run(lab_of_its_own: dspex_lab.Lab) -> None:
    """The trace of a run is found, also without a host, and what listens is let go again."""
    namespace: dict[str, Any] = {"lab": dspex_lab}
    namespace["feedback"] = dspex_lab.pipeline("feedback", stars=dspex_lab.native(lambda raw: len(raw.split())))
    namespace["feedback"](raw="three words here")
    (block,) = (block for block in BLOCKS if block.startswith("trace = "))
    exec(block, namespace)
    assert namespace["trace"].name == "run feedback"
    namespace["stop"]()
