"""The book of detached calls: what they came to is kept, within bounds, and their caller may be gone."""

from __future__ import annotations

import pytest

from dspex_lab.errors import Cancelled, ConfigurationError
from dspex_lab.pool import jobs
from dspex_lab.pool.broker import Broker
from dspex_lab.pool.jobs import JobBook
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost
from dspex_lab.wire.messages import Done, Failed, Segment, Submit


@pytest.fixture
def host() -> FakeHost:
    made = FakeHost(PoolSpec(name="general", size=1))
    made.add_client()
    return made


@pytest.fixture
def book(host: FakeHost) -> JobBook:
    """The book of the host's broker."""
    book = JobBook(host.clock)
    host.broker = Broker(
        host.workforce,
        host.outbox,
        host.clock,
        on_begin=book.begun,
        on_end=lambda call, done, payload, error: book.ended(call, done, payload, error),
    )
    host.add_client()
    return book


def begin(host: FakeHost, call_id: str = "job") -> bytes:
    """A detached call that runs; the worker that has it."""
    host.broker.submit(b"notebook", Submit(call_id, "x", "general", detached=True), (b"arguments",))
    host.greet_all()
    return next(iter(host.workforce.workers)).encode()


def test_a_job_outlives_its_caller(host: FakeHost, book: JobBook) -> None:
    """The notebook dies, the worker goes on, and the value is there for whoever asks."""
    worker = begin(host)
    host.broker.remove_peer(b"notebook")
    assert book.outcome("job")["state"] == "running"
    host.broker.done(worker, Done("job"), (b"value", b"more"))
    outcome = book.outcome("job")
    assert (outcome["state"], outcome["frames"], outcome["error"]) == ("succeeded", [b"value", b"more"], None)
    assert not host.broker.calls


def test_a_call_that_is_not_detached_is_in_no_book(host: FakeHost, book: JobBook) -> None:
    """Its caller has its value, and nobody else."""
    host.broker.submit(b"notebook", Submit("plain", "x", "general"), ())
    with pytest.raises(ConfigurationError, match="knows no job 'plain'"):
        book.outcome("plain")


def test_how_a_job_failed_is_kept(host: FakeHost, book: JobBook) -> None:
    """The error is the worker's own."""
    host.broker.failed(begin(host), Failed("job", {"type": "PythonError", "message": "no"}))
    assert book.outcome("job")["error"] == {"type": "PythonError", "message": "no"}
    assert book.summaries()[0]["state"] == "failed"


def test_a_waiting_job_is_cancelled_by_anybody(host: FakeHost, book: JobBook) -> None:
    """It never runs, and its state says so."""
    host.broker.submit(b"notebook", Submit("job", "x", "general", detached=True), ())
    assert book.outcome("job")["state"] == "waiting"
    host.broker.stop_call(book.call("job"), Cancelled("The job was cancelled."))
    assert book.outcome("job")["state"] == "cancelled"


def test_a_value_in_shared_memory_is_not_kept(host: FakeHost, book: JobBook) -> None:
    """The error says what to do instead."""
    host.broker.done(begin(host), Done("job", segments=(Segment(0, "name", 9),)), (b"",))
    error = book.outcome("job")["error"]
    assert error["type"] == "ValidationError"
    assert "return the path" in error["hint"]


@pytest.mark.parametrize(
    ("bound", "value"), [("_MAX_JOBS", 2), ("_MAX_BYTES", 2 * 5), ("_MAX_AGE_S", 2.5)], ids=["count", "size", "age"]
)
def test_the_oldest_ends_are_forgotten(
    host: FakeHost, book: JobBook, monkeypatch: pytest.MonkeyPatch, bound: str, value: float
) -> None:
    """The book stays within its bounds, whatever is asked of it; the last that ended is always there."""
    monkeypatch.setattr(jobs, bound, value)
    for number in range(5):
        host.broker.done(begin(host, f"job {number}"), Done(f"job {number}"), (b"12345",))
        host.clock.advance(1.0)
    assert {one["id"] for one in book.summaries()} <= {"job 2", "job 3", "job 4"}
    assert "job 4" in {one["id"] for one in book.summaries()}
