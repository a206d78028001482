"""A trace as a value: its tree, its figures, its table and its text."""

from __future__ import annotations

from dspex_lab.calls import Usage
from dspex_lab.telemetry import Span, Trace
from dspex_lab.telemetry.trace import in_tree_order

TRACE = "ab" * 16


def span(span_id: str, parent: str | None, start: float, end: float, kind: str = "step", **attributes: object) -> Span:
    status = "error" if attributes.pop("failed", False) else "ok"
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    return Span(TRACE, span_id, parent, f"{kind} {span_id}", start, end, status, {"dspex.kind": kind, **named})  # type: ignore[arg-type]


def test_children_come_after_their_parents_by_their_start() -> None:
    """Whatever the order in which they ended; the longer one first when both begin together."""
    inner = [span("d", "b", 3, 4), span("c", "a", 5, 6), span("b", "a", 1, 4), span("e", "a", 5, 7)]
    spans = [*inner, span("a", None, 0, 9)]
    assert [(depth, one.span_id) for depth, one in in_tree_order(spans)] == [
        (0, "a"),
        (1, "b"),
        (2, "d"),
        (1, "e"),
        (1, "c"),
    ]


def test_spans_without_a_parent_stand_at_the_top() -> None:
    """Its parent is of another process that told nothing, or has not ended; nothing is lost, rings included."""
    spans = [span("b", "gone", 1, 2), span("x", "y", 1, 2), span("y", "x", 1, 2), span("b", "gone", 1, 2)]
    rows = in_tree_order(spans)
    assert sorted(one.span_id for _, one in rows) == ["b", "x", "y"]
    assert {depth for depth, _ in rows} == {0}


def test_usage_is_that_of_the_attempts_alone() -> None:
    """Runs, steps and calls repeat what the attempts below them used, and count nothing once more."""
    used = {"gen_ai__usage__input_tokens": 10, "gen_ai__usage__output_tokens": 2, "dspex__cost_usd": 0.5}
    trace = Trace.of(
        [span("a", None, 0, 9, "run", **used), span("b", "a", 0, 9, "call", **used), span("c", "b", 1, 2, "lm", **used)]
    )
    assert trace.usage == Usage(10, 2, 0.5, 1)


def test_the_table_has_a_row_for_each_span() -> None:
    """Times are of the trace, in seconds; what has no column is in ``attributes``."""
    frame = Trace.of([span("b", "a", 11, 12, "call", dspex__pool="general"), span("a", None, 10, 12, "run")]).frame
    assert list(frame["start_s"]) == [0, 1]
    assert list(frame["kind"]) == ["run", "call"]
    assert frame["pool"].iloc[1] == "general"


def test_the_text_is_a_waterfall() -> None:
    """A headline, then a line for each span with its place, its time, a bar and what matters of it."""
    text = repr(
        Trace.of(
            [
                span("a", None, 0, 2, "cell", dspex__cell__text="ask()"),
                span("b", "a", 1, 2, "lm", gen_ai__usage__input_tokens=10, gen_ai__usage__output_tokens=2),
                span("c", "a", 0, 1, "tool", failed=True, error__type="ValueError"),
            ]
        )
    )
    assert text.splitlines() == [
        "Trace abababab: cell a, ok, 2.00 s, 3 spans, 10 tokens read, 2 written",
        "  cell a    2.00 s  ██████████████████████████████  ask()",
        "    tool c  1.00 s  ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓···············  ValueError",
        "    lm b    1.00 s  ···············███████████████  10 → 2 tokens",
    ]


def test_thousands_of_spans_are_not_thousands_of_lines() -> None:
    """The text ends, and says how much there is more; long names are cut."""
    spans = [span("a" * 100, None, 0, 0, "run"), *(span(f"{number:04x}", "a" * 100, 0, 0) for number in range(3_000))]
    lines = repr(Trace.of(spans)).splitlines()
    assert (len(lines), lines[-1]) == (202, "  … and 2801 more spans")
    assert max(map(len, lines)) < 120
