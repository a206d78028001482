"""What a metric is: a function of a prediction and a reference to a number, used on a pair or on whole columns.

Knows nothing of particular metrics; those are registered in a :class:`MetricRegistry`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from dspex_lab.errors import ConfigurationError, ValidationError
from dspex_lab.errors.nearest import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BatchFunction", "Metric", "MetricFunction", "MetricRegistry"]

#: ``function(prediction, reference, **options)``, higher is better; a bool counts as 0.0 or 1.0.
MetricFunction = Callable[..., float]
#: ``batch(predictions, references, **options)`` for columns of texts: the same scores as the function's, quicker;
#: None when these columns must go pair by pair.
BatchFunction = Callable[..., list[float] | None]

#: Shorter columns go pair by pair: numpy need not be loaded for them.
_BATCH_ROWS = 256


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by its name. Call it with one pair; :meth:`columns` and :meth:`mean` take many.

    A reference that is a list means any of them: the best score counts (with ``is_list_aware`` the function itself
    takes the list). What is missing, ``None`` or NaN, on either side scores 0.0.
    """

    name: str
    function: MetricFunction
    is_list_aware: bool = False
    batch: BatchFunction | None = None

    def __call__(self, prediction: Any, reference: Any, **options: Any) -> float:
        """The score of one prediction."""
        if isinstance(prediction, str) and isinstance(reference, str):  # by far the most frequent
            return float(self.function(prediction, reference, **options))
        if _is_missing(prediction) or _is_missing(reference):
            return 0.0
        if self.is_list_aware or not isinstance(reference, list | tuple):
            return float(self.function(prediction, reference, **options))
        scores = [float(self.function(prediction, one, **options)) for one in reference if not _is_missing(one)]
        return max(scores, default=0.0)

    @overload
    def columns(self, predictions: pd.Series[Any], references: Any, **options: Any) -> pd.Series[float]: ...

    @overload
    def columns(self, predictions: Sequence[Any], references: Any, **options: Any) -> list[float]: ...

    def columns(self, predictions: Any, references: Any, **options: Any) -> Any:
        """The score of each row: a list for a list, for a pandas Series a Series with its index and the metric's name.

        Two Series are paired by position, not by index. Raises ``ValidationError`` when the lengths differ.
        """
        left, right = list(predictions), list(references)
        if len(left) != len(right):
            raise ValidationError(
                f"There are {len(left)} predictions and {len(right)} references.",
                hint="Give one reference for each prediction; one that has several is a list.",
            )
        scores = self._batched(left, right, options)
        if scores is None:
            scores = [self(prediction, reference, **options) for prediction, reference in zip(left, right, strict=True)]
        if not hasattr(predictions, "index") or isinstance(predictions, list | tuple):
            return scores
        import pandas

        return pandas.Series(scores, index=predictions.index, name=self.name, dtype="float64")

    def mean(self, predictions: Any, references: Any, **options: Any) -> float:
        """The mean score over columns; 0.0 when there are no rows."""
        scores = list(self.columns(predictions, references, **options))
        return math.fsum(scores) / len(scores) if scores else 0.0

    def _batched(self, left: list[Any], right: list[Any], options: dict[str, Any]) -> list[float] | None:
        if self.batch is None or len(left) < _BATCH_ROWS:
            return None
        if not all(type(value) is str for column in (left, right) for value in column):
            return None
        return self.batch(left, right, **options)

    def __repr__(self) -> str:
        return f"<Metric {self.name}>"


class MetricRegistry:
    """Metrics by name: those of the house and the user's own."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}

    def register(
        self,
        name: str,
        function: MetricFunction,
        *,
        is_list_aware: bool = False,
        batch: BatchFunction | None = None,
    ) -> Metric:
        """Take ``function`` in under ``name``. A name that is taken by another function is a ``ConfigurationError``;
        a function of the same name and module replaces it, as when a notebook cell is run again."""
        known = self._metrics.get(name)
        if known is not None and not _is_same(known.function, function):
            raise ConfigurationError(
                f"There is a metric {name!r} already.", "metric", "a new name", name, hint="Give yours another name."
            )
        self._metrics[name] = Metric(name, function, is_list_aware, batch)
        return self._metrics[name]

    def metric(self, name: str, *, is_list_aware: bool = False) -> Callable[[MetricFunction], Metric]:
        """Register the decorated function: ``@metrics.metric("mine")``."""
        return lambda function: self.register(name, function, is_list_aware=is_list_aware)

    def get(self, name: str) -> Metric:
        """The metric ``name``, or a ``ConfigurationError`` that names the nearest one."""
        if name not in self._metrics:
            hint = did_you_mean(name, self._metrics, f"There are {', '.join(sorted(self._metrics))}.")
            raise ConfigurationError(f"There is no metric {name!r}.", "metric", "a registered metric", name, hint=hint)
        return self._metrics[name]

    def __iter__(self) -> Iterator[Metric]:
        return iter(tuple(self._metrics.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._metrics

    def __len__(self) -> int:
        return len(self._metrics)

    def __repr__(self) -> str:
        return f"<MetricRegistry [{', '.join(sorted(self._metrics))}]>"


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType"


def _is_same(one: MetricFunction, other: MetricFunction) -> bool:
    return all(
        getattr(one, attribute, one) == getattr(other, attribute, other) for attribute in ("__module__", "__qualname__")
    )
