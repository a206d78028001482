"""``map`` from a file and to a file: what is read, what is written, and what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas
import pytest

from dspex_lab.errors import ConfigurationError, PipelineError
from dspex_lab.pipelines import Pipeline, native
from dspex_lab.testing.stage import Stage


def doubling(stage: Stage) -> Pipeline:
    return stage.pipeline(twice=native(lambda number: int(number) * 2))


def rows(count: int) -> list[dict[str, int]]:
    return [{"number": number} for number in range(count)]


def quiet(made: Pipeline, given: Any, **options: Any) -> Any:
    return made.map(given, progress=False, **options)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_from_file_to_file(stage: Stage, tmp_path: Path, suffix: str) -> None:
    """Rows are read from a file and results written to one, in the same form and order."""
    source, target = tmp_path / f"rows{suffix}", tmp_path / "out" / f"results{suffix}"
    frame = pandas.DataFrame({"number": range(30), "label": ["007"] * 30})
    write(frame, source)
    batch = quiet(stage.pipeline(twice=native(lambda number: [number, {"a": "é"}])), source, to=target, wait=False)
    assert batch.result() == target
    assert batch.statistics().total == 30
    made = read(target)
    assert made["number"].tolist() == list(range(30))
    assert made["label"].tolist() == ["007"] * 30
    assert "é" in str(made["twice"][3])


def test_a_broken_line_is_that_row_s_error(stage: Stage, tmp_path: Path) -> None:
    """In JSONL and in CSV files."""
    (tmp_path / "a.jsonl").write_text('{"number": 1}\n{"number": \n{"number": 3}\n')
    (tmp_path / "a.csv").write_text("number,label\n1,a\n2\n3,c\n")
    for name in ("a.jsonl", "a.csv"):
        made = quiet(doubling(stage), tmp_path / name)
        assert made["twice"].tolist()[0::2] == [2, 6]
        assert "Line" in made["error"][1]


def test_csv_texts_are_what_their_field_is(stage: Stage, tmp_path: Path) -> None:
    """A declared text stays one, a declared number is one, and an empty cell is missing."""

    def work(code: str, size: float, note: str | None = None) -> str:
        return f"{code!r} {size!r} {note!r}"

    (tmp_path / "a.csv").write_text("code,size,note\n007,1,\n")
    assert quiet(stage.pipeline(out=native(work)), tmp_path / "a.csv")["out"][0] == "'007' 1.0 None"


def test_missing_values_of_a_table_are_none(stage: Stage) -> None:
    """NaN, NaT and NA are no values; an input with a default has its default."""

    def work(a: Any, b: Any = "default") -> str:
        return f"{a!r} {b!r}"

    frame = pandas.DataFrame({"a": [1.5, float("nan")], "b": [None, pandas.NaT]})
    assert quiet(stage.pipeline(out=native(work)), frame)["out"].tolist() == ["1.5 'default'", "None 'default'"]


def test_a_file_is_not_read_and_written_at_a_time(stage: Stage, tmp_path: Path) -> None:
    """The source would be gone before it is read."""
    path = tmp_path / "a.csv"
    path.write_text("number\n1\n")
    with pytest.raises(ConfigurationError):
        quiet(doubling(stage), path, to=path)
    assert path.read_text() == "number\n1\n"


def test_a_file_that_cannot_be_written(stage: Stage, tmp_path: Path) -> None:
    """Is said before anything runs."""
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(PipelineError, match="cannot be written"):
        quiet(doubling(stage), rows(1), to=tmp_path / "folder.csv")


def write(frame: pandas.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)


def read(path: Path) -> pandas.DataFrame:
    if path.suffix == ".csv":
        return pandas.read_csv(path, dtype={"label": str})
    if path.suffix == ".jsonl":
        return pandas.read_json(path, lines=True, dtype={"label": str})
    return pandas.read_parquet(path)
