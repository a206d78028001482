"""A run that is made up: feeds the run panel the events of a pipeline, from a thread, at a given pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from dspex_lab.calls import Usage
from dspex_lab.telemetry.events import EventHub
from dspex_lab.widgets import RunPanel

__all__ = ["Feed", "demo"]

_REASONING = (
    "The customer says they were charged twice for the same invoice in May. They want the second charge refunded. "
    "They are not angry yet, but this is their second message, so an answer today would be kind.\n"
    "Refunds of double charges need no approval below $500, and the sum named here is $49."
)
_STEPS: list[dict[str, Any]] = [
    {"name": "clean", "kind": "native"},
    {"name": "triage", "kind": "predict"},
    {"name": "both", "kind": "parallel"},
    {"name": "summary", "kind": "chain_of_thought", "parent": "both"},
    {"name": "mood", "kind": "predict", "parent": "both"},
    {"name": "reply", "kind": "predict"},
]


class Feed:
    """Plays the run on a thread of its own; ``cancel`` ends it between two events."""

    def __init__(self, hub: EventHub, *, tokens_per_s: float, fails: bool) -> None:
        self._hub = hub
        self._pause_s = 1 / tokens_per_s
        self._fails = fails
        self._cancelled = threading.Event()
        self.cancelled_at: float | None = None
        self.thread = threading.Thread(target=self._play, name="feed")

    def cancel(self) -> None:
        self.cancelled_at = time.time()
        self._cancelled.set()

    def _play(self) -> None:
        started = time.monotonic()
        self._emit("run.start", pipeline="support", steps=_STEPS, inputs={})
        status = "succeeded"
        for step in self._steps():
            if self._cancelled.wait(step):
                status = "cancelled"
                break
        else:
            status = "failed" if self._fails else "succeeded"
        error = {"type": "PipelineError", "message": "The step mood failed."} if status == "failed" else None
        self._emit("run.end", status=status, duration_s=time.monotonic() - started, error=error, outputs={})

    def _steps(self) -> Iterator[float]:
        yield from self._quick("clean", "native", {"ticket": "I was charged twice for my May invoice. Please help!"})
        yield from self._streamed("triage", "hybrid", {"category": "billing", "urgency": 4}, "category", "billing" * 4)
        self._begin("both", "")
        self._begin("summary", "python")
        self._begin("mood", "hybrid")
        for word in _words(_REASONING):
            yield self._pause_s
            self._emit("token", step="summary", field="reasoning", text=word, sent_at=time.time())
            if word.startswith("second"):
                self._emit("token", step="mood", field="mood", text="ca", sent_at=time.time())
        summary = {"reasoning": _REASONING, "summary": "Charged twice for the May invoice; wants one refunded."}
        self._end("summary", "succeeded", outputs=summary, usage=Usage(212, 96, None, 1))
        if self._fails:
            error = {
                "type": "PythonError",
                "error_type": "ValueError",
                "message": "'ca' is not one of 'calm', 'angry' <script>alert(1)</script>",
                "hint": "Ask again with retry=2, or widen the field's type.",
                "traceback": "Traceback (most recent call last):\n" + '  File "ops/dspy.py", line 88, in predict\n' * 6,
            }
            self._end("mood", "failed", error=error)
            self._end("both", "failed")
            return
        self._end("mood", "succeeded", outputs={"mood": "calm"}, usage=Usage(190, 4, None, 1), cached=True)
        self._end("both", "succeeded")
        text = "Dear customer, thank you for writing. We have refunded the second charge; it shows within three days. "
        yield from self._streamed("reply", "hybrid", {"reply": text * 5}, "reply", text * 5)

    def _quick(self, name: str, route: str, outputs: dict[str, Any]) -> Iterator[float]:
        self._begin(name, route)
        yield 0.0005
        self._end(name, "succeeded", outputs=outputs, duration_s=0.0005)

    def _streamed(self, name: str, route: str, outputs: dict[str, Any], field: str, text: str) -> Iterator[float]:
        self._begin(name, route)
        yield 0.25
        for word in _words(text):
            self._emit("token", step=name, field=field, text=word, sent_at=time.time())
            yield self._pause_s
        self._end(name, "succeeded", outputs=outputs, usage=Usage(180, len(_words(text)), 0.00021, 1))

    def _begin(self, name: str, route: str) -> None:
        self._emit("pipeline.step", step=name, status="running")
        if route:
            self._emit("router.route", step=name, route=route, reason="The prompt can be rendered here.", target="pool")

    def _end(self, name: str, status: str, **more: Any) -> None:
        self._emit("pipeline.step", step=name, status=status, **more)

    def _emit(self, name: str, **attributes: Any) -> None:
        self._hub.emit(name, run_id="r1", **attributes)


def _words(text: str) -> list[str]:
    """Pieces of about a token's size."""
    return [text[index : index + 4] for index in range(0, len(text), 4)]


def demo(*, tokens_per_s: float = 30, fails: bool = False, wait: Callable[[Feed], None] | None = None) -> Feed:
    """Show a panel in this cell, feed it, and hold the cell until the run is over."""
    hub = EventHub()
    feed = Feed(hub, tokens_per_s=tokens_per_s, fails=fails)
    panel = RunPanel(pipeline="support", on_cancel=feed.cancel)
    hub.on("*", panel.apply)
    panel.display()
    feed.thread.start()
    if wait is not None:
        wait(feed)
    feed.thread.join()
    panel.finish()
    return feed
