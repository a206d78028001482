"""The trace store: what is written is there, bounded, private, and survives being killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspex_lab.calls import TraceContext, Usage, new_id
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.spans import Span, new_span_id
from dspex_lab.telemetry.store import TraceStore
from dspex_lab.testing import FakeClock

DAY_S = 86_400.0
TRACE = TraceContext("ab" * 16, "cd" * 8)


def a_span(number: int = 0, *, start: float = 0.0, trace_id: str = TRACE.trace_id, size: int = 0) -> Span:
    attributes = {"number": number, "padding": "x" * size}
    return Span(trace_id, new_span_id(), None, f"span {number}", start, start + 1, "ok", attributes)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=100 * DAY_S)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lab" / "telemetry.sqlite"


@pytest.fixture
def store(path: Path, clock: FakeClock) -> Iterator[TraceStore]:
    with TraceStore(path, clock=clock) as opened:
        yield opened


def test_spans_come_back_as_they_went_in(store: TraceStore, clock: FakeClock) -> None:
    """A trace's spans, by their start, equal to what was appended; others stay out."""
    late = a_span(2, start=clock.now() + 5)
    early = Span(
        TRACE.trace_id, "1" * 16, late.span_id, "early", clock.now(), clock.now() + 1, "error", {"a": [1]}, "no"
    )
    store.append(spans=[late, early, a_span(3, start=clock.now(), trace_id="f" * 32)])
    assert store.spans(TRACE.trace_id) == (early, late)


def test_a_span_sent_twice_is_there_once(store: TraceStore, clock: FakeClock) -> None:
    """A batch that is sent again after a lost answer does no harm."""
    span = a_span(start=clock.now())
    store.append(spans=[span])
    store.append(spans=[span])
    assert store.spans(TRACE.trace_id) == (span,)


def test_events_of_a_run_come_back_in_order(store: TraceStore, clock: FakeClock) -> None:
    """Events of one run, with their trace, in the order in which they were written; usage as plain data."""
    events = [Event("pipeline.step", clock.now(), {"run_id": "r1", "step": str(n)}, TRACE) for n in range(5)]
    other = Event("pipeline.step", clock.now(), {"run_id": "r2", "usage": Usage(1, 2)})
    store.append([*events, other])
    assert store.events("r1") == tuple(events)
    assert store.events("r2")[0].attributes["usage"]["output_tokens"] == 2


def test_a_run_is_made_by_its_start_and_ended_by_its_end(store: TraceStore, clock: FakeClock) -> None:
    """One record per run: status, times, and what both events told."""
    store.append([Event("run.start", clock.now(), {"run_id": "r", "pipeline": "p", "inputs": {"q": 1}}, TRACE)])
    started = store.run("r")
    assert started is not None
    assert (started.status, started.duration_s, started.trace_id) == ("running", None, TRACE.trace_id)
    store.append([Event("run.end", clock.now() + 2, {"run_id": "r", "status": "failed", "duration_s": 2.0})])
    ended = store.run("r")
    assert ended is not None
    assert (ended.pipeline, ended.status, ended.duration_s, ended.started_at) == ("p", "failed", 2.0, clock.now())
    assert ended.attributes == {"inputs": {"q": 1}}


def test_runs_come_newest_first_up_to_the_limit(store: TraceStore, clock: FakeClock) -> None:
    """runs(limit) is what a list in a panel shows."""
    store.append([Event("run.start", clock.now() + n, {"run_id": f"r{n}", "pipeline": "p"}) for n in range(5)])
    assert [run.run_id for run in store.runs(3)] == ["r4", "r3", "r2"]
    assert store.run("unknown") is None


def test_traces_are_summed_up(store: TraceStore, clock: FakeClock) -> None:
    """A line per trace: its first span's name, its length, its spans and errors."""
    now = clock.now()
    child = Span(TRACE.trace_id, "2" * 16, "1" * 16, "child", now + 1, now + 2, "error")
    store.append(spans=[child, Span(TRACE.trace_id, "1" * 16, None, "root", now, now + 3)])
    (summary,) = store.traces()
    assert (summary.name, summary.duration_s, summary.spans, summary.errors) == ("root", 3.0, 2, 1)


