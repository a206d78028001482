"""A trace for Perfetto: complete events, in lanes in which they lie in one another, by who did the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dspex_lab.telemetry import Span, Trace
from dspex_lab.telemetry.export import perfetto_events

SECRET = "sk-" + "s3cr3t" * 4


def span(span_id: str, parent: str | None, start: float, end: float, kind: str, **attributes: Any) -> Span:
    return Span("a" * 32, span_id, parent, span_id, start, end, "ok", {"dspex.kind": kind, **attributes})


def trace() -> Trace:
    return Trace.of(
        [
            span("cell", None, 100.0, 104.0, "cell"),
            span("run", "cell", 100.5, 104.0, "run"),
            span("a", "run", 101.0, 103.0, "step"),
            span("b", "run", 102.0, 104.0, "step"),
            span("call", "a", 101.0, 103.0, "call", **{"dspex.worker": "general-1"}),
            span("queue", "call", 101.0, 101.5, "queue"),
            span("chat", "call", 101.5, 103.0, "lm", **{"gen_ai.input.messages": f"key {SECRET}"}),
        ]
    )


def events() -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in perfetto_events(trace().rows) if one["ph"] == "X"}


def test_times_are_microseconds_since_the_start() -> None:
    """With kinds as categories, and what is known as arguments."""
    run = events()["run"]
    assert (run["ts"], run["dur"], run["cat"]) == (500_000.0, 3_500_000.0, "run")
    assert (run["args"]["parent_id"], run["args"]["status"]) == ("cell", "ok")


def test_work_is_shown_where_it_was_done() -> None:
    """The notebook, the pool host with its queue, and each worker are processes."""
    names = {one["pid"]: one["args"]["name"] for one in perfetto_events(trace().rows) if one["ph"] == "M"}
    places = {name: names[one["pid"]] for name, one in events().items()}
    assert places == {
        **dict.fromkeys(("cell", "run", "a", "b"), "notebook"),
        **dict.fromkeys(("call", "queue"), "pool host"),
        "chat": "general-1",
    }


def test_in_one_lane_nothing_overlaps_that_does_not_hold_the_other() -> None:
    """Steps side by side have lanes of their own, or a viewer shows nonsense."""
    found = list(events().values())
    for one in found:
        for other in found:
            if one is other or (one["pid"], one["tid"]) != (other["pid"], other["tid"]):
                continue
            begun, ended = max(one["ts"], other["ts"]), min(one["ts"] + one["dur"], other["ts"] + other["dur"])
            shorter = min(one["dur"], other["dur"])
            assert ended <= begun or ended - begun == shorter
    lanes = events()
    assert lanes["a"]["tid"] == lanes["run"]["tid"] == lanes["cell"]["tid"] != lanes["b"]["tid"]


def test_the_file_is_json_without_secrets(tmp_path: Path) -> None:
    """As Perfetto and Chrome read it."""
    path = trace().to_perfetto(tmp_path / "trace.json")
    found = json.loads(path.read_text())
    assert found["displayTimeUnit"] == "ms"
    assert len([one for one in found["traceEvents"] if one["ph"] == "X"]) == 7
    assert SECRET not in path.read_text()
