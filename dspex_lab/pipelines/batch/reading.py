"""Rows on their way to a batch, on the thread that reads them: fitted, and looked for among those that are done."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from dspex_lab.errors import LabError
from dspex_lab.pipelines.batch.book import BatchBook, KeptRows
from dspex_lab.pipelines.batch.drive import KnownRows, PreparedRow
from dspex_lab.pipelines.batch.fitting import Fitting
from dspex_lab.pipelines.batch.keys import RowKeys
from dspex_lab.pipelines.batch.result_row import ResultRow
from dspex_lab.pipelines.batch.rows import Rows

__all__ = ["read_rows"]

#: Rows that are done go on together: so many, or those of so many seconds.
_TOGETHER, _TOGETHER_S = 256, 0.1


def read_rows(rows: Rows, fitting: Fitting, book: BatchBook | None) -> Iterator[PreparedRow | KnownRows]:
    """The rows as they are asked for. ``book`` None: none of them is known, and none is kept."""
    keys = RowKeys() if book is not None else None
    kept = book.kept_rows() if book is not None else None
    # The rows of a table stay where they are.
    is_carried = rows.frame is None
    known: list[ResultRow] = []
    began = 0.0
    try:
        for position, record in enumerate(rows.records):
            row = _prepared(position, record, fitting, keys, is_carried=is_carried)
            if (outputs := _outputs(row, kept)) is None:
                if known:
                    yield KnownRows(known)
                    known = []
                yield row
                continue
            began = time.monotonic() if not known else began
            known.append(ResultRow(position, row.row, outputs, is_reused=True))
            if len(known) >= _TOGETHER or time.monotonic() - began > _TOGETHER_S:
                yield KnownRows(known)
                known = []
        if known:
            yield KnownRows(known)
    finally:
        for one in (keys, kept, rows.records):
            if one is not None and hasattr(one, "close"):
                one.close()


def _prepared(
    position: int, record: Mapping[str, Any] | LabError, fitting: Fitting, keys: RowKeys | None, *, is_carried: bool
) -> PreparedRow:
    if isinstance(record, LabError):
        return PreparedRow(position, {}, record)
    inputs = fitting.inputs(record)
    key = None if keys is None or isinstance(inputs, LabError) else keys.key(inputs)
    return PreparedRow(position, record if is_carried else {}, inputs, key)


def _outputs(row: PreparedRow, kept: KeptRows | None) -> Mapping[str, Any] | None:
    return None if kept is None or row.key is None else kept.outputs(row.key)
