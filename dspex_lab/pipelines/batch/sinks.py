"""Where results go: a DataFrame in memory, or a file that is written as they come, in the rows' order.

A sink takes results in any order, from one thread at a time. Knows nothing of how rows run.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from dspex_lab.errors import ConfigurationError, PipelineError
from dspex_lab.pipelines.batch.order import InOrder
from dspex_lab.pipelines.batch.result_row import ResultColumns, ResultRow
from dspex_lab.signatures import to_plain

__all__ = ["FileSink", "FrameSink", "Sink", "open_sink"]

#: Rows that a Parquet file has in one group.
_GROUP = 5_000


class Sink(Protocol):
    """Where a batch's results go."""

    #: Whether it writes to a disk.
    is_file: bool

    @property
    def waiting(self) -> int:
        """How many results wait for those before them."""
        ...

    def put(self, rows: Sequence[ResultRow]) -> None:
        """Take results that are done for good."""

    def close(self) -> None:
        """No more will come: write what waits. Safe to call twice."""

    def result(self) -> Any:
        """What there is: a DataFrame, or the file's path."""


def open_sink(columns: ResultColumns, to: Path | None, frame: Any = None) -> Sink:
    """The sink for ``to``; None: a DataFrame, beside the rows of ``frame`` if they are of one. Raises ``PipelineError``
    for a file that cannot be written."""
    if to is None:
        return FrameSink(columns, frame)
    writers: dict[str, Callable[[Path, ResultColumns], _Writer]] = {
        ".csv": _CsvWriter,
        ".jsonl": _JsonlWriter,
        ".ndjson": _JsonlWriter,
        ".parquet": _ParquetWriter,
    }
    try:
        return FileSink(columns, to, writers[to.suffix.lower()](to, columns))
    except OSError as error:
        raise PipelineError(f"{to} cannot be written: {error.strerror or error}.") from error


class FrameSink:
    """Keeps all results for a DataFrame; the rows of a table stay where they are, with their index."""

    is_file = False
    waiting = 0

    def __init__(self, columns: ResultColumns, frame: Any = None) -> None:
        self._columns = columns
        self._frame = frame
        self._done: dict[int, ResultRow] = {}

    def put(self, rows: Sequence[ResultRow]) -> None:
        for one in rows:
            self._done[one.position] = one

    def close(self) -> None:
        return

    def result(self) -> Any:
        """A DataFrame of the rows that are done, in their order."""
        import pandas

        done = dict(self._done)
        positions = sorted(done)
        results = [self._columns.cells(done[position]) for position in positions]
        if self._frame is None:
            made = pandas.DataFrame(index=positions)
            names = self._columns.names
        else:
            made = self._frame if len(positions) == len(self._frame) else self._frame.iloc[positions]
            made = made.copy()
            names = self._columns.names[len(self._columns.rows) :]
        for name in names:
            made[name] = _series([cells[name] for cells in results], made.index)
        return made


def _series(values: list[Any], index: Any) -> Any:
    """A column; whole numbers and truth values stay what they are beside missing ones."""
    import pandas

    kinds = {type(value) for value in values}
    if type(None) in kinds and len(kinds) == 2:
        dtype = "Int64" if int in kinds else "boolean" if bool in kinds else None
        if dtype is not None:
            return pandas.Series(values, index, dtype=dtype)
    return pandas.Series(values, index, dtype=object if kinds <= {type(None)} else None)


class _Writer(Protocol):
    """Writes rows to one file in one form."""

    def write(self, cells: Iterable[Mapping[str, Any]]) -> None: ...

    def close(self) -> None: ...


