"""A pipeline over many rows: read, run, written down and given back in their order."""

from __future__ import annotations

from dspex_lab.pipelines.batch.batch import Batch
from dspex_lab.pipelines.batch.options import MapOptions
from dspex_lab.pipelines.batch.start import BatchStarter, StartBatch
from dspex_lab.pipelines.batch.statistics import BatchState, BatchStatistics
from dspex_lab.pipelines.batch.store import BatchStore

__all__ = ["Batch", "BatchStarter", "BatchState", "BatchStatistics", "BatchStore", "MapOptions", "StartBatch"]