def test_tokens_are_not_stored(store: TraceStore, clock: FakeClock) -> None:
    """A streamed answer does not fill the file piece by piece."""
    store.append([Event("token", clock.now(), {"run_id": "r", "text": "a"})])
    assert store.statistics().events == 0


def test_secrets_are_filtered_on_the_way_in(store: TraceStore, clock: FakeClock, path: Path) -> None:
    """Whoever wrote the event, no key reaches the file."""
    event = Event(
        "run.start", clock.now(), {"run_id": "r", "inputs": {"api_key": "hunter2hunter2", "q": "sk-" + "z" * 30}}
    )
    store.append([event], [Span("1" * 32, "1" * 16, None, "s", 0, clock.now(), "ok", {"authorization": "hunter2"})])
    store.close()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"hunter2" not in content
    assert b"zzzz" not in content


def test_prompts_stay_out_where_they_are_off(path: Path, clock: FakeClock) -> None:
    """With record_prompts off no input, output or message is in the file."""
    with TraceStore(path, clock=clock, record_prompts=False) as store:
        store.append(
            [Event("run.start", clock.now(), {"run_id": "r", "inputs": {"q": "mine"}})],
            [Span("1" * 32, "1" * 16, None, "s", 0, clock.now(), "error", {"dspex.outputs": "mine"}, "mine")],
        )
    assert b"mine" not in path.read_bytes()


def test_a_failing_batch_leaves_nothing_behind(store: TraceStore, clock: FakeClock) -> None:
    """A batch is one transaction: all of it or nothing."""
    bad = Span("1" * 32, "1" * 16, None, None, 0, 1)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        store.append([Event("cache.hit", clock.now())], [a_span(start=clock.now()), bad])
    now = store.statistics()
    assert (now.events, now.spans, now.appended) == (0, 0, 0)


def test_old_rows_are_pruned(path: Path, clock: FakeClock) -> None:
    """What ended longer ago than max_age_days goes, with runs and events; the rest stays."""
    with TraceStore(path, max_age_days=1, clock=clock) as store:
        start = Event("run.start", clock.now(), {"run_id": "old", "pipeline": "p"})
        store.append([start], [a_span(1, start=clock.now())])
        clock.advance(2 * DAY_S)
        store.append([Event("run.start", clock.now(), {"run_id": "new", "pipeline": "p"})])
        assert [run.run_id for run in store.runs()] == ["new"]
        assert (store.events("old"), store.spans(TRACE.trace_id)) == ((), ())


def test_the_file_stays_within_its_size(path: Path, clock: FakeClock) -> None:
    """Whatever is appended, the size is bounded, and the newest spans are the ones that stay."""
    with TraceStore(path, max_size_mb=1, clock=clock) as store:
        for batch in range(40):
            now = clock.now() + batch
            store.append(spans=[a_span(batch, start=now, trace_id=new_id(), size=1_000) for _ in range(100)])
            assert store.statistics().size_bytes <= 1_048_576
        newest = store.traces(1)[0]
        assert newest.name == "span 39"
    assert path.stat().st_size <= 1.2 * 1_048_576


