"""A piece of streamed text of a run. A value; knows nothing of runs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TextChunk"]


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of streamed text: what to append to ``field`` of ``step``; ``sent_at`` in epoch seconds."""

    step: str
    field: str
    text: str
    sent_at: float = 0.0

    def __str__(self) -> str:
        return self.text
