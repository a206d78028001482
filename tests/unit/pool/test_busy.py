"""Who computes is not silent, and who hangs is."""

from __future__ import annotations

import os

import pytest

from dspex_lab.pool.busy import cpu_seconds, excuse_busy
from dspex_lab.pool.records import PoolRecord, WorkerPhase, WorkerRecord
from dspex_lab.settings import PoolSpec

NOW, SILENCE_S = 100.0, 30.0


def excused(worker: WorkerRecord, used: float | None) -> bool:
    pool = PoolRecord(PoolSpec(name="general"), workers={worker.id: worker})
    before = worker.last_heard
    excuse_busy([pool], NOW, SILENCE_S, lambda pid: used)
    return worker.last_heard != before


def silent(
    *, phase: WorkerPhase = WorkerPhase.READY, last_heard: float = 70.0, calls: tuple[str, ...] = ("c",)
) -> WorkerRecord:
    return WorkerRecord("w", "general", phase, 0.0, pid=1, last_heard=last_heard, cpu_s=5.0, calls=set(calls))


@pytest.mark.parametrize(
    ("worker", "used", "expected"),
    [
        pytest.param(silent(), 20.0, True, id="computes"),
        pytest.param(silent(phase=WorkerPhase.DRAINING), 20.0, True, id="computes, its last call"),
        pytest.param(silent(), 5.1, False, id="hangs"),
        pytest.param(silent(), None, False, id="is gone"),
        pytest.param(silent(calls=()), 20.0, False, id="computes for nobody"),
        pytest.param(silent(last_heard=70.1), 20.0, False, id="was heard of"),
        pytest.param(silent(phase=WorkerPhase.STOPPING), 20.0, False, id="is on its way out"),
    ],
)
def test_who_is_excused(worker: WorkerRecord, used: float | None, expected: bool) -> None:
    """Calls, silence and CPU time together."""
    assert excused(worker, used) is expected


def test_each_excuse_is_for_new_work() -> None:
    """What was used before counts once."""
    worker = silent()
    assert excused(worker, 20.0)
    worker.last_heard = 70.0
    assert not excused(worker, 20.1)


def test_cpu_time_is_the_systems_own_figure() -> None:
    """Of this process there is one, of none there is not."""
    assert (cpu_seconds(os.getpid()) or 0) > 0
    assert cpu_seconds(2**30) is None
