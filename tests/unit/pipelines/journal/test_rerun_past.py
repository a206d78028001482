"""A run of before, begun again from one of its steps on: what the journal has is kept, the rest is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dspex_lab.errors import ConfigurationError, PipelineError
from dspex_lab.lab import Lab
from dspex_lab.pipelines import PastRun, Pipeline, each, native, when
from dspex_lab.settings import Settings
from dspex_lab.testing import FakeBackend

LIMIT_S = 10.0

OpenLab = Callable[[], Lab]


@pytest.fixture
def open_lab(tmp_path: Path) -> Iterator[OpenLab]:
    """Labs of one user's, one after the other."""
    made: list[Lab] = []
    settings = Settings.create(data_dir=tmp_path / "data")

    def make() -> Lab:
        made.append(Lab(settings, backend=FakeBackend({})))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


class Steps:
    """The steps of one pipeline, which count how often each was run."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.last_word = "old"

    def defined(self, lab: Lab) -> Pipeline:
        def rows(text: str) -> list[str]:
            self.calls.append("rows")
            return text.split()

        def item(row: str) -> str:
            self.calls.append("item")
            return row.upper()

        def short(up: list[str]) -> str:
            self.calls.append("short")
            return "".join(up)

        def last(word: str, word_of: Callable[[], str] = lambda: self.last_word) -> str:
            self.calls.append("last")
            return f"{word_of()} {word}"

        made = Pipeline(
            "support",
            {
                "rows": native(rows, writes="rows"),
                "every": each(native(item, reads=["row"], writes="up"), over="rows", item="row"),
                "branch": when(lambda s: len(s.rows) > 1, then=native(short, reads=["up"], writes="word")),
                "last": native(last, reads=["word"], writes="last"),
            },
            start=lab.launcher.start,
        )
        lab.pipelines.replace("support", made)
        return made


def past_run(open_lab: OpenLab, steps: Steps) -> PastRun:
    """A finished run, looked at by another lab that has the same pipeline."""
    with open_lab() as lab:
        run = steps.defined(lab).submit(text="a b")
        assert run.result(LIMIT_S)["last"] == "old AB"
    lab = open_lab()
    steps.defined(lab)
    steps.calls.clear()
    found = lab.history.run(run.id)
    assert isinstance(found, PastRun)
    return found


@pytest.mark.parametrize(
    ("step", "calls"),
    [
        ("last", ["last"]),
        ("branch", ["short", "last"]),
        ("every", ["item", "item", "short", "last"]),
        (None, ["rows", "item", "item", "short", "last"]),
    ],
)
def test_only_the_step_and_what_depends_on_it_are_run(open_lab: OpenLab, step: str | None, calls: list[str]) -> None:
    """Items of an ``each`` and decisions of a ``when`` are kept as well; the run is a new one."""
    steps = Steps()
    past = past_run(open_lab, steps)
    steps.last_word = "new"
    again = past.rerun(step)
    assert again.result(LIMIT_S)["last"] == "new AB"
    assert steps.calls == calls
    assert again.id != past.id
    assert again.inputs == {"text": "a b"}


def test_the_new_run_is_in_the_journal_with_what_it_was_given(open_lab: OpenLab) -> None:
    """It can be begun again itself."""
    steps = Steps()
    again = past_run(open_lab, steps).rerun("branch")
    again.result(LIMIT_S)
    lab = open_lab()
    steps.defined(lab)
    steps.calls.clear()
    found = lab.history.run(again.id)
    assert isinstance(found, PastRun)
    assert found.rerun("last").result(LIMIT_S)["last"] == "old AB"
    assert steps.calls == ["last"]


def test_what_cannot_be_is_told(open_lab: OpenLab) -> None:
    """A step that is not there, a part of an ``each``, inputs that it has, and a pipeline that nobody defined."""
    steps = Steps()
    past = past_run(open_lab, steps)
    with pytest.raises(PipelineError, match="has no step lst") as caught:
        past.rerun("lst")
    assert "Did you mean 'last'?" in str(caught.value.hint)
    with pytest.raises(PipelineError, match="part of an each"):
        past.rerun("every.item")
    with pytest.raises(PipelineError, match="has its input text already"):
        past.rerun("last", text="x")
    elsewhere = open_lab().history.run(past.id)
    assert isinstance(elsewhere, PastRun)
    with pytest.raises(PipelineError, match="There is no pipeline support here"):
        elsewhere.rerun("last")
    with pytest.raises(ConfigurationError, match="was not written down"):
        open_lab().history.rerun("nothing", None, {})
    assert steps.calls == []
