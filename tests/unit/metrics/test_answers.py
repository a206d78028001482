"""The metrics on one pair: their definitions, and agreement with DSPy where that is promised."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_lab import metrics
from dspex_lab.metrics.answers import _longest_common_subsequence

words = st.sampled_from(
    ["the", "a", "An", "Paris", "paris,", "in", "à", "naïve", "x-y", "don't", "–", "42", "_", "the–end"]
)
texts = st.one_of(st.lists(words, max_size=12).map(" ".join), st.text(max_size=40))


@cache
def dspy_metrics() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what DSPy's own imports warn of is not this test's matter
        from dspy.evaluate import metrics as module
    return module


@settings(deadline=None, max_examples=400)
@given(texts, texts)
def test_f1_with_squad_normalisation_equals_dspys(prediction: str, reference: str) -> None:
    """The very same number as dspy.evaluate.metrics.f1_score, for any two texts."""
    assert metrics.f1_score(prediction, reference, normalization="squad") == dspy_metrics().f1_score(
        prediction, reference
    )


@settings(deadline=None, max_examples=400)
@given(texts, texts)
def test_exact_match_and_precision_with_squad_normalisation_equal_dspys(prediction: str, reference: str) -> None:
    """em_score and precision_score agree, too."""
    dspy = dspy_metrics()
    assert metrics.exact_match(prediction, reference, normalization="squad") == dspy.em_score(prediction, reference)
    assert metrics.precision(prediction, reference, normalization="squad") == dspy.precision_score(
        prediction, reference
    )


@settings(deadline=None, max_examples=200)
@given(st.lists(texts, max_size=3), st.lists(texts, min_size=1, max_size=2))
def test_passage_match_equals_dspys(passages: list[str], answers: list[str]) -> None:
    """As DSPy's, for answers that have a word at all."""
    from dspex_lab.metrics.text import passage_words

    wanted = [answer for answer in answers if passage_words(answer)]
    assert metrics.passage_match(passages, wanted) == dspy_metrics()._passage_match(passages, wanted)


@pytest.mark.parametrize(
    ("prediction", "reference", "score"),
    [
        ("Paris", "Paris", 1.0),
        ("  Paris\n", "Paris", 1.0),
        ("paris", "Paris", 0.0),
        ("", "", 1.0),
        (4, 4, 1.0),
        (4, "4", 0.0),
    ],
)
def test_exact_match_is_trimmed_and_nothing_else(prediction: Any, reference: Any, score: float) -> None:
    """Spaces around do not count; case does; values that are no text are compared as they are."""
    assert metrics.exact_match(prediction, reference) == score


@pytest.mark.parametrize(
    ("prediction", "reference", "f1", "precision", "recall"),
    [
        ("a b c", "a b c", 1.0, 1.0, 1.0),
        ("a a b", "a b b", 2 / 3, 2 / 3, 2 / 3),
        ("a", "a b", 2 / 3, 1.0, 0.5),
        ("a b", "c", 0.0, 0.0, 0.0),
        ("", "", 0.0, 0.0, 0.0),
        ("a", "", 0.0, 0.0, 0.0),
        ("", "a", 0.0, 0.0, 0.0),
    ],
)
def test_token_overlap(prediction: str, reference: str, f1: float, precision: float, recall: float) -> None:
    """F1, precision and recall count tokens as multisets; nothing to compare is 0.0."""
    assert metrics.f1_score(prediction, reference) == pytest.approx(f1)
    assert metrics.precision(prediction, reference) == pytest.approx(precision)
    assert metrics.recall(prediction, reference) == pytest.approx(recall)


def test_contains() -> None:
    """The trimmed reference stands in the prediction; an empty one does not."""
    assert metrics.contains("It is Paris, France.", " Paris ") == 1.0
    assert metrics.contains("It is paris", "Paris") == 0.0
    assert metrics.contains("It is the Paris!", "a paris", normalization="squad") == 1.0
    assert metrics.contains("anything", "  ") == 0.0


def test_rouge_l_on_the_papers_example() -> None:
    """Lin 2004: "police killed the gunman" against "police kill the gunman" and "the gunman kill police"."""
    assert metrics.rouge_l("police kill the gunman", "police killed the gunman") == pytest.approx(0.75)
    assert metrics.rouge_l("the gunman kill police", "police killed the gunman") == pytest.approx(0.5)
    assert metrics.rouge_l("", "") == 0.0


def slow_lcs(one: list[str], other: list[str]) -> int:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for row, left in enumerate(one, 1):
        for column, right in enumerate(other, 1):
            best = max(table[row - 1][column], table[row][column - 1])
            table[row][column] = table[row - 1][column - 1] + 1 if left == right else best
    return table[-1][-1]


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_the_fast_subsequence_equals_the_textbooks(one: list[str], other: list[str]) -> None:
    """The bit-parallel recurrence gives what the table gives."""
    assert _longest_common_subsequence(one, other) == slow_lcs(one, other)


def test_of_several_references_the_best_counts() -> None:
    """A list of references means any of them."""
    assert metrics.exact_match("Paris", ["Lyon", "Paris"]) == 1.0
    assert metrics.f1_score("a b", ["c", "a"]) == pytest.approx(2 / 3)
    assert metrics.f1_score("a b", []) == 0.0


@pytest.mark.parametrize(
    "name", ["exact_match", "f1_score", "precision", "recall", "contains", "rouge_l", "passage_match"]
)
@pytest.mark.parametrize("missing", [None, math.nan])
def test_what_is_missing_scores_nothing(name: str, missing: Any) -> None:
    """None and NaN, as an empty cell of a table gives them, score 0.0 on either side."""
    found = metrics.get(name)
    assert (found(missing, "x"), found("x", missing)) == (0.0, 0.0)


@given(texts, texts)
def test_every_score_lies_between_0_and_1(prediction: str, reference: str) -> None:
    """And a text that has a token agrees fully with itself."""
    for one in (
        metrics.exact_match,
        metrics.f1_score,
        metrics.precision,
        metrics.recall,
        metrics.contains,
        metrics.rouge_l,
    ):
        assert 0.0 <= one(prediction, reference) <= 1.0
    if prediction.split():
        assert metrics.f1_score(prediction, prediction) == 1.0


def test_an_unknown_normalisation_is_an_error() -> None:
    """A typing error does not silently mean "none"."""
    with pytest.raises(ValueError, match="'none' and 'squad'"):
        metrics.f1_score("a", "a", normalization="squda")
