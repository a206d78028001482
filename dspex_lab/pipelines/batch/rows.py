"""Rows in whatever form they come: a DataFrame or Series, a list, a file, any iterator. Read as they are asked for.

Knows nothing of pipelines; what a row means to one is ``fitting``'s business.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspex_lab.errors import ConfigurationError, PipelineError, ValidationError
from dspex_lab.pipelines.batch.cells import from_text, plain_cell

__all__ = ["Record", "Rows", "open_rows"]

#: A row by its columns, or why it is none.
Record = Mapping[str, Any] | ValidationError

#: Rows that are taken out of a table or a file at a time.
_CHUNK = 1024
#: Rows of a list that are looked at for their columns.
_LOOKED_AT = 100
#: Files up to this size are counted before they are read.
_COUNTED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rows:
    """``columns`` are those that every row has (None: each has its own), ``total`` is how many rows will come (None:
    nobody knows). ``frame`` is the table that the rows are of: their results are put beside it."""

    records: Iterator[Record]
    columns: tuple[str, ...] | None
    total: int | None = None
    frame: Any = None


def open_rows(rows: Any, inputs: Mapping[str, Any]) -> Rows:
    """The rows in ``rows``. ``inputs`` are the types of the columns that are inputs, by column: what is no mapping is a
    row of one column, if there is but one. Raises ``PipelineError`` for what holds no rows."""
    if isinstance(rows, str | os.PathLike):
        return _open_file(Path(rows), inputs)
    if hasattr(rows, "to_frame") and hasattr(rows, "index"):
        rows = rows.to_frame(_only(inputs, rows))
    if hasattr(rows, "iloc") and hasattr(rows, "columns"):
        return _open_frame(rows)
    if isinstance(rows, Mapping | bytes) or not isinstance(rows, Iterable):
        raise PipelineError(
            f"A {type(rows).__name__} holds no rows.",
            hint="Rows are a DataFrame, a list of dicts, a CSV, JSONL or Parquet file, or any iterator.",
        )
    return _open_iterable(rows, inputs)


def _open_frame(frame: Any) -> Rows:
    columns = tuple(map(str, frame.columns))
    double = sorted({name for name in columns if columns.count(name) > 1})
    if double:
        raise PipelineError(f"The table has two columns {double[0]!r}.", hint="Rename one of them.")

    def records() -> Iterator[Record]:
        for start in range(0, len(frame), _CHUNK):
            part = frame.iloc[start : start + _CHUNK]
            cells = [map(plain_cell, part.iloc[:, place].tolist()) for place in range(len(columns))]
            if not cells:
                yield from ({} for _ in range(len(part)))
            for row in zip(*cells, strict=True):
                yield dict(zip(columns, row, strict=True))

    return Rows(records(), columns, len(frame), frame)


def _open_iterable(rows: Iterable[Any], inputs: Mapping[str, Any]) -> Rows:
    total = len(rows) if isinstance(rows, Sized) else None
    iterator = iter(rows)
    # The first ones tell what they are, before anything runs; of what is made as it is asked for, only one is taken.
    head = list(itertools.islice(iterator, 1 if total is None else _LOOKED_AT))
    named: dict[str, None] = {}
    for row in head:
        found = _as_mapping(row)
        named.update(dict.fromkeys((_only(inputs, row),) if found is None else map(str, found)))

    def records() -> Iterator[Record]:
        # Chained by hand: closing this closes the user's generator.
        try:
            for row in itertools.chain(head, iterator):
                found = _as_mapping(row)
                yield found if found is not None else {_only(inputs, row): row}
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    return Rows(records(), tuple(named) if head else None, total)


def _as_mapping(row: Any) -> Mapping[str, Any] | None:
    if isinstance(row, Mapping):
        return row
    to_dict: Callable[[], Mapping[str, Any]] | None = getattr(row, "toDict", None)  # DSPy's examples
    return to_dict() if to_dict is not None else None


def _only(inputs: Mapping[str, Any], row: Any) -> str:
    """The one column of rows that are no mappings."""
    if len(inputs) != 1:
        names = ", ".join(inputs) or "none"
        raise PipelineError(
            f"A row is a {type(row).__name__}, and there are several inputs: {names}."
            if inputs
            else f"A row is a {type(row).__name__}, and there are no inputs.",
            hint="Give each row as a dict of the inputs by name.",
        )
    return next(iter(inputs))


# --- files --------------------------------------------------------------------------------------------------------


def _open_file(path: Path, inputs: Mapping[str, Any]) -> Rows:
    kinds = {".csv": _open_csv, ".jsonl": _open_jsonl, ".ndjson": _open_jsonl, ".parquet": _open_parquet}
    opener = kinds.get(path.suffix.lower())
    if opener is None:
        raise PipelineError(f"Rows cannot be read from {path.name}.", hint=f"There are {', '.join(kinds)} files.")
    try:
        return opener(path, inputs)
    except OSError as error:
        raise PipelineError(f"The rows in {path} cannot be read: {error.strerror or error}.") from error


def _open_csv(path: Path, inputs: Mapping[str, Any]) -> Rows:
    with path.open(newline="", encoding="utf-8-sig") as file:
        columns = tuple(next(csv.reader(file), ()))
    if not columns:
        raise PipelineError(f"{path.name} is empty.", hint="The first line of a CSV file names its columns.")
    kinds = [inputs.get(name, Any) for name in columns]

    def records() -> Iterator[Record]:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            next(lines)
            for cells in lines:
                if not cells:
                    continue
                if len(cells) != len(columns):
                    yield ValidationError(
                        f"Line {lines.line_num} of {path.name} has {len(cells)} cells, not {len(columns)}."
                    )
                    continue
                yield {name: from_text(cell, kind) for name, cell, kind in zip(columns, cells, kinds, strict=True)}

    return Rows(records(), columns, _count(path, lambda file: sum(1 for cells in csv.reader(file) if cells) - 1))


def _open_jsonl(path: Path, inputs: Mapping[str, Any]) -> Rows:
    def records() -> Iterator[Record]:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _json_record(line, number, path, inputs)

    with path.open(encoding="utf-8") as file:
        head = next((line for line in file if line.strip()), None)
    first = {} if head is None else _json_record(head, 1, path, inputs)
    columns = tuple(first) if isinstance(first, Mapping) else None
    return Rows(records(), columns, _count(path, lambda file: sum(1 for line in file if line.strip())))


def _json_record(line: str, number: int, path: Path, inputs: Mapping[str, Any]) -> Record:
    try:
        value = json.loads(line)
    except ValueError as error:
        return ValidationError(f"Line {number} of {path.name} is no JSON: {error}.")
    if isinstance(value, dict):
        return value
    if len(inputs) == 1:
        return {next(iter(inputs)): value}
    return ValidationError(f"Line {number} of {path.name} is a {type(value).__name__}, not an object.")


def _open_parquet(path: Path, inputs: Mapping[str, Any]) -> Rows:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ConfigurationError(
            "Parquet files need pyarrow.", "rows", "pyarrow", "not installed", hint='pip install "dspex-lab[tables]"'
        ) from None
    try:
        with ParquetFile(path) as file:
            columns, total = tuple(file.schema_arrow.names), int(file.metadata.num_rows)
    except ArrowInvalid as error:
        raise PipelineError(f"{path.name} is no Parquet file: {error}") from error

    def records() -> Iterator[Record]:
        with ParquetFile(path) as file:
            for part in file.iter_batches(batch_size=_CHUNK):
                yield from part.to_pylist()

    return Rows(records(), columns, total)


def _count(path: Path, count: Callable[[Any], int]) -> int | None:
    """How many rows there are; None for a file that takes long to count."""
    if path.stat().st_size > _COUNTED_BYTES:
        return None
    with path.open(newline="", encoding="utf-8-sig") as file:
        return max(0, count(file))
