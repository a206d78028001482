"""Values as bytes and back; code in one direction only."""

from __future__ import annotations

import dataclasses
import enum
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cloudpickle
import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from dspex_lab.calls import Code, LmRequest, LmSpec
from dspex_lab.errors import ProtocolError, ValidationError
from dspex_lab.wire.codec import decode, encode

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
arrays = stn.arrays(dtype=stn.scalar_dtypes(), shape=stn.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))


class Colour(enum.Enum):
    RED = "red"


class Ticket(pydantic.BaseModel):
    text: str
    colour: Colour


@dataclasses.dataclass(frozen=True)
class Pair:
    left: int
    right: Any


@given(plain)
def test_plain_data_comes_back_as_it_was(value: object) -> None:
    """decode() is the inverse of encode() for text, bytes, numbers, lists and dicts."""
    assert decode(encode(value)) == value


@given(arrays)
def test_arrays_come_back_as_they_were(array: np.ndarray[Any, Any]) -> None:
    """Shape, dtype and every bit of an array survive, in a frame of its own."""
    frames = encode({"data": [array]})
    (copy,) = decode(frames)["data"]
    assert len(frames) == 2
    assert (copy.dtype, copy.shape, copy.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_many_arrays_find_their_own_frames() -> None:
    """Arrays inside one value are not mixed up, whatever their order in memory."""
    value = {"a": np.arange(6).reshape(2, 3).T, "b": [np.array([1.5], dtype=np.float32), np.zeros((0, 3))]}
    back = decode(encode(value))
    assert np.array_equal(back["a"], value["a"])  # type: ignore[arg-type]
    assert [one.shape for one in back["b"]] == [(1,), (0, 3)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Pair(1, Pair(2, None)), {"left": 1, "right": {"left": 2, "right": None}}),
        (Ticket(text="a", colour=Colour.RED), {"text": "a", "colour": "red"}),
        ((1, (2,)), [1, [2]]),
        (frozenset({5}), [5]),
        (np.float32(1.5), 1.5),
        (np.bool_(True), True),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Colour.RED, "red"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_become_plain_data(value: object, expected: object) -> None:
    """Dataclasses, models, tuples, sets, enums and numpy's numbers arrive as plain data."""
    assert decode(encode(value)) == expected


def test_a_request_to_a_model_travels() -> None:
    """The house's own values are dataclasses, nested ones too."""
    request = LmRequest(LmSpec("local/x"), ({"role": "user", "content": "hi"},))
    assert decode(encode(request))["lm"]["model"] == "local/x"


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, object()},
        lambda: None,
        Ticket,
        2**64,
        1j,
        "\ud800",
        {"\udcff": 1},
        np.array([object()]),
        np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
        np.ma.masked_array([1, 2], mask=[True, False]),
        Code(name for name in "ab"),
    ],
    ids=repr,
)
def test_what_cannot_travel_is_a_validation_error(value: object) -> None:
    """Nothing is sent by guess: not a type, not an integer too large, not an array whose meaning would be lost."""
    with pytest.raises(ValidationError) as caught:
        encode({"value": value})
    assert caught.value.hint


def test_a_value_inside_itself_is_a_validation_error() -> None:
    """A list that holds itself ends in an error and not in the stack."""
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValidationError):
        encode(endless)


# --- code ---------------------------------------------------------------------------------------------------------


def test_code_reaches_who_may_have_it() -> None:
    """A closure arrives with what it closed over, where code is allowed."""
    number = 40
    back = decode(encode({"function": Code(lambda more: number + more)}), allow_code=True)
    assert back["function"](2) == 42


class _Bomb:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("depth", [0, 3])
def test_code_in_a_result_is_never_unpickled(tmp_path: Path, depth: int) -> None:
    """An attack: where only data may come, code is a ProtocolError and runs nothing, however deep it lies."""
    mark = tmp_path / "mark"
    value: Any = msgspec.msgpack.Ext(1, pickle.dumps(_Bomb(mark)))
    for _ in range(depth):
        value = {"inner": [value]}
    with pytest.raises(ProtocolError):
        decode([msgspec.msgpack.encode(value)])
    assert not mark.exists()


def test_the_bomb_would_go_off(tmp_path: Path) -> None:
    """The attack above is a real one: the same bytes run where code is allowed."""
    mark = tmp_path / "mark"
    decode([msgspec.msgpack.encode(msgspec.msgpack.Ext(1, pickle.dumps(_Bomb(mark))))], allow_code=True)
    assert mark.exists()


def test_code_that_cannot_be_loaded_is_a_validation_error() -> None:
    """Bytes that are no pickle, and functions of modules that are not there, are told with a hint."""
    for data in (b"garbage", cloudpickle.dumps(os.getcwd).replace(b"posix", b"nosix")):
        with pytest.raises(ValidationError, match="cannot be loaded"):
            decode([msgspec.msgpack.encode(msgspec.msgpack.Ext(1, data))], allow_code=True)


# --- bad bytes ----------------------------------------------------------------------------------------------------


def ext(code: int, value: object) -> bytes:
    return msgspec.msgpack.encode(msgspec.msgpack.Ext(code, msgspec.msgpack.encode(value)))


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([], id="no frames"),
        pytest.param([b""], id="an empty frame"),
        pytest.param([b"\xc1"], id="no msgpack"),
        pytest.param([b"\x91" * 100_000], id="without end"),
        pytest.param([ext(9, 1)], id="an unknown extension"),
        pytest.param([ext(2, 1)], id="an array that is a number"),
        pytest.param([ext(2, ["f4", [1], 1])], id="an array without its frame"),
        pytest.param([ext(2, ["f4", [2], 1]), b"1234"], id="an array with too few bytes"),
        pytest.param([ext(2, ["no such type", [1], 1]), b"1234"], id="an array of an unknown type"),
        pytest.param([ext(2, ["O", [1], 1]), b"12345678"], id="an array of objects"),
        pytest.param([ext(2, ["i4,(", [1], 1]), b"1234"], id="a type that does not parse"),
        pytest.param([ext(2, ["f4", [1], -1]), b"1234"], id="a frame from the end"),
        pytest.param([ext(2, ["f4", [1], 0]), b"1234"], id="the header as an array"),
        pytest.param([ext(2, ["f4", [-1], 1]), b"1234"], id="a shape to be guessed"),
    ],
)
def test_bad_bytes_are_a_protocol_error(frames: list[bytes]) -> None:
    """Bytes that are no value are an error, never a guess."""
    with pytest.raises(ProtocolError):
        decode(frames)


@given(st.lists(st.binary(max_size=100), max_size=3))
def test_garbage_raises_nothing_else(frames: list[bytes]) -> None:
    """Whatever comes in, it is a value or a ProtocolError."""
    try:
        decode(frames)
    except ProtocolError:
        return


class _Silent:
    """Nothing can be asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __reduce__(self) -> str:
        raise _SilentError


class _SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class _Broken:
    def model_dump(self) -> dict[str, object]:
        raise _SilentError


@pytest.mark.parametrize("value", [Code(_Silent()), _Broken()], ids=["code", "model"])
def test_whatever_a_values_own_code_raises_is_a_validation_error(value: object) -> None:
    """Pickling, dumping and showing it run the user's own code."""
    with pytest.raises(ValidationError, match="unprintable"):
        encode(value)
