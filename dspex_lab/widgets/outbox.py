"""What waits to be sent to a panel, and when it is due: the first piece at once, the rest at most ~30 times a second.

Pure: no thread, no clock, no widget. Times are seconds on any one clock that never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Batch", "Outbox", "TextPiece"]


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Text to append to a step's field; ``at`` is how many characters came before it."""

    step: str
    field: str
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Batch:
    """One sending. ``sent_at`` is when the producer sent the oldest piece (epoch seconds; 0 when not known)."""

    pieces: tuple[TextPiece, ...] = ()
    sent_at: float = 0.0
    has_state: bool = False
    has_texts: bool = False
    messages: tuple[Mapping[str, Any], ...] = ()


class Outbox:
    """Collects what changed and joins pieces of one field; used under its owner's lock."""

    def __init__(self, *, interval_s: float = 1 / 30) -> None:
        self._interval_s = interval_s
        self._last_taken = float("-inf")
        self._pieces: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self._sent_at = 0.0
        self._has_state = False
        self._has_texts = False
        self._messages: list[Mapping[str, Any]] = []

    @property
    def is_empty(self) -> bool:
        return not (self._pieces or self._has_state or self._has_texts or self._messages)

    def put_text(self, piece: TextPiece, *, sent_at: float = 0.0) -> None:
        if not self._pieces:
            self._sent_at = sent_at
        _, texts = self._pieces.setdefault((piece.step, piece.field), (piece.at, []))
        texts.append(piece.text)

    def put_state(self) -> None:
        """The state changed: the next batch carries it."""
        self._has_state = True

    def put_texts(self) -> None:
        """A view asked for everything: the next batch carries the state and every text from its beginning."""
        self._has_state = self._has_texts = True

    def put_message(self, message: Mapping[str, Any]) -> None:
        """A message of its own kind, which the next batch carries as it is."""
        self._messages.append(message)

    def due_in(self, now: float) -> float | None:
        """Seconds until a batch is due, 0 when it is; None when nothing waits."""
        if self.is_empty:
            return None
        return max(0.0, self._last_taken + self._interval_s - now)

    def take(self, now: float) -> Batch:
        """Everything that waits, as one batch; from now on the interval counts anew."""
        batch = Batch(
            tuple(TextPiece(step, field, at, "".join(texts)) for (step, field), (at, texts) in self._pieces.items()),
            self._sent_at,
            self._has_state,
            self._has_texts,
            tuple(self._messages),
        )
        self._pieces.clear()
        self._messages.clear()
        self._sent_at, self._has_state, self._has_texts = 0.0, False, False
        self._last_taken = now
        return batch
