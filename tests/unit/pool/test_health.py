"""What time alone decides, as tables: a snapshot in, verdicts out."""

from __future__ import annotations

import pytest

from dspex_lab.pool.health import HealthLimits, examine, excuse
from dspex_lab.pool.records import CallPhase, CallRecord, PoolRecord, WorkerPhase, WorkerRecord
from dspex_lab.settings import PoolSpec
from dspex_lab.wire.messages import Submit

NOW = 100.0
LIMITS = HealthLimits(worker_start_timeout_s=60.0, worker_silence_s=30.0)
MB = 1024 * 1024


def call(
    phase: CallPhase, *, deadline: float | None = None, started_at: float = 0.0, kill_at: float | None = None
) -> CallRecord:
    worker_id = None if phase is CallPhase.QUEUED else "w"
    return CallRecord(
        Submit(id="c", op="x", pool="general", timeout_s=5.0),
        (b"",),
        b"caller",
        0.0,
        deadline,
        phase=phase,
        worker_id=worker_id,
        started_at=started_at,
        kill_at=kill_at,
    )


def verdicts(calls: list[CallRecord], workers: list[WorkerRecord]) -> list[tuple[str, str, str | None]]:
    spec = PoolSpec(name="general", op_timeout_s=50.0, max_memory_mb=100)
    pool = PoolRecord(spec, workers={worker.id: worker for worker in workers})
    return [
        (one.subject, one.action, type(one.error).__name__ if one.error else None)
        for one in examine(calls, [pool], NOW, LIMITS)
    ]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param(call(CallPhase.QUEUED), [], id="waiting without a limit"),
        pytest.param(call(CallPhase.QUEUED, deadline=100.1), [], id="waiting in time"),
        pytest.param(call(CallPhase.QUEUED, deadline=100.0), [("c", "expire", "DeadlineExceeded")], id="too late"),
        pytest.param(call(CallPhase.RUNNING, started_at=99.0, deadline=100.1), [], id="running in time"),
        pytest.param(
            call(CallPhase.RUNNING, started_at=99.0, deadline=99.9),
            [("c", "expire", "DeadlineExceeded")],
            id="running too long for its caller",
        ),
        pytest.param(
            call(CallPhase.RUNNING, started_at=50.0),
            [("c", "expire", "DeadlineExceeded")],
            id="running too long for its pool",
        ),
        pytest.param(call(CallPhase.RUNNING, started_at=50.1), [], id="just not too long for its pool"),
        pytest.param(call(CallPhase.STOPPING, kill_at=100.1, deadline=1.0), [], id="stopping, with some grace left"),
        pytest.param(call(CallPhase.STOPPING, kill_at=100.0), [("w", "kill", None)], id="does not stop"),
    ],
)
def test_calls(record: CallRecord, expected: list[tuple[str, str, str | None]]) -> None:
    """A call is expired at its deadline, and its worker killed when it does not stop."""
    assert verdicts([record], []) == expected


def worker(phase: WorkerPhase, *, since: float = 90.0, last_heard: float = 90.0, rss_mb: int = 0) -> WorkerRecord:
    return WorkerRecord("w", "general", phase, since, last_heard=last_heard, rss_bytes=rss_mb * MB)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param(worker(WorkerPhase.STARTING, since=40.1), [], id="starts in time"),
        pytest.param(worker(WorkerPhase.STARTING, since=40.0), [("w", "kill", "WorkerLost")], id="hangs at its start"),
        pytest.param(worker(WorkerPhase.READY, last_heard=70.1), [], id="was heard of"),
        pytest.param(worker(WorkerPhase.READY, last_heard=70.0), [("w", "kill", "WorkerLost")], id="is silent"),
        pytest.param(worker(WorkerPhase.READY, rss_mb=100), [], id="as large as it may be"),
        pytest.param(worker(WorkerPhase.READY, rss_mb=101), [("w", "kill", "WorkerMemoryExceeded")], id="too large"),
        pytest.param(worker(WorkerPhase.STOPPING, since=0.0, last_heard=0.0, rss_mb=999), [], id="goes already"),
    ],
)
def test_workers(record: WorkerRecord, expected: list[tuple[str, str, str | None]]) -> None:
    """A worker is killed when it hangs at its start, is silent or too large."""
    assert verdicts([], [record]) == expected


@pytest.mark.parametrize(
    "record",
    [worker(WorkerPhase.READY, last_heard=65.0), worker(WorkerPhase.STARTING, since=35.0)],
    ids=["silent", "slow to start"],
)
def test_while_the_host_is_away_nobody_is_late(record: WorkerRecord) -> None:
    """What the host did not hear because it did not run counts against no worker."""
    assert len(verdicts([], [record])) == 1
    excuse([PoolRecord(PoolSpec(name="general"), workers={record.id: record})], 10.0)
    assert verdicts([], [record]) == []
