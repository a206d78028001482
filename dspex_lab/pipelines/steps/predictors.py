"""What a step takes over from a DSPy program: the signature and the demos that an optimizer found.

Asks without importing DSPy; knows nothing of steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dspex_lab.signatures import to_plain

__all__ = ["signature_and_demos"]


def signature_and_demos(
    source: Any, demos: Sequence[Mapping[str, Any]] = ()
) -> tuple[Any, Sequence[Mapping[str, Any]]]:
    """The signature in ``source``, and its demos as plain data unless others are given. A ``dspy.Predict`` has both, a
    ``dspy.ChainOfThought`` has them in its one predictor; anything else is a signature itself."""
    predictor: Any = source if hasattr(source, "demos") else getattr(source, "predict", None)
    if isinstance(source, str | type) or not (hasattr(predictor, "demos") and hasattr(predictor, "signature")):
        return source, demos
    found = [{name: to_plain(value) for name, value in demo.items()} for demo in predictor.demos]
    return predictor.signature, demos or found
