"""What a run tells: every event once, kept on its tapes for who asks the run, and handed to the hub's observers.

Knows nothing of the run; so a run that nobody holds is gone at once, with all that it told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dspex_lab.calls import TraceContext
from dspex_lab.clock import Clock
from dspex_lab.pipelines.run.tape import Tape
from dspex_lab.telemetry.events import Event, EventHub

__all__ = ["Telling", "TextChunk"]


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of streamed text: what to append to ``field`` of ``step``; ``sent_at`` in epoch seconds."""

    step: str
    field: str
    text: str
    sent_at: float = 0.0

    def __str__(self) -> str:
        return self.text


class Telling:
    """The tapes of one run: its ``events``, and the streamed text among them as ``chunks``."""

    __slots__ = ("_append", "_now", "_run_id", "_tell", "chunks", "events")

    def __init__(self, run_id: str, hub: EventHub, clock: Clock) -> None:
        self._run_id = run_id
        self.events: Tape[Event] = Tape()
        self.chunks: Tape[TextChunk] = Tape()
        # Called at every event, so looked up once.
        self._append = self.events.append
        self._tell = hub.tell
        self._now = clock.now

    def emit(self, name: str, /, trace: TraceContext | None = None, **attributes: Any) -> None:
        """Tell of one thing, on the tapes and to every observer."""
        event = Event(name, self._now(), attributes, trace)
        self._append(event)
        if name == "token":
            self.chunks.append(
                TextChunk(attributes["step"], attributes["field"], attributes["text"], attributes["sent_at"])
            )
        self._tell(event)

    def warn(self, message: str, step: str | None) -> None:
        """Tell of something that one should know, and that stops nothing. A run that is over tells no more."""
        if not self.events.is_closed:
            self.emit("pipeline.warning", None, run_id=self._run_id, step=step, message=message)

    def close(self) -> None:
        """There is no more to tell."""
        self.events.close()
        self.chunks.close()
