"""The call that has a local model loaded before it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from dspex_lab.calls import LmSpec
from dspex_lab.errors import ModelError
from dspex_lab.router import load_call
from dspex_lab.settings import PoolSpec, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "tiny.gguf").touch()
    return Settings.create(model_dir=tmp_path)


def test_a_local_model_is_loaded_where_it_is_asked(settings: Settings) -> None:
    """In the pool of local models, behind whoever waits there for an answer."""
    call = load_call(LmSpec("local/tiny"), settings)
    assert call is not None
    assert (call.op, call.args, call.pool, call.priority) == ("lm.load", {"model": "local/tiny"}, "neural", "batch")


def test_a_remote_model_costs_nothing(settings: Settings) -> None:
    """There is nothing to load."""
    assert load_call(LmSpec("openai/gpt-4o-mini"), settings) is None


def test_without_the_pool_nothing_is_loaded(settings: Settings) -> None:
    """A host may have other pools only."""
    assert load_call(LmSpec("local/tiny"), settings.model_copy(update={"pools": (PoolSpec(name="mine"),)})) is None


def test_a_model_that_is_not_there_starts_no_worker(settings: Settings) -> None:
    """Its error is the first question's to tell; here it ends the warming up."""
    with pytest.raises(ModelError, match="no local model"):
        load_call(LmSpec("local/other"), settings)
