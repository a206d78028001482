"""A model that writes quickly into a panel: tokens at a given rate for a given time, and what became of them."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass

from dspex_lab.telemetry.events import Event
from dspex_lab.widgets import RunPanel

__all__ = ["Stream", "stream"]

_TICK_S = 0.01


@dataclass(frozen=True, slots=True)
class Stream:
    """What was written: how much, and the digest of all of it."""

    tokens: int
    chars: int
    digest: str


def stream(*, tokens_per_s: int = 500, duration_s: float = 30.0, fields: int = 2) -> Stream:
    """Show a panel in this cell and write into its steps, from a thread, as a worker's tokens come."""
    panel = RunPanel("stream")
    names = [f"text{index}" for index in range(fields)]
    written: list[str] = []

    def tell(name: str, **attributes: object) -> None:
        panel.apply(Event(name, time.time(), {"run_id": "s", **attributes}))

    def write() -> None:
        tell("run.start", pipeline="stream", steps=[{"name": "reply", "kind": "predict"}], inputs={})
        tell("pipeline.step", step="reply", status="running")
        started, count = time.monotonic(), 0
        while (passed := time.monotonic() - started) < duration_s:
            while count < passed * tokens_per_s:
                text = f"w{count} " + ("\n" if count % 40 == 39 else "")
                written.append(text)
                tell("token", step="reply", field=names[count % fields], text=text, sent_at=time.time())
                count += 1
            time.sleep(_TICK_S)

    panel.display()
    writer = threading.Thread(target=write, name="stream")
    writer.start()
    writer.join()
    threading.Event().wait(0.5)  # the page takes what is on its way
    tell("pipeline.step", step="reply", status="running")
    text = "".join(written[0::fields])
    return Stream(len(written), len(text), hashlib.sha256(text.encode()).hexdigest())
