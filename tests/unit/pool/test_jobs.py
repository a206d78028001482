"""The book of detached calls: what they came to is kept, within bounds, and their caller may be gone."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from dspex_lab.errors import Cancelled, ConfigurationError
from dspex_lab.pool import jobs
from dspex_lab.pool.broker import Broker
from dspex_lab.pool.job_files import JobFiles
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
    return keep_book(host, JobBook(host.clock))


def keep_book(host: FakeHost, book: JobBook) -> JobBook:
    """Have the host's broker, with a notebook, tell ``book`` of its calls."""
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
    call = book.call("job")
    assert call is not None
    host.broker.stop_call(call, Cancelled("The job was cancelled."))
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


# --- on the disk --------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> JobFiles:
    return JobFiles(tmp_path / "jobs")


def next_book(host: FakeHost, files: JobFiles) -> JobBook:
    """The book of the host that comes after."""
    return JobBook(host.clock, files)


def test_a_value_is_there_for_the_next_host(host: FakeHost, files: JobFiles) -> None:
    """However its own host ended: it was written before anybody was told."""
    book = keep_book(host, JobBook(host.clock, files))
    host.broker.done(begin(host), Done("job"), (b"value", memoryview(b"more")))
    for one in (book, next_book(host, files)):
        outcome = one.outcome("job")
        assert (outcome["state"], outcome["frames"], outcome["error"]) == ("succeeded", [b"value", b"more"], None)


def test_how_a_job_failed_is_there_for_the_next_host(host: FakeHost, files: JobFiles) -> None:
    """Its error, and what became of those that were cancelled."""
    keep_book(host, JobBook(host.clock, files))
    host.broker.failed(begin(host), Failed("job", {"type": "PythonError", "message": "no"}))
    outcome = next_book(host, files).outcome("job")
    assert (outcome["state"], outcome["error"]) == ("failed", {"type": "PythonError", "message": "no"})


def test_a_job_that_was_under_way_is_told_as_lost(host: FakeHost, files: JobFiles) -> None:
    """Waiting or running when its host ended: the next one says so, and the one after that as well."""
    keep_book(host, JobBook(host.clock, files))
    begin(host)
    for _ in range(2):
        host.clock.advance(60.0)
        outcome = next_book(host, files).outcome("job")
        assert outcome["state"] == "failed"
        assert "ended while the job was under way" in outcome["error"]["message"]
    assert outcome["ended_at"] == host.clock.now() - 60.0


def test_after_a_day_nothing_is_left(host: FakeHost, files: JobFiles, tmp_path: Path) -> None:
    """Not for the next host either, and no file."""
    keep_book(host, JobBook(host.clock, files))
    host.broker.done(begin(host), Done("job"), (b"value",))
    host.clock.advance(25 * 3600.0)
    assert next_book(host, files).summaries() == []
    assert list((tmp_path / "jobs").iterdir()) == []


def test_what_is_forgotten_is_off_the_disk(
    host: FakeHost, files: JobFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bounds of the book are those of the folder."""
    monkeypatch.setattr(jobs, "_MAX_JOBS", 2)
    book = keep_book(host, JobBook(host.clock, files))
    for number in range(5):
        host.broker.done(begin(host, f"job {number}"), Done(f"job {number}"), (b"12345",))
        host.clock.advance(1.0)
    assert {one["id"] for one in book.summaries()} == {"job 3", "job 4"}
    assert len(list((tmp_path / "jobs").iterdir())) == 2


def test_the_files_are_the_users_alone(host: FakeHost, files: JobFiles, tmp_path: Path) -> None:
    """0700 and 0600, under names that no client chose."""
    keep_book(host, JobBook(host.clock, files))
    host.broker.done(begin(host, "../../job"), Done("../../job"), (b"value",))
    (file,) = (tmp_path / "jobs").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [path.name for path in tmp_path.iterdir()] == ["jobs"]


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x80", pickle.dumps([1])], ids=["empty", "bytes", "map", "pickle"])
def test_what_is_no_entry_is_cleared_away(host: FakeHost, files: JobFiles, tmp_path: Path, data: bytes) -> None:
    """It keeps no host from starting, and nothing in it is run."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "x").write_bytes(data)
    assert next_book(host, files).summaries() == []
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_disk_that_refuses_costs_the_next_host_and_not_this_one(host: FakeHost, tmp_path: Path) -> None:
    """The value stays in memory, as long as its host lives."""
    (tmp_path / "jobs").touch()
    book = keep_book(host, JobBook(host.clock, JobFiles(tmp_path / "jobs")))
    host.broker.done(begin(host), Done("job"), (b"value",))
    assert book.outcome("job")["frames"] == [b"value"]


def test_a_value_that_somebody_removed_is_unknown(host: FakeHost, files: JobFiles, tmp_path: Path) -> None:
    """No empty value is made up for it."""
    book = keep_book(host, JobBook(host.clock, files))
    host.broker.done(begin(host), Done("job"), (b"value",))
    for file in (tmp_path / "jobs").iterdir():
        file.unlink()
    with pytest.raises(ConfigurationError, match="knows no job"):
        book.outcome("job")
