"""The recorder: what runs tell goes out in batches, is kept while nobody hears it, and is never too much."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from dspex_lab.calls import TraceContext
from dspex_lab.telemetry import Event, Recorder, Span
from dspex_lab.telemetry import recorder as module
from dspex_lab.testing import FakeClock


class Tape:
    """A run's tape, filled by the test."""

    def __init__(self, *events: Event, is_closed: bool = True) -> None:
        self.items = list(events)
        self.is_closed = is_closed

    def since(self, position: int) -> list[Event]:
        return self.items[position:]

    def __len__(self) -> int:
        return len(self.items)


class Host:
    """Who hears, or does not; what is in no form that can be sent, it refuses as the wire does."""

    def __init__(self) -> None:
        self.hears = True
        self.spans: list[Span] = []
        self.events: list[Event] = []
        self.batches: list[int] = []

    def tell(self, spans: Sequence[Span], events: Sequence[Event], /) -> bool:
        if not self.hears:
            return False
        for event in events:
            msgspec.msgpack.encode(event)
        self.batches.append(len(events))
        self.spans += spans
        self.events += events
        return True


def span(number: int) -> Span:
    return Span("a" * 32, f"{number:016x}", None, str(number), float(number), number + 1.0)


def run(number: int, **attributes: Any) -> Tape:
    run_id = f"{number:032x}"
    trace = TraceContext(run_id, "1" * 16)
    return Tape(
        Event("run.start", 1.0, {"run_id": run_id, "pipeline": f"p{number}", **attributes}, trace),
        Event("run.end", 2.0, {"run_id": run_id, "status": "succeeded", "duration_s": 1.0}, trace),
    )


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def serving(host: Host, clock: FakeClock) -> AsyncIterator[Recorder]:
    recorder = Recorder(clock)
    task = asyncio.create_task(recorder.serve(host.tell))
    await clock.settle()
    yield recorder
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_run_is_told_within_about_a_second(serving: Recorder, host: Host, clock: FakeClock) -> None:
    """All of it, once, in order; tokens are not: they are added up in the step's own event."""
    tape = run(1)
    tape.items.insert(1, Event("token", 1.5, {"text": "x"}))
    serving.follow(tape)
    await clock.run_for(1.1)
    await clock.run_for(5.0)
    assert [event.name for event in host.events] == ["run.start", "run.end"]
    assert serving.statistics().kept == 0


async def test_a_run_under_way_is_told_as_it_goes(serving: Recorder, host: Host, clock: FakeClock) -> None:
    """What comes later comes with a later batch, without another word of the run's."""
    tape = run(1)
    last, tape.is_closed = tape.items.pop(), False
    serving.follow(tape)
    await clock.run_for(1.1)
    assert [event.name for event in host.events] == ["run.start"]
    tape.items.append(last)
    tape.is_closed = True
    await clock.run_for(2.1)
    assert [event.name for event in host.events] == ["run.start", "run.end"]


async def test_nothing_to_tell_takes_no_time(serving: Recorder, host: Host, clock: FakeClock) -> None:
    """A quiet notebook wakes nobody: there is no timer while nothing is to be told."""
    assert clock.sleepers == 0
    serving.follow(run(1))
    await clock.run_for(3.0)
    assert clock.sleepers == 0
    assert len(host.batches) == 1


async def test_what_nobody_hears_is_kept_until_somebody_does(serving: Recorder, host: Host, clock: FakeClock) -> None:
    """A host that comes later hears of the runs before it; until then they can be looked at."""
    host.hears = False
    serving.follow(run(1))
    serving.add_span(span(5))
    await clock.run_for(2.0)
    assert [one.name for one in serving.spans()] == ["run p1", "5"]
    host.hears = True
    serving.wake()
    await clock.run_for(2.0)
    assert ([one.name for one in host.spans], len(host.events)) == (["5"], 2)
    assert serving.spans() == []


async def test_what_breaks_the_telling_ends_it_not(
    serving: Recorder, host: Host, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen error is logged, and the next run is told."""

    def broken(*_: object) -> bool:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(serving, "flush", broken)
        serving.follow(run(1))
        await clock.run_for(1.1)
    serving.follow(run(2))
    await clock.run_for(2.1)
    assert len(host.events) == 4


def test_too_many_runs_go_oldest_first_and_are_counted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded while nobody hears."""
    monkeypatch.setattr(module, "_MAX_KEPT_RUNS", 3)
    host.hears = False
    recorder = Recorder()
    for number in range(5):
        recorder.follow(run(number))
        recorder.flush(host.tell)
    assert sorted(one.name for one in recorder.spans()) == ["run p2", "run p3", "run p4"]
    assert recorder.statistics().dropped == 2


def test_too_long_runs_go_too_but_the_last(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is: it may be the one that is looked at."""
    monkeypatch.setattr(module, "_MAX_KEPT_EVENTS", 3)
    host.hears = False
    recorder = Recorder()
    for number in range(3):
        recorder.follow(run(number))
    recorder.flush(host.tell)
    assert [one.name for one in recorder.spans()] == ["run p2"]


def test_very_much_is_told_in_messages_of_bounded_length(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a part of it at a time, so that nothing else has to wait."""
    monkeypatch.setattr(module, "_MAX_A_MESSAGE", 10)
    monkeypatch.setattr(module, "_MAX_A_TURN", 30)
    recorder = Recorder()
    for number in range(4):
        tape = run(number)
        tape.items[1:1] = [Event("pipeline.warning", 1.5, {"run_id": f"{number:032x}"}) for _ in range(20)]
        recorder.follow(tape)
    recorder.flush(host.tell)
    assert (max(host.batches), sum(host.batches)) == (10, 44)
    recorder.flush(host.tell)
    assert sum(host.batches) == 88


def test_very_many_spans_are_told_in_messages_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, in order, and none is lost when nobody hears the second message."""
    monkeypatch.setattr(module, "_MAX_A_MESSAGE", 10)
    recorder = Recorder()
    for number in range(25):
        recorder.add_span(span(number))
    told: list[int] = []

    def tell(spans: Sequence[Span], events: Sequence[Event], /) -> bool:
        told.append(len(spans))
        return len(told) < 2 and host.tell(spans, events)

    assert not recorder.flush(tell)
    assert recorder.flush(host.tell)
    assert told == [10, 10]
    assert [one.name for one in host.spans] == [str(number) for number in range(25)]


def test_what_has_no_form_as_bytes_is_told_all_the_same(host: Host) -> None:
    """A lone surrogate in an answer costs nobody their trace."""
    recorder = Recorder()
    recorder.follow(run(1, inputs={"q": "\ud800"}))
    assert recorder.flush(host.tell)
    assert host.events[0].attributes["inputs"] == {"q": "?"}


def test_prompts_stay_in_the_process_when_they_are_not_to_be_recorded(host: Host) -> None:
    """Neither told nor shown; figures and names are."""
    recorder = Recorder(record_prompts=False)
    recorder.follow(run(1, inputs={"q": "private"}))
    assert "private" not in str(recorder.spans())
    recorder.flush(host.tell)
    assert "private" not in str(host.events)
    assert host.events[0].attributes["pipeline"] == "p1"
