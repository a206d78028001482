"""The overlap of tokens for whole columns at once, in numpy: the same numbers as pair by pair, several times as fast.

Each side becomes one long list of tokens, each token a number, each pair (row, token) a key; shared keys are what
the rows share. Knows nothing of missing values or of several references: columns that have them go pair by pair.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dspex_lab.metrics.text import ARTICLES, Normalization, squad_lines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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


def _overlap(
    predictions: Sequence[str], references: Sequence[str], normalization: Normalization
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """For each row: tokens shared, tokens predicted, tokens wanted."""
    import numpy as np

    if normalization not in ("none", "squad"):
        return None  # pair by pair, which says what is wrong
    sides = [_tokens(texts, normalization) for texts in (predictions, references)]
    left, right = sides
    if left is None or right is None:
        return None
    numbers = dict(zip(dict.fromkeys(itertools.chain([_BORDER], left, right)), itertools.count(), strict=False))
    dropped = [0, *(numbers[word] for word in ARTICLES if normalization == "squad" and word in numbers)]
    rows = len(predictions)
    (left_keys, left_counts, predicted), (right_keys, right_counts, wanted) = (
        _keys(np.fromiter(map(numbers.__getitem__, tokens), np.int64, len(tokens)), len(numbers), dropped, rows)
        for tokens in (left, right)
    )
    _, left_at, right_at = np.intersect1d(left_keys, right_keys, assume_unique=True, return_indices=True)
    shared = np.minimum(left_counts[left_at], right_counts[right_at])
    common = np.bincount(left_keys[left_at] // len(numbers), weights=shared, minlength=rows).astype(np.int64)
    return common, predicted, wanted


def _tokens(texts: Sequence[str], normalization: Normalization) -> list[str] | None:
    """All tokens of the column in one list, with a border between rows."""
    lines = squad_lines(texts) if normalization == "squad" else texts
    joined = f" {_BORDER} ".join(lines)
    return joined.split() if joined.count(_BORDER) == len(texts) - 1 else None


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
