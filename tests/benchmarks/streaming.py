"""How late a token is in the panel: from the engine that made it to the front end that is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.benchmarks.kernel import Message, execute, fresh_kernel
from tests.benchmarks.table import Row, median

__all__ = ["rows"]

RUNS = 5
AIM_MS = 50.0
PIPELINE = """%%pipeline bench{number} --run topic="the sea in winter {number}"
answer = predict("topic -> answer: str", stream=True)
"""


def rows() -> list[Row]:
    """Milliseconds from the engine's stamp on the first token to the front end's receipt of it; a warm model."""
    with fresh_kernel() as client:
        execute(client, "%load_ext dspex_lab")
        try:
            execute(client, PIPELINE.format(number=0))
            firsts = []
            for number in range(1, RUNS + 1):
                first = _FirstToken()
                execute(client, PIPELINE.format(number=number), on_output=first.take)
                firsts.append(first)
        finally:
            execute(client, "%lab stop")
    delay_ms = median(first.delay_s for first in firsts) * 1000
    panel_s = median(first.seen_s for first in firsts)
    engine_s = median(first.seen_s - first.delay_s for first in firsts)
    return [
        Row("first token, from engine to panel", delay_ms, "ms", aim=f"<= {AIM_MS:g} ms", is_met=delay_ms <= AIM_MS),
        Row("first token, from cell to panel", panel_s, "s", "the engine's own", engine_s, panel_s / engine_s),
    ]


class _FirstToken:
    """Notes when the first token message of a cell came; seconds since the cell was sent, and since the engine."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._began = now()
        self._is_seen = False
        self.seen_s = float("nan")
        self.delay_s = float("nan")

    def take(self, message: Message) -> None:
        content = message["content"].get("data", {}).get("content", {}) if message["msg_type"] == "comm_msg" else {}
        if content.get("kind") == "tokens" and content.get("sent_at") and not self._is_seen:
            now, self._is_seen = self._now(), True
            self.seen_s, self.delay_s = now - self._began, now - content["sent_at"]
