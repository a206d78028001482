"""Which token comes next: penalties, the grammar's mask, and a draw. NumPy only; knows no model.

The options and their defaults are those of llama.cpp, so that a model answers alike whichever engine runs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Sampler", "SamplingOptions"]

#: The tokens that a repeat penalty looks back on.
_PENALIZED_TOKENS = 64
#: So many of the likeliest tokens nearly always hold what ``top_p`` asks for.
_SORTED = 512


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How to choose. ``temperature`` 0 takes the likeliest; a ``top_k`` of 0, ``top_p`` of 1 and ``min_p`` of 0 let
    every token through."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Self:
        """The options in a chat body of OpenAI's form; what is None there is left to its default."""
        given = {name: body[name] for name in cls.__slots__ if body.get(name) is not None}
        return cls(**given)


class Sampler:
    """Chooses for one answer, token by token. The same seed and the same logits give the same tokens."""

    def __init__(self, options: SamplingOptions, prompt: Sequence[int]) -> None:
        import numpy as np

        self._options = options
        self._recent = list(prompt[-_PENALIZED_TOKENS:])
        self._made: Counter[int] = Counter()
        self._random = np.random.default_rng(options.seed)

    def choose(self, logits: NDArray[np.float32], allowed: NDArray[np.bool_] | None = None) -> int:
        """The next token. ``logits`` (one for each token of the vocabulary) are changed in place."""
        import numpy as np

        self._penalize(logits)
        if allowed is not None:
            logits[~allowed] = -np.inf
        token = int(logits.argmax()) if self._options.temperature <= 0 else self._draw(logits)
        self._made[token] += 1
        self._recent = [*self._recent[1 - _PENALIZED_TOKENS :], token]
        return token

    def _penalize(self, logits: NDArray[np.float32]) -> None:
        import numpy as np

        options = self._options
        if options.repeat_penalty != 1.0 and self._recent:
            seen = np.unique(self._recent)
            values = logits[seen]
            logits[seen] = np.where(values > 0, values / options.repeat_penalty, values * options.repeat_penalty)
        if options.frequency_penalty or options.presence_penalty:
            for token, count in self._made.items():
                logits[token] -= count * options.frequency_penalty + options.presence_penalty

    def _draw(self, logits: NDArray[np.float32]) -> int:
        import numpy as np

        options = self._options
        order, shares = _by_share(logits, options.top_k, options.top_p)
        kept = shares >= options.min_p * shares.max()
        if options.top_p < 1.0:
            kept &= np.cumsum(shares) - shares < options.top_p
        kept[shares.argmax()] = True  # the likeliest always stays
        order = order[kept]
        heat = np.exp((logits[order] - logits[order].max()).astype(np.float64) / options.temperature)
        return int(self._random.choice(order, p=heat / heat.sum()))


def _by_share(logits: NDArray[np.float32], top_k: int, top_p: float) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The tokens that may be drawn, and how likely each is among the ``top_k``; in order where a bound is given.

    A vocabulary is long and a draw is made for each token: only as many are sorted as nearly always hold ``top_p``.
    """
    import numpy as np

    weights = np.exp((logits - logits.max()).astype(np.float64))
    size = len(weights)
    if not top_k and top_p >= 1.0:
        return np.arange(size), weights / weights.sum()
    order = _largest(weights, min(top_k or _SORTED, size))
    if not top_k and weights[order].sum() < top_p * weights.sum():
        order = _largest(weights, size)
    return order, weights[order] / (weights[order] if top_k else weights).sum()


def _largest(weights: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Where the ``count`` largest are, the largest first; of equals the first first."""
    import numpy as np

    found = np.sort(np.argpartition(weights, len(weights) - count)[len(weights) - count :])
    return found[np.argsort(-weights[found], kind="stable")]
