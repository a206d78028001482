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
        order = np.argsort(-logits, kind="stable")
        if options.top_k > 0:
            order = order[: options.top_k]
        weights = np.exp((logits[order] - logits[order[0]]).astype(np.float64))
        shares = weights / weights.sum()
        # The likeliest token always stays.
        kept = (np.cumsum(shares) - shares < options.top_p) & (shares >= options.min_p * shares[0])
        kept[0] = True
        order = order[kept]
        heat = np.exp((logits[order] - logits[order[0]]).astype(np.float64) / options.temperature)
        return int(self._random.choice(order, p=heat / heat.sum()))
