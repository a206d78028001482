"""What travels: small values that hold their promises."""

from __future__ import annotations

import dataclasses
import re

import pytest

from dspex_lab.calls import Call, Code, LmSpec, Usage, new_id


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


def test_code_is_no_data() -> None:
    """Encoders take dataclasses for data; Code is none."""
    assert not dataclasses.is_dataclass(Code)
    assert repr(Code(1)) == "Code(1)"
