"""One answer in the making: a thread takes the decoder's chunks, the event loop reads them as text.

The two sides share a bounded queue and a stop flag. A reader that goes away stops the decoder at its next chunk,
and while a prompt is being worked on chunks of progress come too.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dspex_lab.worker.engines.bounds import JsonEnd

__all__ = ["Generation", "ModelServer", "Outcome"]

#: Pieces of text that may wait for a slow reader; then its thread waits too.
_QUEUED_PIECES = 32
_STOP_CHECK_S = 0.05

Generate = Callable[[Mapping[str, Any], Callable[[dict[str, Any]], bool]], None]


class ModelServer(Protocol):
    """One loaded model that answers on the threads that call it."""

    def generate(self, body: Mapping[str, Any], take: Callable[[dict[str, Any]], bool]) -> None:
        """Answer ``body`` (OpenAI's chat form), giving each chunk to ``take`` on this thread, until it returns True."""
        ...

    def close(self) -> None:
        """Free the model's memory. No generation may be under way."""
        ...


@dataclass(slots=True)
class Outcome:
    """What is known of an answer at its end. ``error`` is the decoder's own report, or what it raised."""

    finish_reason: str = "stop"
    input_tokens: int = 0
    output_tokens: int = 0
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    error: Mapping[str, Any] | Exception | None = None


class Generation:
    """Run :meth:`run` on a thread, iterate :meth:`pieces` on the loop, then read ``outcome``."""

    def __init__(self, generate: Generate, body: Mapping[str, Any], *, is_json: bool) -> None:
        self._generate = generate
        self._body = {**body, "return_progress": True, "timings_per_token": True}
        self._end = JsonEnd() if is_json else None
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = threading.Semaphore(_QUEUED_PIECES)
        self._stop = threading.Event()
        self._started = time.monotonic()
        self.outcome = Outcome()

    @property
    def is_json_complete(self) -> bool:
        return self._end is None or self._end.is_complete

    def stop(self) -> None:
        """Stop the decoder at its next chunk; from any thread."""
        self._stop.set()

    async def pieces(self) -> AsyncIterator[str]:
        """The text as it comes. Leaving the iteration early does not stop the decoder: :meth:`stop` does."""
        while (piece := await self._queue.get()) is not None:
            self._room.release()
            yield piece

    def run(self) -> None:
        """Generate on this thread until the answer ends or is stopped. Raises nothing: ``outcome`` tells."""
        try:
            if not self._stop.is_set():
                self._generate(self._body, self._take)
        except Exception as error:  # whatever the decoder raises is told by the outcome
            self.outcome.error = error
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody reads
            self._loop.call_soon_threadsafe(self._queue.put_nowait, None)

    def _take(self, chunk: dict[str, Any]) -> bool:
        if self._stop.is_set():
            return True
        if "error" in chunk:
            self.outcome.error = chunk["error"]
            return True
        self._count(chunk)
        for choice in chunk.get("choices", ()):
            self.outcome.finish_reason = choice.get("finish_reason") or self.outcome.finish_reason
            text = choice.get("delta", {}).get("content")
            if text and self._pass_on(text):
                return True
        return False

    def _pass_on(self, text: str) -> bool:
        """Whether the answer is over with this piece."""
        if self.outcome.first_token_s is None:
            self.outcome.first_token_s = time.monotonic() - self._started
        if self._end is not None:
            text = self._end.feed(text)
        while not self._room.acquire(timeout=_STOP_CHECK_S):
            if self._stop.is_set():
                return True
        self._loop.call_soon_threadsafe(self._queue.put_nowait, text)
        return self._end is not None and self._end.is_complete

    def _count(self, chunk: Mapping[str, Any]) -> None:
        if timings := chunk.get("timings"):
            self.outcome.input_tokens = timings["cache_n"] + timings["prompt_n"]
            self.outcome.output_tokens = timings["predicted_n"]
            if timings["predicted_n"] > 1:
                self.outcome.tokens_per_s = timings["predicted_per_second"]
