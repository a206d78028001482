"""Finding traces: in the store, among what nobody has heard yet, and in both at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.calls import TraceContext
from dspex_lab.errors import ConfigurationError
from dspex_lab.telemetry import Event, Span, TraceLibrary, TraceStore
from dspex_lab.testing import FakeClock

CELL, RUN, OTHER = "c" * 32, "a1" + "0" * 30, "a2" + "0" * 30
NOW = 1_700_000_000.0


def run_span(run_id: str, span_id: str, *, trace_id: str = CELL, parent: str | None = "c" * 16) -> Span:
    attributes = {"dspex.kind": "run", "dspex.run.id": run_id}
    return Span(trace_id, span_id * 16, parent, f"run {run_id[:2]}", NOW + 1, NOW + 3, "ok", attributes)


def below(span_id: str, parent: str, *, trace_id: str = CELL) -> Span:
    where = (trace_id, span_id * 16, parent * 16)
    return Span(*where, f"step {span_id}", NOW + 2, NOW + 3, "error", {"dspex.kind": "step"})


def start(run_id: str, span_id: str, trace_id: str = CELL) -> Event:
    return Event("run.start", NOW, {"run_id": run_id, "pipeline": "p"}, TraceContext(trace_id, span_id * 16))


TOLD = [
    Span(CELL, "c" * 16, None, "cell [1]", NOW, NOW + 9, "ok", {"dspex.kind": "cell"}),
    run_span(RUN, "1"),
    below("2", "1"),
    below("3", "2"),
    run_span(OTHER, "4"),
    below("5", "4"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[TraceStore]:
    with TraceStore(path, clock=FakeClock(NOW)) as made:
        made.append([start(RUN, "1"), start(OTHER, "4")], TOLD)
        yield made


@pytest.mark.usefixtures("store")
def test_a_trace_is_found_by_its_id(path: Path) -> None:
    """Whole, with its cell."""
    trace = TraceLibrary(path).find(CELL)
    assert (trace.name, len(trace)) == ("cell [1]", 6)


@pytest.mark.usefixtures("store")
def test_a_run_is_found_without_the_rest_of_its_cell(path: Path) -> None:
    """What hangs below it, however deep; the beginning of its id will do."""
    trace = TraceLibrary(path).find("a1")
    assert [span.span_id[0] for span in trace.spans] == ["1", "2", "3"]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("wanted", "words"), [("a", "Several traces"), ("ff", "no trace"), ("", "no trace"), ("x'", "no trace")]
)
def test_what_is_none_or_several_is_told(path: Path, wanted: str, words: str) -> None:
    """With a hint."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        TraceLibrary(path).find(wanted)
    assert caught.value.hint


@pytest.mark.usefixtures("store")
def test_the_latest_is_found_without_an_id(path: Path) -> None:
    """Where there is none, that is said."""
    assert TraceLibrary(path).find().trace_id == CELL
    with pytest.raises(ConfigurationError, match="Nothing was traced yet"):
        TraceLibrary(path.with_name("none")).find()


@dataclass
class AnyRun:
    """What a user has in hand."""

    id: str = RUN


@pytest.mark.parametrize(("wanted", "hint"), [(AnyRun(), r"run\.id"), (5, r"traces\(\)")])
def test_what_is_no_id_is_told(path: Path, wanted: Any, hint: str) -> None:
    """A run in the place of its id, for one."""
    with pytest.raises(ConfigurationError, match=hint):
        TraceLibrary(path).find(wanted)


def test_without_a_store_there_is_what_was_not_told(path: Path) -> None:
    """A notebook that never had a host."""
    library = TraceLibrary(path, lambda: TOLD)
    assert len(library.find(CELL)) == 6
    assert [span.span_id[0] for span in library.find("a2").spans] == ["4", "5"]
    assert [(one.name, one.spans, one.errors) for one in library.summaries()] == [("cell [1]", 6, 3)]
    assert not path.exists()


@pytest.mark.usefixtures("store")
def test_what_is_told_in_part_is_shown_once(path: Path) -> None:
    """The store's spans and the notebook's own are one trace."""
    fresh = below("6", "1")
    library = TraceLibrary(path, lambda: [TOLD[1], fresh])
    assert len(library.find(CELL)) == 7
    assert [one.trace_id for one in library.summaries()] == [CELL]
    assert library.summaries()[0].name == "cell [1]"


@pytest.mark.usefixtures("store")
def test_the_table_has_a_line_for_each_trace_newest_first(path: Path) -> None:
    """As many as asked for."""
    later = run_span("b" * 32, "7", trace_id="b" * 32, parent=None)
    newest = Span("d" * 32, "8" * 16, None, "late", NOW + 20, NOW + 21)
    library = TraceLibrary(path, lambda: [later, newest])
    assert list(library.table()["name"]) == ["late", "run bb", "cell [1]"]
    assert list(library.table(2)["trace"]) == ["d" * 32, "b" * 32]
    assert library.table().loc[2, "duration_s"] == 9.0


def test_no_trace_is_an_empty_table(path: Path) -> None:
    """With its columns."""
    assert list(TraceLibrary(path).table().columns) == ["trace", "name", "started", "duration_s", "spans", "errors"]


def test_the_latest_are_found_without_reading_all(store: TraceStore) -> None:
    """Those of which something ended last; the root is the span without a parent, else the earliest."""
    store.append(
        (),
        [
            Span("e" * 32, "1" * 16, "9" * 16, "early", NOW + 30, NOW + 31),
            Span("e" * 32, "2" * 16, None, "root", NOW + 30.5, NOW + 35),
            Span("f" * 32, "3" * 16, "9" * 16, "orphan", NOW + 40, NOW + 41),
        ],
    )
    assert [one.name for one in store.traces(2)] == ["orphan", "root"]
    assert [one.name for one in store.traces()] == ["orphan", "root", "cell [1]"]


def test_a_trace_that_is_dropped_while_one_looks_is_left_out(
    store: TraceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host prunes its store while notebooks read it."""
    monkeypatch.setattr(store, "_latest", lambda limit: ["9" * 32, CELL])
    assert [one.trace_id for one in store.traces()] == [CELL]