class FileSink:
    """Writes results to a file in the rows' order, as soon as those before them are there."""

    is_file = True

    def __init__(self, columns: ResultColumns, path: Path, writer: _Writer) -> None:
        self._columns = columns
        self._path = path
        self._writer = writer
        self._order: InOrder[ResultRow] = InOrder()
        self._is_closed = False

    @property
    def waiting(self) -> int:
        return len(self._order)

    def put(self, rows: Sequence[ResultRow]) -> None:
        ready = [done for one in rows for done in self._order.put(one.position, one)]
        if ready:
            self._writer.write(map(self._columns.cells, ready))

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._writer.write(map(self._columns.cells, self._order.rest()))
            self._writer.close()

    def result(self) -> Path:
        return self._path


class _TextFile:
    """A file of text, flushed with each group of rows: what it has can be looked at."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file: IO[str] = path.open("w", newline="", encoding="utf-8")

    def close(self) -> None:
        self.file.close()


class _CsvWriter(_TextFile):
    def __init__(self, path: Path, columns: ResultColumns) -> None:
        super().__init__(path)
        self._csv = csv.writer(self.file)
        self._csv.writerow(columns.names)

    def write(self, cells: Iterable[Mapping[str, Any]]) -> None:
        self._csv.writerows([_csv_cell(value) for value in one.values()] for one in cells)
        self.file.flush()


class _JsonlWriter(_TextFile):
    def __init__(self, path: Path, columns: ResultColumns) -> None:
        super().__init__(path)

    def write(self, cells: Iterable[Mapping[str, Any]]) -> None:
        self.file.writelines(f"{_json(dict(one))}\n" for one in cells)
        self.file.flush()


class _ParquetWriter:
    """The first group of rows decides the types of the columns; what Arrow has no type for is written as JSON."""

    def __init__(self, path: Path, columns: ResultColumns) -> None:
        try:
            import pyarrow
        except ImportError:
            raise ConfigurationError(
                "Parquet files need pyarrow.", "to", "pyarrow", "not installed", hint='pip install "dspex-lab[tables]"'
            ) from None
        self._arrow: Any = pyarrow
        self._columns = columns
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("wb").close()
        self._rows: list[dict[str, Any]] = []
        self._file: Any = None

    def write(self, cells: Iterable[Mapping[str, Any]]) -> None:
        self._rows += [{name: to_plain(value) for name, value in one.items()} for one in cells]
        while len(self._rows) >= _GROUP:
            self._write_group(self._rows[:_GROUP])
            del self._rows[:_GROUP]

    def close(self) -> None:
        if self._rows or self._file is None:
            self._write_group(self._rows)
            self._rows = []
        self._file.close()

    def _write_group(self, rows: list[dict[str, Any]]) -> None:
        from pyarrow.parquet import ParquetWriter

        if self._file is None:
            self._file = ParquetWriter(self._path, self._schema(rows))
        texts = [one.name for one in self._file.schema if self._arrow.types.is_string(one.type)]
        for row in rows:
            row.update({name: _json(row[name]) for name in texts if not isinstance(row[name], str | None)})
        try:
            self._file.write_table(self._arrow.Table.from_pylist(rows, schema=self._file.schema))
        except (self._arrow.ArrowInvalid, self._arrow.ArrowTypeError) as error:
            raise PipelineError(
                f"A column changes its type within the rows: {error}",
                hint="Write to a .jsonl file, which takes every value as it is.",
            ) from error

    def _schema(self, rows: list[dict[str, Any]]) -> Any:
        """As the rows have it; a column with no value yet is text."""
        return self._arrow.schema([(name, self._type([row[name] for row in rows])) for name in self._columns.names])

    def _type(self, values: list[Any]) -> Any:
        arrow = self._arrow
        try:
            kind = arrow.array(values).type
        except (arrow.ArrowInvalid, arrow.ArrowTypeError):
            return arrow.string()
        return arrow.string() if arrow.types.is_null(kind) or arrow.types.is_struct(kind) else kind


def _csv_cell(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    plain = to_plain(value)
    return plain if isinstance(plain, str | int | float) else _json(plain)


def _json(value: Any) -> str:
    return json.dumps(to_plain(value), ensure_ascii=False, default=str)
