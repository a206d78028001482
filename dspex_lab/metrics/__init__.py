"""Evaluation metrics on a pair of answers and on columns of them, and a registry for the user's own."""

from __future__ import annotations

from dspex_lab.metrics.answers import (
    contains,
    exact_match,
    f1_score,
    get,
    metric,
    passage_match,
    precision,
    recall,
    registry,
    rouge_l,
)
from dspex_lab.metrics.metric import BatchFunction, Metric, MetricFunction, MetricRegistry
from dspex_lab.metrics.text import Normalization

__all__ = [
    "BatchFunction",
    "Metric",
    "MetricFunction",
    "MetricRegistry",
    "Normalization",
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