def test_the_files_are_the_users_own(store: TraceStore, path: Path, clock: FakeClock) -> None:
    """The database and the files beside it have mode 0600."""
    store.append([Event("cache.hit", clock.now())])
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes[path.name] == 0o600
    assert set(modes.values()) == {0o600}


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nobody can point the store at another file."""
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match=r"symbolic|Too many levels"):
        TraceStore(tmp_path / "link")


@pytest.mark.parametrize("content", [b"this is no database, " * 500, b"SQLite format 3\0" + b"\xff" * 5_000])
def test_a_damaged_file_is_set_aside(path: Path, clock: FakeClock, content: bytes) -> None:
    """A file that is no database does not keep the host from starting; it is kept for people."""
    path.parent.mkdir()
    path.write_bytes(content)
    with TraceStore(path, clock=clock) as store:
        store.append([Event("cache.hit", clock.now())])
        assert store.statistics().events == 1
    assert path.with_name(path.name + ".aside").read_bytes() == content


def test_a_file_of_another_version_is_set_aside(path: Path, clock: FakeClock) -> None:
    """A schema that is not known is neither read nor changed."""
    TraceStore(path, clock=clock).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.commit()
    database.close()
    with TraceStore(path, clock=clock) as store:
        assert store.runs() == ()
    assert path.with_name(path.name + ".aside").exists()


def test_closing_leaves_one_file(store: TraceStore, path: Path, clock: FakeClock) -> None:
    """After close the journal is folded in; a second close is fine; further use is an error."""
    store.append([Event("cache.hit", clock.now())])
    store.close()
    store.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert repr(store) == "<TraceStore [closed]>"
    with pytest.raises(ValueError, match="closed"):
        store.runs()


def test_reopening_finds_everything(path: Path, clock: FakeClock) -> None:
    """What one host wrote the next one reads."""
    with TraceStore(path, clock=clock) as store:
        store.append(spans=[a_span(start=clock.now())])
    with TraceStore(path, clock=clock) as store:
        assert len(store.spans(TRACE.trace_id)) == 1


def test_threads_may_write_at_the_same_time(store: TraceStore, clock: FakeClock) -> None:
    """8 threads, 50 batches each: every span is there."""

    def work(number: int) -> None:
        for _ in range(50):
            store.append(spans=[a_span(number, start=clock.now())])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.spans(TRACE.trace_id)) == 400


def test_the_repr_is_a_status_line(store: TraceStore, clock: FakeClock) -> None:
    """The repr tells version, counts and size."""
    store.append([Event("cache.hit", clock.now())])
    assert repr(store).startswith("<TraceStore [v1, runs: 0, events: 1, spans: 0, 0.")


KILLED_WRITER = """
import sys
from pathlib import Path
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.spans import Span, new_span_id
from dspex_lab.telemetry.store import TraceStore

store = TraceStore(Path(sys.argv[1]))
now = store._clock.now()
for batch in range(1_000_000):
    events = [Event("run.start", now, {"run_id": f"run {batch}", "pipeline": "p"})]
    spans = [Span(f"{batch:032x}", new_span_id(), None, "s", now, now, "ok", {"x": "y" * 300}) for _ in range(50)]
    store.append(events, spans)
    sys.stdout.write(f"{batch}\\n")
    sys.stdout.flush()
"""


def test_a_killed_writer_loses_at_most_its_last_batch(path: Path) -> None:
    """SIGKILL in the middle of writing: every batch that was reported is whole, no batch is in pieces, and the
    store goes on."""
    process = subprocess.Popen([sys.executable, "-c", KILLED_WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    reported = -1
    try:
        while reported < 60:
            reported = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        reported = max([reported, *map(int, process.stdout.read().split())])
    finally:
        process.kill()
        process.stdout.close()
        process.wait(timeout=30)
    with TraceStore(path) as store:
        runs = {run.run_id for run in store.runs(limit=1_000_000)}
        assert {f"run {batch}" for batch in range(reported + 1)} <= runs
        assert all(len(store.spans(f"{int(run.split()[1]):032x}")) == 50 for run in runs)
        check = sqlite3.connect(path).execute("PRAGMA integrity_check")
        assert check.fetchone() == ("ok",)
        check.connection.close()
        store.append(spans=[a_span(start=store._clock.now())])
        assert store.spans(TRACE.trace_id)


def test_a_run_waits_while_what_it_asks_is_open(store: TraceStore) -> None:
    """Until every question is answered, or the run ends; one that goes on asks anew."""

    def tell(*names: str) -> str:
        told = {"run_id": "r", "status": "cancelled"}
        store.append([Event(name, 1.0, told) for name in names])
        record = store.run("r")
        assert record is not None
        return record.status

    assert tell("run.start", "run.question", "run.question") == "waiting"
    assert tell("run.answer") == "waiting"
    assert tell("run.answer") == "running"
    assert tell("run.question", "run.end") == "cancelled"
    assert tell("run.answer") == "cancelled"
    assert tell("run.start") == "running"
    assert tell("run.question") == "waiting"
    assert tell("run.answer") == "running"
