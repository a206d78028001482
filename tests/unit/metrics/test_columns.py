"""Metrics on columns, and the registry for the user's own."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_lab import metrics
from dspex_lab.errors import ConfigurationError, ValidationError
from dspex_lab.metrics import MetricRegistry


def test_lists_give_a_list() -> None:
    """One score for each row."""
    assert metrics.exact_match.columns(["a", "b"], ["a", "c"]) == [1.0, 0.0]


def test_a_series_gives_a_series_with_its_index() -> None:
    """The scores go straight back into the table; rows are paired by position."""
    table = pd.DataFrame({"answer": ["a b", "c", None], "gold": ["a b", "d", "e"]}, index=["x", "y", "z"])
    scores = metrics.f1_score.columns(table["answer"], table["gold"].reset_index(drop=True))
    pd.testing.assert_series_equal(scores, pd.Series([1.0, 0.0, 0.0], index=["x", "y", "z"], name="f1_score"))


def test_a_row_may_have_several_references() -> None:
    """A cell that is a list means any of them."""
    assert metrics.exact_match.columns(pd.Series(["a"]), pd.Series([["b", "a"]])).tolist() == [1.0]


def test_options_reach_every_row() -> None:
    """Normalisation holds for the whole column."""
    assert metrics.exact_match.columns(["The Paris!"], ["paris"], normalization="squad") == [1.0]


words = st.sampled_from(
    [
        "the",
        "A",
        "an",
        "x.",
        "y",
        "y",
        "à",
        "–a",
        "naïve",
        "\x1f",
        "_",
        "Σ",
        "ΑΣ",
        "the–end",
        "\ud800",
        "capital",
        "capitals",
        "capitalise",
        "naïveté",
        "ééé",
        "éééé",
        "ééééé",
    ]
)
rows = st.lists(st.tuples(*[st.lists(words, max_size=8).map(" ".join) | st.text(max_size=12)] * 2), min_size=1)


@settings(deadline=None)
@given(rows, st.sampled_from(["none", "squad"]), st.sampled_from(["f1_score", "precision", "recall"]))
def test_long_columns_give_the_same_as_pair_by_pair(
    drawn: list[tuple[str, str]], normalization: str, name: str
) -> None:
    """The quick way for columns and the way for one pair give the very same numbers, whatever the texts."""
    metric = metrics.get(name)
    pairs = (drawn * 256)[:256]
    predictions, references = [one for one, _ in pairs], [other for _, other in pairs]
    assert metric.columns(predictions, references, normalization=normalization) == [
        metric(one, other, normalization=normalization) for one, other in pairs
    ]


def test_the_mean_of_no_rows_is_zero() -> None:
    """mean() of an empty column divides by nothing."""
    assert metrics.f1_score.mean([], []) == 0.0
    assert metrics.exact_match.mean(["a", "b"], ["a", "c"]) == 0.5


def test_columns_of_different_lengths_are_an_error() -> None:
    """Nothing is cut off in silence."""
    with pytest.raises(ValidationError, match="2 predictions and 1 references"):
        metrics.f1_score.columns(["a", "b"], ["a"])


def test_a_users_metric_is_one_like_any_other() -> None:
    """Registered by a decorator: found by name, usable on pairs and columns; a bool is a score."""
    registry = MetricRegistry()

    @registry.metric("same_length")
    def same_length(prediction: str, reference: str) -> bool:
        return len(prediction) == len(reference)

    assert registry.get("same_length") is same_length
    assert same_length.columns(["ab", "abc"], ["xy", "xy"]) == [1.0, 0.0]
    assert repr(registry) == "<MetricRegistry [same_length]>"


def test_a_cell_may_be_run_again_but_no_name_be_taken() -> None:
    """The same function may be registered again; another one under the same name is an error."""
    registry = MetricRegistry()

    def mine(prediction: str, reference: str) -> float:
        return 1.0

    registry.register("mine", mine)
    registry.register("mine", mine)
    with pytest.raises(ConfigurationError, match="already"):
        registry.register("mine", lambda prediction, reference: 0.0)


def test_an_unknown_metric_names_the_nearest() -> None:
    """A typing error gets a hint."""
    with pytest.raises(ConfigurationError, match="Did you mean 'f1_score'"):
        metrics.get("f1_scor")


def test_importing_the_room_loads_nothing_heavy() -> None:
    """Neither pandas nor DSPy nor regex come with the import."""
    code = "import sys, dspex_lab.metrics; assert not {'pandas', 'numpy', 'dspy', 'regex'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
