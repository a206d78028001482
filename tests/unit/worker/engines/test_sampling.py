"""The choice of the next token, option by option."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from dspex_lab.worker.engines.sampling import Sampler, SamplingOptions

LOGITS = (1.0, 3.0, 2.5, -1.0)


def chosen(count: int = 200, *, prompt: Sequence[int] = (), **options: Any) -> list[int]:
    """What ``count`` draws over the same logits choose."""
    sampler = Sampler(SamplingOptions.from_body(options), prompt)
    return [sampler.choose(np.array(LOGITS, dtype=np.float32)) for _ in range(count)]


def test_no_temperature_takes_the_likeliest() -> None:
    """Without heat there is no chance."""
    assert set(chosen(temperature=0.0)) == {1}


def test_heat_lets_others_through() -> None:
    """With heat every token comes, the likelier ones more often."""
    counts = np.bincount(chosen(2000, temperature=1.0, seed=1), minlength=4)
    assert list(np.argsort(-counts)) == [1, 2, 0, 3]
    assert counts.min() > 0


@pytest.mark.parametrize(
    ("options", "possible"),
    [
        ({"top_k": 1}, {1}),
        ({"top_k": 2}, {1, 2}),
        ({"top_p": 0.5}, {1}),
        ({"top_p": 0.6}, {1, 2}),
        ({"min_p": 0.5}, {1, 2}),
    ],
)
def test_the_tail_is_cut(options: dict[str, Any], possible: set[int]) -> None:
    """``top_k``, ``top_p`` and ``min_p`` leave the likeliest tokens, one at least."""
    assert set(chosen(temperature=1.0, seed=1, **options)) == possible


def test_a_seed_repeats_the_choice() -> None:
    """The same seed chooses the same tokens, another seed others."""
    assert chosen(temperature=1.0, seed=7) == chosen(temperature=1.0, seed=7)
    assert chosen(temperature=1.0, seed=7) != chosen(temperature=1.0, seed=8)


def test_what_is_not_allowed_is_not_chosen() -> None:
    """The mask holds with and without heat."""
    allowed = np.array([True, False, False, True])
    for options in (SamplingOptions(), SamplingOptions(temperature=1.0, seed=1)):
        sampler = Sampler(options, ())
        found = {sampler.choose(np.array(LOGITS, dtype=np.float32), allowed) for _ in range(200)}
        assert found <= {0, 3}


def test_repetition_is_penalized() -> None:
    """What the prompt or the answer holds becomes less likely."""
    assert chosen(1, prompt=[1], repeat_penalty=1.5) == [2]
    assert chosen(2, repeat_penalty=1.5) == [1, 2]


def test_frequency_counts_and_presence_does_not() -> None:
    """A frequency penalty grows with each use, a presence penalty comes once."""
    assert chosen(4, frequency_penalty=0.3) == [1, 1, 2, 1]
    assert chosen(4, presence_penalty=0.3) == [1, 1, 1, 1]
    assert chosen(2, presence_penalty=0.6) == [1, 2]


def test_what_is_none_is_left_to_its_default() -> None:
    """A body names its options as OpenAI does, and may leave each out."""
    assert SamplingOptions.from_body({"temperature": None, "top_p": 0.5, "messages": []}) == SamplingOptions(top_p=0.5)


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.95, 0.999])
def test_a_long_vocabulary_is_drawn_from_as_if_all_of_it_were_sorted(top_p: float) -> None:
    """Sorting the likeliest tokens only changes no draw: flat logits and peaked ones, whatever ``top_p`` asks for."""
    for width in (0.01, 4.0):
        logits = np.random.default_rng(7).normal(0.0, width, 5_000).astype(np.float32)
        order = np.argsort(-logits, kind="stable")
        shares = np.exp((logits[order] - logits[order[0]]).astype(np.float64))
        shares /= shares.sum()
        nucleus = set(order[np.cumsum(shares) - shares < top_p].tolist())
        sampler = Sampler(SamplingOptions(temperature=2.0, top_p=top_p, seed=3), [])
        drawn = {sampler.choose(logits.copy()) for _ in range(200)}
        assert drawn <= nucleus
        assert len(drawn) >= min(len(nucleus), 2)
