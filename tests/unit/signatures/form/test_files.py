"""Files that are given for fields: tables in their formats, pictures, bytes, lines."""

from __future__ import annotations

import base64
import io
from typing import Any

import pandas as pd
import pytest

from dspex_lab.errors import ValidationError
from dspex_lab.signatures import Uploaded, compile_signature, describe_file, form_fields, values_of_form
from dspex_lab.signatures.form.files import value_of_file

ROWS = [{"name": "pen", "count": 2}, {"name": "ink", "count": None}]


def parquet() -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(ROWS).to_parquet(buffer)
    return buffer.getvalue()


FILES = {
    "a.csv": b"\xef\xbb\xbfname,count\npen,2\nink,\n",
    "a.tsv": b"name\tcount\npen\t2\nink\t\n",
    "a.json": b'[{"name": "pen", "count": 2}, {"name": "ink", "count": null}]',
    "A.JSONL": b'{"name": "pen", "count": 2}\n\n{"name": "ink", "count": null}\n',
    "a.parquet": parquet(),
}


@pytest.mark.parametrize("name", list(FILES))
def test_a_table_becomes_rows(name: str) -> None:
    """The same rows out of every format; what is missing is None."""
    assert value_of_file("rows", Uploaded(name, "", FILES[name])) == ROWS


@pytest.mark.parametrize("name", list(FILES))
def test_a_table_becomes_a_frame(name: str) -> None:
    """With its columns, and a word about what is in it."""
    file = Uploaded(name, "", FILES[name])
    frame = value_of_file("frame", file)
    assert (list(frame.columns), len(frame)) == (["name", "count"], 2)
    assert describe_file("frame", file) == "2 rows × 2 columns: name, count"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.png", b"", "none of these"),
        ("a.csv", b"\xff\xfe\x00", "no text in UTF-8"),
        ("a.csv", b"", "cannot be read"),
        ("a.json", b"{", "is no JSON"),
        ("a.json", b"{}", "list of objects"),
        ("a.jsonl", b"[1]", "list of objects"),
        ("a.parquet", b"PAR", "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_told(name: str, data: bytes, words: str) -> None:
    """In a sentence, whichever reader found it."""
    with pytest.raises(ValueError, match=words):
        value_of_file("rows", Uploaded(name, "", data))


def test_pictures_sounds_and_documents_are_what_dspy_takes() -> None:
    """A data address; a document has its name too. Bytes are bytes, lines are lines."""
    file = Uploaded("a.png", "image/png", b"\x89PNG")
    address = f"data:image/png;base64,{base64.b64encode(file.data).decode()}"
    assert value_of_file("Image", file) == address
    assert value_of_file("Audio", file) == address
    assert value_of_file("File", file) == {"file_data": address, "filename": "a.png"}
    assert value_of_file("bytes", file) == b"\x89PNG"
    assert value_of_file("text", Uploaded("a.txt", "", b"a\n\n b \n")) == ["a", "b"]


def kinds(text: str) -> dict[str, tuple[str, str]]:
    fields = form_fields(compile_signature(f"{text} -> y").inputs)
    return {one.name: (one.kind, one.file_form) for one in fields}


def test_the_types_that_take_files() -> None:
    """DSPy's own, bytes, tables and lists of text."""
    assert kinds("a: dspy.Image, b: dspy.Audio | None, c: dspy.File, d: bytes, e: list[dict], f: list[str]") == {
        "a": ("file", "Image"),
        "b": ("file", "Audio"),
        "c": ("file", "File"),
        "d": ("file", "bytes"),
        "e": ("table", "rows"),
        "f": ("lines", "text"),
    }


def test_rows_may_be_written_as_json() -> None:
    """A table is edited where there is no file."""
    fields = form_fields(compile_signature("rows: list[dict[str, int]] -> y").inputs)
    assert fields[0].example == '[{"…": 0}]'
    assert values_of_form(fields, {"rows": '[{"a": 1}]'}) == {"rows": [{"a": 1}]}
    assert values_of_form(fields, {"rows": Uploaded("a.csv", "", b"a\n1\n")}) == {"rows": [{"a": 1}]}


def test_all_that_cannot_be_read_is_told() -> None:
    """One entry for each field."""
    fields = form_fields(compile_signature("rows: list[dict], more: dict[str, int] -> y").inputs)
    with pytest.raises(ValidationError) as caught:
        values_of_form(fields, {"rows": Uploaded("a.png", "", b""), "more": "{"})
    assert [one["field"] for one in caught.value.errors] == ["rows", "more"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x: list[Literal['a', 'b']]", "many"),
        ("x: datetime.date", "date"),
        ("x: datetime.datetime | None", "datetime"),
        ("x: datetime.time", "time"),
        ("x: tuple[int, str]", "json"),
    ],
)
def test_more_kinds(text: str, kind: str) -> None:
    """Any number of choices, and moments."""
    assert form_fields(compile_signature(f"{text} -> y").inputs)[0].kind == kind


def test_a_value_that_nobody_types_is_held() -> None:
    """A frame and a long list are given in Python: the form says what they are."""
    fields = compile_signature("a: list[int], b: list[dict], c: bytes, d: dict[str, int] -> y").inputs
    default: dict[str, Any] = {"a": list(range(10_000)), "b": ROWS, "c": b"x", "d": {"a": 1}}
    found = {one.name: (one.held, one.default) for one in form_fields(fields, default)}
    assert found["a"] == ("list of 10000, given in Python", None)
    assert found["b"] == ("", ROWS)
    assert found["c"] == ("bytes, given in Python", None)
    assert found["d"] == ("", {"a": 1})
