"""pandas and Arrow tables as frames, in Arrow's IPC stream format; pyarrow is an extra and loaded when first needed.

Tables are values: attributes of a frame, and the frequency of an index, are not data and do not travel.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

from dspex_lab.errors import ProtocolError, ValidationError

__all__ = ["from_frame", "kind_of", "to_frame"]

_KINDS: Final = (
    ("pandas", "DataFrame", "frame"),
    ("pandas", "Series", "series"),
    ("pyarrow", "Table", "table"),
    ("pyarrow", "RecordBatch", "batch"),
)
#: A series travels as a table of one column, which must not be called what its index is called.
_COLUMN = "__series__"


def kind_of(value: Any) -> str | None:
    """Which kind of table ``value`` is; None when it is none. Loads nothing."""
    for module, name, kind in _KINDS:
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(value, getattr(loaded, name, ())):
            return kind
    return None


def to_frame(value: Any, kind: str) -> memoryview:
    """The table as one frame. A column that Arrow has no type for is a :class:`TypeError` that names it."""
    arrow = _arrow()
    try:
        table = _as_table(value, kind, arrow)
        # Measured first: a buffer that grows is copied three times over.
        measure = arrow.MockOutputStream()
        _write(table, measure, arrow)
        frame = arrow.allocate_buffer(measure.size())
        _write(table, arrow.FixedSizeBufferWriter(frame), arrow)
    except (arrow.ArrowException, ValueError, TypeError) as error:
        raise TypeError(f"a table that Arrow cannot hold ({'; '.join(map(str, error.args))})") from error
    return memoryview(frame).toreadonly()


def _write(table: Any, sink: Any, arrow: Any) -> None:
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _as_table(value: Any, kind: str, arrow: Any) -> Any:
    if kind == "batch":
        return arrow.Table.from_batches([value])
    if kind == "table":
        return value
    return arrow.Table.from_pandas(value.to_frame(_COLUMN) if kind == "series" else value)


def from_frame(frame: bytes | memoryview, kind: str, name: str | int | float | None) -> Any:
    """The table of ``frame``: an Arrow table is a view on it, pandas gets columns of its own where it may write."""
    arrow = _arrow()
    try:
        table = arrow.ipc.open_stream(arrow.py_buffer(frame)).read_all()
        # Offsets that point outside of the frame are found here, and not by whoever reads the table.
        table.validate(full=True)
        match kind:
            case "table" | "batch":
                return table
            case "frame":
                return table.to_pandas()
            case "series":
                return table.to_pandas()[_COLUMN].rename(name)
    except Exception as error:  # what Arrow and pandas say of bytes that are no table
        raise ProtocolError(f"A table that is none came in ({type(error).__name__}: {error}).") from error
    raise ProtocolError(f"A table of an unknown kind {kind!r} came in.")


def _arrow() -> Any:
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise ValidationError(
            "Tables travel only where pyarrow is installed.", hint="pip install 'dspex-lab[tables]'"
        ) from error
