"""What a file becomes that was given for a field: rows, a DataFrame, text, bytes, or what DSPy's types are made of.

Pure, but for pandas, which is imported when a table is read. Each fault is a ``ValueError`` with a sentence for people.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from dspex_lab.signatures.form.form_field import Uploaded

__all__ = ["describe_file", "frame_of_rows", "value_of_file"]

_SHOWN_COLUMNS = 8


def value_of_file(form: str, file: Uploaded) -> Any:
    """The value of a field whose ``file_form`` is ``form``. Raises ``ValueError``."""
    if form == "frame":
        return _frame(file)
    if form == "rows":
        return _rows(file)
    if form == "bytes":
        return file.data
    if form == "text":
        return [line.strip() for line in _text(file).splitlines() if line.strip()]
    address = f"data:{file.media_type or 'application/octet-stream'};base64,{base64.b64encode(file.data).decode()}"
    return {"file_data": address, "filename": file.name} if form == "File" else address


def describe_file(form: str, file: Uploaded) -> str:
    """What there is in the file, in a few words. Raises ``ValueError`` where it cannot be read."""
    if form not in ("frame", "rows"):
        return f"{len(value_of_file(form, file)):,} lines" if form == "text" else ""
    frame = _frame(file)
    names = [str(name) for name in frame.columns]
    more = f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    rows = f"{len(frame):,} row{'' if len(frame) == 1 else 's'}"
    return f"{rows} × {len(names)} column{'' if len(names) == 1 else 's'}: {', '.join(names[:_SHOWN_COLUMNS])}{more}"


def frame_of_rows(rows: Any) -> Any:
    """A DataFrame of a list of objects. Raises ``ValueError``."""
    import pandas as pd

    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError('A table is a list of objects, as in [{"name": "Ada"}]')
    return pd.DataFrame(rows)


def _frame(file: Uploaded) -> Any:
    suffix = PurePath(file.name).suffix.lower()
    read = _READERS.get(suffix)
    if read is None:
        raise ValueError(f"A table comes as {', '.join(_READERS)}; {file.name} is none of these")
    try:
        return read(file)
    except ImportError:
        raise ValueError("Parquet needs pyarrow: pip install 'dspex-lab[tables]'") from None
    except Exception as error:  # whatever pandas and its readers find wrong is the file's fault
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{file.name} cannot be read: {first or type(error).__name__}") from None


def _rows(file: Uploaded) -> list[dict[str, Any]]:
    """The rows of a table as plain data; what is missing is None."""
    if PurePath(file.name).suffix.lower() == ".json":
        return [dict(row) for row in _json_rows(file)]
    rows: list[dict[str, Any]] = json.loads(_frame(file).to_json(orient="records", date_format="iso"))
    return rows


def _text(file: Uploaded) -> str:
    try:
        return file.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file.name} is no text in UTF-8") from None


def _json_rows(file: Uploaded) -> list[Mapping[str, Any]]:
    try:
        found = json.loads(_text(file))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file.name} is no JSON: {error}") from None
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise ValueError(f"{file.name} is to hold a list of objects, one for each row")
    return found


def _csv(file: Uploaded, separator: str = ",") -> Any:
    import pandas as pd

    return pd.read_csv(io.StringIO(_text(file)), sep=separator)


def _jsonl(file: Uploaded) -> Any:
    return frame_of_rows([json.loads(line) for line in _text(file).splitlines() if line.strip()])


def _parquet(file: Uploaded) -> Any:
    import pandas as pd

    return pd.read_parquet(io.BytesIO(file.data))


_READERS: Mapping[str, Callable[[Uploaded], Any]] = {
    ".csv": _csv,
    ".tsv": lambda file: _csv(file, "\t"),
    ".json": lambda file: frame_of_rows(_json_rows(file)),
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}
