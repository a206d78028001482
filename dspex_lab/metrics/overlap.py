"""The overlap of tokens for whole columns at once, in numpy: the same numbers as pair by pair, several times as fast.

Each side becomes one long list of tokens, each token a number, each pair (row, token) a key; shared keys are what
the rows share. Knows nothing of missing values or of several references: columns that have them go pair by pair.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dspex_lab.metrics.text import ARTICLES, Normalization, squad_column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    _Counts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

__all__ = ["f1_rows", "precision_rows", "recall_rows"]

#: Stands between rows; a text that holds it itself goes pair by pair.
_BORDER = "\0"


def f1_rows(
    predictions: Sequence[str], references: Sequence[str], *, normalization: Normalization = "none"
) -> list[float] | None:
    """The F1 score of each row; None when the texts must go pair by pair."""
    counted = _overlap(predictions, references, normalization)
    if counted is None:
        return None
    import numpy as np

    common, predicted, wanted = counted
    with np.errstate(divide="ignore", invalid="ignore"):
        share, found = common / predicted, common / wanted
        scores = np.where(common > 0, (2 * share * found) / (share + found), 0.0)
    return list(scores.tolist())


def precision_rows(
    predictions: Sequence[str], references: Sequence[str], *, normalization: Normalization = "none"
) -> list[float] | None:
    """The precision of each row; None when the texts must go pair by pair."""
    counted = _overlap(predictions, references, normalization)
    return None if counted is None else _ratio(counted[0], counted[1])


def recall_rows(
    predictions: Sequence[str], references: Sequence[str], *, normalization: Normalization = "none"
) -> list[float] | None:
    """The recall of each row; None when the texts must go pair by pair."""
    counted = _overlap(predictions, references, normalization)
    return None if counted is None else _ratio(counted[0], counted[2])


def _ratio(common: NDArray[np.int64], total: NDArray[np.int64]) -> list[float]:
    import numpy as np

    return list(np.where(common > 0, common / np.maximum(total, 1), 0.0).tolist())


def _overlap(predictions: Sequence[str], references: Sequence[str], normalization: Normalization) -> _Counts | None:
    """For each row: tokens shared, tokens predicted, tokens wanted."""
    import numpy as np

    if normalization not in ("none", "squad"):
        return None  # pair by pair, which says what is wrong
    # One text with an accent would make the whole column's string a wide and slow one: such rows go apart.
    is_ascii = [one.isascii() and other.isascii() for one, other in zip(predictions, references, strict=True)]
    groups = [[row for row, is_so in enumerate(is_ascii) if is_so is wanted] for wanted in (True, False)]
    if not all(groups):
        return _overlap_of_group(predictions, references, normalization)
    counts = np.zeros((3, len(predictions)), np.int64)
    for group in groups:
        part = _overlap_of_group([predictions[row] for row in group], [references[row] for row in group], normalization)
        if part is None:
            return None
        counts[:, group] = part
    return counts[0], counts[1], counts[2]


def _overlap_of_group(
    predictions: Sequence[str], references: Sequence[str], normalization: Normalization
) -> _Counts | None:
    import numpy as np

    # A token gets its number when it is first seen; the border's is 0.
    numbers: defaultdict[str, int] = defaultdict(itertools.count().__next__)
    numbers[_BORDER]
    columns = []
    for texts in (predictions, references):
        tokens = _tokens(texts, normalization)
        if tokens is None:
            return None
        columns.append(np.fromiter(map(numbers.__getitem__, tokens), np.int64, len(tokens)))
    dropped = [0, *(numbers[word] for word in ARTICLES if normalization == "squad" and word in numbers)]
    rows, vocabulary = len(predictions), len(numbers)
    left, left_counts, predicted = _keys(columns[0], vocabulary, dropped, rows)
    right, right_counts, wanted = _keys(columns[1], vocabulary, dropped, rows)
    keys, left_at, right_at = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    shared = np.minimum(left_counts[left_at], right_counts[right_at])
    common = np.bincount(keys // vocabulary, weights=shared, minlength=rows).astype(np.int64)
    return common, predicted, wanted


def _tokens(texts: Sequence[str], normalization: Normalization) -> list[str] | None:
    """All tokens of the column in one list, with a border between rows; None when a text holds the border itself."""
    column = squad_column(texts, _BORDER) if normalization == "squad" else f" {_BORDER} ".join(texts)
    return column.split() if column.count(_BORDER) == len(texts) - 1 else None


def _keys(
    tokens: NDArray[np.int64], vocabulary: int, dropped: Sequence[int], rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The different keys of a side in order, how often each is there, and how many tokens each row has."""
    import numpy as np

    row_of = np.cumsum(tokens == 0)
    kept = np.ones(len(tokens), dtype=bool)
    for number in dropped:
        kept &= tokens != number
    row_of = row_of[kept]
    keys, counts = np.unique(row_of * vocabulary + tokens[kept], return_counts=True)
    return keys, counts, np.bincount(row_of, minlength=rows)
