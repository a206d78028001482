"""The overlap of tokens for whole columns at once, in numpy: the same numbers as pair by pair, several times as fast.

A column is one long run of bytes; a token of up to eight bytes is packed into an integer, a longer one gets a number.
No Python object is made for most tokens, which is where the time goes otherwise. Knows nothing of missing values or
of several references: columns that have them go pair by pair.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dspex_lab.metrics.text import ARTICLES, Normalization, joined_column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    _Counts = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

__all__ = ["f1_rows", "precision_rows", "recall_rows"]

#: Longer tokens are numbered downwards from -1: as bytes these begin with 0xff, which no UTF-8 holds.
_PACKED_BYTES = 8
_ARTICLES_PACKED = tuple(int.from_bytes(word.encode(), "little") for word in sorted(ARTICLES))


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
    """For each row: tokens shared, tokens predicted, tokens wanted. None where it must be told pair by pair."""
    import numpy as np

    rows = len(predictions)
    texts = [*predictions, *references]
    is_ascii = np.fromiter(map(str.isascii, texts), bool, 2 * rows)
    parts, order = [], []
    for group in (np.flatnonzero(is_ascii), np.flatnonzero(~is_ascii)):
        if len(group):
            part = joined_column([texts[index] for index in group.tolist()], normalization)
            if part is None:
                return None
            parts.append(part)
            order.append(group)
    tokens, counts = _tokens(b"\0".join(parts))
    text_at = np.concatenate(order)
    vocabulary, numbers = np.unique(tokens, return_inverse=True)
    is_left_out = np.isin(vocabulary, _ARTICLES_PACKED if normalization == "squad" else ())
    left_out = np.flatnonzero(is_left_out[numbers])
    lengths = np.zeros(2 * rows, np.int64)
    lengths[text_at] = counts - np.bincount(np.repeat(np.arange(len(counts)), counts)[left_out], minlength=len(counts))
    # One number for each token's row, word and side; the two sides of a word are neighbours once sorted.
    size = max(1, len(vocabulary))
    row_and_side = (text_at % rows) * (2 * size) + (text_at >= rows)
    keys, times = np.unique(np.repeat(row_and_side, counts) + (numbers << 1), return_counts=True)
    words = keys >> 1
    shared = np.flatnonzero(words[:-1] == words[1:])
    shared = shared[~is_left_out[words[shared] % size]]
    smaller = np.minimum(times[shared], times[shared + 1])
    common = np.bincount(words[shared] // size, weights=smaller, minlength=rows).astype(np.int64)
    return common, lengths[:rows], lengths[rows:]


def _tokens(column: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every token of the column, in order, as an integer, and how many there are in each text.

    The column holds texts with a zero byte between them, tokens with one space or more between them.
    """
    import numpy as np

    data = np.frombuffer(b" " + column + b" " * 8, np.uint8)
    is_word = (data != ord(" ")) & (data != 0)
    borders = np.flatnonzero(is_word[1:] != is_word[:-1]) + 1
    starts, ends = borders[::2], borders[1::2]
    lengths = ends - starts
    windows: NDArray[np.int64] = np.ndarray((len(data) - 7,), "<i8", data, strides=(1,))  # eight bytes from each place
    masks = np.array([*((1 << (8 * size)) - 1 for size in range(_PACKED_BYTES)), -1], np.int64)
    tokens = windows[starts] & masks[np.minimum(lengths, _PACKED_BYTES)]
    long = np.flatnonzero(lengths > _PACKED_BYTES)
    if len(long):
        numbers: defaultdict[bytes, int] = defaultdict(itertools.count(-1, -1).__next__)
        words = map(data.tobytes().__getitem__, map(slice, starts[long].tolist(), ends[long].tolist()))
        tokens[long] = np.fromiter(map(numbers.__getitem__, words), np.int64, len(long))
    # How many tokens stand before each border, and so how many there are in each text.
    before = np.searchsorted(starts, np.flatnonzero(data == 0))
    return tokens, np.diff(before, prepend=0, append=len(starts))
