"""Runs that outlive their process: what they finished, written down as they go."""

from __future__ import annotations

from dspex_lab.pipelines.journal.entry import Entry
from dspex_lab.pipelines.journal.journal import Journal, JournalStatistics
from dspex_lab.pipelines.journal.records import INTERRUPTED, KeptStep, RunRecord

__all__ = ["INTERRUPTED", "Entry", "Journal", "JournalStatistics", "KeptStep", "RunRecord"]
