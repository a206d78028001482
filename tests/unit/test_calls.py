"""What travels: small values that hold their promises."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import pytest

from dspex_lab.calls import Call, Code, LmSpec, Needs, Usage, new_id
from dspex_lab.errors import ConfigurationError


def test_ids_have_the_form_of_trace_ids() -> None:
    """32 hexadecimal digits, and never the same twice."""
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)


def test_every_call_has_an_id_of_its_own() -> None:
    """Two calls that say the same are two calls."""
    assert Call("a.b").id != Call("a.b").id


def test_calls_are_frozen() -> None:
    """Nobody changes a call that is under way."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Call("a.b").op = "c.d"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("left", "right", "cost"), [(0.5, 0.25, 0.75), (None, 0.25, 0.25), (0.5, None, 0.5), (None, None, None)]
)
def test_usage_adds_up(left: float | None, right: float | None, cost: float | None) -> None:
    """Tokens and calls are sums; an unknown price adds nothing, and two stay unknown."""
    assert Usage(1, 2, left, 1) + Usage(10, 20, right, 1) == Usage(11, 22, cost, 2)


def test_the_key_of_a_model_is_not_shown() -> None:
    """An LmSpec's repr goes into logs; its key must not."""
    assert "sk-secret" not in repr(LmSpec("openai/x", api_key="sk-secret"))


@pytest.mark.parametrize(("model", "is_local"), [("local/x", True), ("openai/local/x", False), ("localx/y", False)])
def test_local_models_are_known_by_their_provider(model: str, *, is_local: bool) -> None:
    """``local/NAME`` and nothing else."""
    assert LmSpec(model).is_local is is_local


@pytest.mark.parametrize(
    "values",
    [
        {"pool": 5},
        {"op": None},
        {"id": 7},
        {"session": 7},
        {"timeout_s": "3"},
        {"timeout_s": True},
        {"timeout_s": math.nan},
        {"credit": 0},
        {"credit": 1.5},
        {"priority": "urgent"},
        {"detached": 1},
        {"stream": None},
    ],
    ids=str,
)
def test_a_call_that_cannot_be_sent_is_not_made(values: dict[str, Any]) -> None:
    """The error names what is wrong with it, where it is made."""
    (key,) = values
    with pytest.raises(ConfigurationError) as caught:
        Call(**{"op": "a.b", **values})
    assert caught.value.config_key == key


@pytest.mark.parametrize(
    "values",
    [{"labels": "gpu"}, {"labels": (1,)}, {"memory_mb": -1}, {"memory_mb": 1.5}, {"memory_mb": True}, {"gpu": 1}],
    ids=str,
)
def test_needs_that_no_pool_can_have_are_not_made(values: dict[str, Any]) -> None:
    """The error names the key."""
    (key,) = values
    with pytest.raises(ConfigurationError) as caught:
        Needs(**values)
    assert caught.value.config_key == key


def test_a_fault_can_be_told_whatever_it_is() -> None:
    """Also where the user's own object has no text."""

    class Mute:
        def __repr__(self) -> str:
            raise ValueError("no")

    with pytest.raises(ConfigurationError, match="<unprintable Mute>"):
        Call("a.b", pool=Mute())  # type: ignore[arg-type]


def test_code_is_no_data() -> None:
    """Encoders take dataclasses for data; Code is none."""
    assert not dataclasses.is_dataclass(Code)
    assert repr(Code(1)) == "Code(1)"
