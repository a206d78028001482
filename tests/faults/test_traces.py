"""Traces and killed hosts: what was written stays, the file is sound, and a run's trace goes on with the next host."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspex_lab.errors import LabError
from dspex_lab.lab import Lab, use_lab
from dspex_lab.programs import native, pipeline
from dspex_lab.telemetry import TraceReader
from dspex_lab.testing.site import Site, until

ROUNDS = 5


@pytest.fixture
def lab(site: Site, tmp_path: Path) -> Iterator[Lab]:
    with Lab(site.settings(data_dir=tmp_path)) as made:
        before = use_lab(made)
        yield made
        use_lab(before)


def kill_host(site: Site) -> None:
    os.kill(site.host_pid(), signal.SIGKILL)


def double(value: int) -> int:
    return 2 * value


def test_what_was_written_survives_the_hosts_death(site: Site, lab: Lab) -> None:
    """After each kill the file is whole, and every trace that could be looked at before can be still."""
    in_worker = native(double, pool="general", retry=0)
    known: dict[str, int] = {}
    for _ in range(ROUNDS):
        try:
            run = in_worker.submit(value=1)
            run.result()
        except LabError:  # it began before the last host's end was told
            continue
        known[run.id] = len(lab.trace(run.id))
        in_worker.submit(value=2)  # something to be written while the host dies
        kill_host(site)
        with sqlite3.connect(lab.settings.trace_file) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()
        with TraceReader(lab.settings.trace_file) as reader:
            assert {run_id: len(reader.spans(run_id)) for run_id in known} == known
    assert known


def test_a_trace_goes_on_with_the_next_host(site: Site, lab: Lab) -> None:
    """A run whose host is killed between two steps, and which gets another one, is one trace with all of its steps."""

    async def kill(first: int) -> None:
        kill_host(site)
        await until(lambda: not lab.has_host())

    made = pipeline(
        "two",
        first=native(double, reads=["value"], pool="general", retry=0),
        kill=native(kill),
        last=native(lambda kill, first: 2 * first, pool="general", retry=0),
    )
    made(value=1)
    run = made.last_run
    assert run is not None
    names = {span.name for span in lab.trace(run.id).spans}
    assert {"run two", "step first", "native kill", "step last"} <= names


def test_runs_without_a_host_are_told_to_the_next(site: Site, lab: Lab) -> None:
    """What a notebook did alone is in the store once there is a host, whatever becomes of the notebook."""
    run = native(double).submit(value=1)
    run.result()
    assert not lab.has_host()
    assert [span.name for span in lab.trace(run.id).spans] == ["run double", "native double"]
    lab.start()
    lab.close()
    with Lab(lab.settings) as other:
        assert len(other.trace(run.id)) == 2
    with TraceReader(lab.settings.trace_file) as reader:
        record = reader.run(run.id)
    assert record is not None
    assert record.status == "succeeded"
