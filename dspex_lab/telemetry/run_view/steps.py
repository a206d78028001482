"""One step of a run as it is seen from outside, and the text that streams out of it.

Values only: how events change them is the business of ``reducer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from dspex_lab.calls import Usage

__all__ = ["StepStatus", "StepView", "StreamedText"]

#: Text is kept in blocks of this many characters, so that appending a token copies at most one block.
_BLOCK_CHARS = 1024
#: The newest blocks are kept: 64 Ki characters per field, far more than a panel shows.
_MAX_BLOCKS = 64
#: Tokens that came in a shorter window came in one buffer: no rate can be read off them.
_MIN_WINDOW_S = 0.05


class StepStatus(StrEnum):
    """Where a step is. ``pending``, ``running`` and ``waiting`` (for an answer of people's) are under way; the rest are
    ends."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def is_over(self) -> bool:
        return self not in (StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING)


@dataclass(frozen=True, slots=True)
class StreamedText:
    """The text of one field as it grows. Appending costs the same however long it is; the oldest text is let go.

    ``length`` counts every character that ever came, ``len(text)`` those that are kept.
    """

    field: str
    length: int = 0
    tail: str = ""
    blocks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "".join((*self.blocks, self.tail))

    @property
    def is_shortened(self) -> bool:
        return self.length > sum(map(len, self.blocks)) + len(self.tail)

    def append(self, text: str) -> StreamedText:
        tail = self.tail + text
        blocks = self.blocks
        if len(tail) >= _BLOCK_CHARS:
            blocks = (*blocks, tail[-_BLOCK_CHARS * _MAX_BLOCKS :])[-_MAX_BLOCKS:]
            tail = ""
        return StreamedText(self.field, self.length + len(text), tail, blocks)


@dataclass(frozen=True, slots=True)
class StepView:
    """One step: times in seconds (``started`` and ``*_at`` since the epoch), ``parent`` the step around it.

    ``error`` is ``LabError.to_dict()``; ``outputs`` is plain data; ``token_count`` counts the pieces that streamed.
    """

    name: str
    kind: str = ""
    parent: str | None = None
    status: StepStatus = StepStatus.PENDING
    route: str = ""
    reason: str = ""
    target: str = ""
    worker: str = ""
    started: float | None = None
    duration_s: float | None = None
    queue_s: float | None = None
    usage: Usage = field(default_factory=Usage)
    retries: int = 0
    cached: bool = False
    #: Not run: what it gave is that of an earlier life of the run, or of the run that this one repeats.
    kept: bool = False
    streams: tuple[StreamedText, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    token_count: int = 0
    first_token_at: float | None = None
    last_token_at: float | None = None
    #: What earlier turns of this step used, where it runs more than once (inside ``each``).
    settled: Usage = field(default_factory=Usage)

    @property
    def text(self) -> dict[str, str]:
        """The streamed text of each field, as far as it is kept."""
        return {stream.field: stream.text for stream in self.streams}

    @property
    def first_token_s(self) -> float | None:
        """Seconds from the step's start to its first token."""
        if self.first_token_at is None or self.started is None:
            return None
        return max(0.0, self.first_token_at - self.started)

    @property
    def output_tokens(self) -> int:
        """What the model said it wrote; while that is not known, the pieces that have streamed."""
        return self.usage.output_tokens or self.settled.output_tokens + self.token_count

    @property
    def generating(self) -> tuple[float, float, int] | None:
        """When a model wrote for this step, and how many tokens: (from, until, count), or None."""
        first, last = self.first_token_at, self.last_token_at
        if first is not None and last is not None and last - first >= _MIN_WINDOW_S:
            return first, last, self.token_count - 1
        if self.started is not None and self.duration_s and self.usage.output_tokens and not self.cached:
            return self.started, self.started + self.duration_s, self.usage.output_tokens
        return None

    @property
    def tokens_per_s(self) -> float | None:
        """How fast the tokens came: between the first and the last where they streamed, else over the whole step."""
        window = self.generating
        return window[2] / (window[1] - window[0]) if window else None

    def stream(self, name: str) -> StreamedText:
        """The stream of the field ``name``; an empty one when nothing has come for it."""
        return next((one for one in self.streams if one.field == name), StreamedText(name))

    def with_text(self, name: str, text: str, *, at: float) -> StepView:
        """The step after one more piece of text for the field ``name``, which came at ``at``."""
        grown = self.stream(name).append(text)
        others = {one.field: one for one in self.streams}
        return replace(
            self,
            streams=tuple({**others, name: grown}.values()),
            token_count=self.token_count + 1,
            first_token_at=at if self.first_token_at is None else self.first_token_at,
            last_token_at=at,
        )
