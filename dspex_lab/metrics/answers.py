"""The metrics of the house: how well an answer agrees with its reference, each from 0.0 to 1.0.

Pure functions of two texts. ``Metric`` adds columns, several references, and missing values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dspex_lab.metrics.metric import Metric, MetricRegistry
from dspex_lab.metrics.overlap import f1_rows, precision_rows, recall_rows
from dspex_lab.metrics.text import Normalization, passage_words, rouge_tokens, text_of, tokens_of

__all__ = [
    "contains",
    "exact_match",
    "f1_score",
    "get",
    "metric",
    "passage_match",
    "precision",
    "recall",
    "registry",
    "rouge_l",
]

#: Every metric by name; ``metric`` and ``get`` are its own.
registry = MetricRegistry()
metric = registry.metric
get = registry.get


def _exact_match(prediction: Any, reference: Any, *, normalization: Normalization = "none") -> float:
    if not (isinstance(prediction, str) and isinstance(reference, str)):
        return float(bool(prediction == reference))
    return float(text_of(prediction, normalization) == text_of(reference, normalization))


def _f1_score(prediction: str, reference: str, *, normalization: Normalization = "none") -> float:
    predicted, wanted = tokens_of(prediction, normalization), tokens_of(reference, normalization)
    common = _common(predicted, wanted)
    if not common:
        return 0.0
    share, found = common / len(predicted), common / len(wanted)
    return (2 * share * found) / (share + found)


def _precision(prediction: str, reference: str, *, normalization: Normalization = "none") -> float:
    predicted = tokens_of(prediction, normalization)
    return _common(predicted, tokens_of(reference, normalization)) / len(predicted) if predicted else 0.0


def _recall(prediction: str, reference: str, *, normalization: Normalization = "none") -> float:
    wanted = tokens_of(reference, normalization)
    return _common(tokens_of(prediction, normalization), wanted) / len(wanted) if wanted else 0.0


def _contains(prediction: str, reference: str, *, normalization: Normalization = "none") -> float:
    wanted = text_of(reference, normalization)
    return float(bool(wanted) and wanted in text_of(prediction, normalization))


def _rouge_l(prediction: str, reference: str) -> float:
    predicted, wanted = rouge_tokens(prediction), rouge_tokens(reference)
    common = _longest_common_subsequence(predicted, wanted)
    return 2 * common / (len(predicted) + len(wanted)) if common else 0.0


def _passage_match(passages: Any, answers: Any) -> float:
    texts = [passages] if isinstance(passages, str) else list(passages)
    wanted = [passage_words(str(answer)) for answer in ([answers] if isinstance(answers, str) else answers)]
    wanted = [words for words in wanted if words]
    return float(any(_has_sequence(words, answer) for words in map(passage_words, texts) for answer in wanted))


def _common(predicted: Sequence[str], wanted: Sequence[str]) -> int:
    """How many tokens the two multisets share."""
    if predicted == wanted:
        return len(wanted)
    left: dict[str, int] = {}
    for token in wanted:
        left[token] = left.get(token, 0) + 1
    common = 0
    for token in predicted:
        count = left.get(token)
        if count:
            left[token] = count - 1
            common += 1
    return common


def _longest_common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, by Hyyrö's bit-parallel recurrence: a row of the table at a time
    is one integer of ``len(one)`` bits."""
    places: dict[str, int] = {}
    for index, token in enumerate(one):
        places[token] = places.get(token, 0) | (1 << index)
    mask = (1 << len(one)) - 1
    row = mask
    for token in other:
        matches = row & places.get(token, 0)
        row = ((row + matches) | (row - matches)) & mask
    return len(one) - row.bit_count()


def _has_sequence(words: Sequence[str], wanted: Sequence[str]) -> bool:
    size = len(wanted)
    return any(words[start : start + size] == wanted for start in range(len(words) - size + 1))


#: 1.0 when both are the same once trimmed (or normalised, with ``normalization="squad"``).
exact_match: Metric = registry.register("exact_match", _exact_match)
#: The harmonic mean of precision and recall over the multisets of tokens; 0.0 when both are empty. With
#: ``normalization="squad"`` equal to ``dspy.evaluate.metrics.f1_score``.
f1_score: Metric = registry.register("f1_score", _f1_score, batch=f1_rows)
#: Shared tokens per token of the prediction.
precision: Metric = registry.register("precision", _precision, batch=precision_rows)
#: Shared tokens per token of the reference.
recall: Metric = registry.register("recall", _recall, batch=recall_rows)
#: 1.0 when the reference, trimmed or normalised, stands in the prediction; an empty one never does.
contains: Metric = registry.register("contains", _contains)
#: ROUGE-L, F measure: of the longest common subsequence of tokens, as ROUGE's reference implementation, unstemmed.
rouge_l: Metric = registry.register("rouge_l", _rouge_l)
#: 1.0 when any passage (the prediction: a text or a list) holds any of the answers (the reference) as words in a row.
#: As DSPy's ``answer_passage_match``, but an answer without a single word matches nothing.
passage_match: Metric = registry.register("passage_match", _passage_match, is_list_aware=True)
