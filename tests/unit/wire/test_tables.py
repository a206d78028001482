"""Tables as Arrow frames and back."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.pandas import column, columns, data_frames, range_indexes

from dspex_lab.errors import ProtocolError, ValidationError
from dspex_lab.wire.codec import decode, encode

frames = data_frames(
    [
        column("whole", dtype=int),
        column("real", dtype=float),
        column("flag", dtype=bool),
        column("text", elements=st.text(st.characters(codec="utf-8"), max_size=5)),
        column("day", dtype="datetime64[ns]"),
    ],
    index=range_indexes(max_size=6),
) | data_frames(columns(["a", "b"], dtype="float32"))


@given(frames)
def test_frames_come_back_as_they_were(frame: pd.DataFrame) -> None:
    """Columns, their types, the index and every value survive."""
    pd.testing.assert_frame_equal(decode(encode({"rows": [frame]}))["rows"][0], frame, check_column_type=False)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(["x", "y"], name="key"),
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", None]),
        pd.date_range("2026-01-01", periods=2, tz="Europe/Berlin", freq="D"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_index_comes_back(index: pd.Index[Any]) -> None:
    """Names, levels and time zones of an index are data."""
    frame = pd.DataFrame({"value": [1.5, None]}, index=index)
    pd.testing.assert_frame_equal(decode(encode(frame)), frame, check_freq=False)


@pytest.mark.parametrize("name", ["length", 7, None])
def test_a_series_comes_back_with_its_name(name: str | int | None) -> None:
    """A series is a series again, called what it was called."""
    series = pd.Series([3, 1, 2], index=["c", "a", "b"], name=name)
    pd.testing.assert_series_equal(decode(encode(series)), series)


def test_an_arrow_table_comes_back() -> None:
    """Nested columns, nulls and dictionaries survive; a batch arrives as a table."""
    table = pa.table({"list": [[1], None, []], "word": pa.array(["a", "b", "a"]).dictionary_encode()})
    assert decode(encode(table)).equals(table)
    assert decode(encode(table.to_batches()[0])).equals(table)


def test_an_arrow_table_is_a_view_on_its_frame() -> None:
    """Nothing is copied when a table is read."""
    header, frame = encode(pa.table({"a": pa.array(range(1000), pa.int64())}))
    own = bytearray(frame)
    table = decode([header, memoryview(own)])
    own[own.index((7).to_bytes(8, "little"))] = 8
    assert table["a"][7].as_py() == 8


def test_a_frame_that_arrived_can_be_written() -> None:
    """It is the reader's own."""
    frame = decode(encode(pd.DataFrame({"a": [1.0, 2.0]})))
    frame.loc[0, "a"] = 5.0
    assert frame["a"].tolist() == [5.0, 2.0]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (pd.DataFrame({"mixed": [1, "x"]}), "mixed"),
        (pd.DataFrame({"things": [object()]}), "things"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "a"),
        (pd.Series([1], name=("a", "b")), "name"),
    ],
    ids=str,
)
def test_a_table_that_cannot_travel_says_why(value: object, words: str) -> None:
    """What Arrow has no form for is a ValidationError that names the column."""
    with pytest.raises(ValidationError, match=words):
        encode(value)


def test_without_pyarrow_the_line_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending and receiving a table say what is missing."""
    value = pd.DataFrame({"a": [1]})
    sent = encode(value)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for attempt in (lambda: encode(value), lambda: decode(sent)):
        with pytest.raises(ValidationError) as caught:
            attempt()
        assert "dspex-lab[tables]" in str(caught.value.hint)


def ext(value: object) -> bytes:
    return msgspec.msgpack.encode(msgspec.msgpack.Ext(4, msgspec.msgpack.encode(value)))


GOOD = bytes(encode(pd.DataFrame({"text": ["one", "two"]}))[1])


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([ext(1)], id="a table that is a number"),
        pytest.param([ext(["frame", 1, None])], id="without its frame"),
        pytest.param([ext(["frame", 1, None]), b""], id="an empty frame"),
        pytest.param([ext(["frame", 1, None]), b"garbage"], id="garbage"),
        pytest.param([ext(["frame", 1, None]), GOOD[: len(GOOD) // 2]], id="a half"),
        pytest.param([ext(["series", 1, None]), GOOD], id="a series that is a frame"),
        pytest.param([ext(["no such kind", 1, None]), GOOD], id="an unknown kind"),
    ],
)
def test_bad_bytes_are_a_protocol_error(frames: list[bytes]) -> None:
    """Bytes that are no table are an error, never a guess."""
    with pytest.raises(ProtocolError):
        decode(frames)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_table_with_a_wrong_byte_raises_nothing_else(position: int, byte: int) -> None:
    """Whatever byte is wrong, it is a table or a ProtocolError, and no memory outside of the frame is read."""
    data = bytearray(GOOD)
    data[position] = byte
    try:
        repr(decode([ext(["frame", 1, None]), bytes(data)]))
    except ProtocolError:
        return
