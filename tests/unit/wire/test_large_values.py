"""Large bytes and unusual arrays: frames of their own, and nobody else's memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from dspex_lab.wire.codec import decode, encode

LARGE = bytes(range(256)) * 1024

#: Small or large, at any depth.
values = st.recursive(
    st.none() | st.integers(0, 9) | st.sampled_from([b"", b"small", LARGE, LARGE[1:]]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4),
    max_leaves=30,
)
arrays = stn.arrays(
    dtype=stn.scalar_dtypes(),
    shape=stn.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@given(values)
def test_large_bytes_come_back_where_they_were(value: object) -> None:
    """decode() is the inverse of encode() wherever large bytes lie."""
    assert decode(encode(value)) == value


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_large_bytes_are_not_copied_into_the_header(kind: Any) -> None:
    """They have a frame of their own, which is the very memory of the sender; they arrive as bytes."""
    value = kind(LARGE)
    header, frame = encode({"list": [{"raw": value}]})
    assert len(header) < 100
    assert np.shares_memory(np.frombuffer(frame, np.uint8), np.frombuffer(value, np.uint8))
    assert decode([header, frame]) == {"list": [{"raw": LARGE}]}
    assert type(decode([header, frame])["list"][0]["raw"]) is bytes


def test_strided_bytes_travel_too() -> None:
    """A view with gaps arrives as the bytes that it shows, large or small."""
    for value in (LARGE, b"small"):
        assert decode(encode([memoryview(value)[::2]])) == [value[::2]]


def test_looking_for_large_bytes_has_a_bound() -> None:
    """Among many values, and very deep, bytes travel inside of the header: looking costs every call."""
    many: object = [LARGE, *range(1000)]
    deep: object = LARGE
    for _ in range(20):
        deep = [deep]
    for value in (many, deep):
        assert len(encode(value)) == 1
        assert decode(encode(value)) == value


def test_what_was_looked_through_is_left_as_it_was() -> None:
    """The sender's own lists and dicts are not changed."""
    value = {"a": [LARGE], "b": (LARGE,)}
    encode(value)
    assert value == {"a": [LARGE], "b": (LARGE,)}


@given(array=arrays, is_swapped=st.booleans(), is_transposed=st.booleans())
def test_any_array_comes_back(*, array: np.ndarray[Any, Any], is_swapped: bool, is_transposed: bool) -> None:
    """Byte order, shape and values survive, of arrays without dimensions, without elements and out of order too."""
    if is_swapped:
        array = array.astype(array.dtype.newbyteorder())
    if is_transposed:
        array = array.T
    copy = decode(encode(array))
    assert (copy.dtype, copy.shape, copy.tobytes()) == (array.dtype, array.shape, array.tobytes())


@pytest.mark.parametrize("step", [2, -1])
def test_an_array_with_gaps_comes_back(step: int) -> None:
    """Strides are the sender's business."""
    array = np.arange(24).reshape(4, 6)[:, ::step]
    assert np.array_equal(decode(encode(array)), array)


@pytest.mark.parametrize("scalar", [np.datetime64("2026-11-22", "ns"), np.timedelta64(3, "s"), np.complex64(1 + 2j)])
def test_scalars_that_are_no_plain_numbers_keep_their_type(scalar: Any) -> None:
    """Nothing turns into a number of nanoseconds: they arrive as arrays without dimensions."""
    copy = decode(encode(scalar))
    assert (copy.dtype, copy.shape, copy[()]) == (scalar.dtype, (), scalar)


def test_an_array_that_arrives_is_its_readers_own() -> None:
    """It can be written, and the sender's, in the same process even, stays as it was."""
    array = np.zeros(4)
    copy = decode(encode(array))
    copy += 1
    assert (array.tolist(), copy.tolist()) == ([0.0] * 4, [1.0] * 4)


def test_a_large_array_is_not_copied_on_the_way_out() -> None:
    """Its frame is the very memory of the array."""
    array = np.arange(100_000.0)
    assert np.shares_memory(array, np.frombuffer(encode(array)[1], np.uint8))
