"""Jobs outlive the notebook that began them: closed, or killed in the middle."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dspex_lab.errors import Cancelled, ConfigurationError, HostUnavailable, PythonError, ValidationError
from dspex_lab.lab import Lab
from dspex_lab.testing.site import LIMIT_S, Site

#: A notebook that begins a job and an ordinary call, says the job's id, and waits to be killed.
NOTEBOOK = """
import sys, time
from dspex_lab.calls import Call, Code
from dspex_lab.lab import Lab
from dspex_lab.settings import PoolSpec, Settings

def work(mark, seconds, value):
    time.sleep(seconds)
    with open(mark, "a") as file:
        file.write("done\\n")
    return value

lab = Lab(Settings.create(runtime_dir=sys.argv[1], pools=(PoolSpec(name="general", size=2),)))
job = lab.start_job(work, sys.argv[2] + "/job", 1.0, [1, 2])

async def call():
    return lab.backend.submit(Call("python.call", {"function": Code(work), "args": [sys.argv[2] + "/call", 1.0, 3]}))

lab.portal.run(call)
print(job.id, flush=True)
time.sleep(60)
"""


def nap(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


def fail() -> None:
    raise ValueError("as asked")


def test_a_killed_notebook_loses_its_calls_and_not_its_jobs(site: Site, tmp_path: Path) -> None:
    """The job finishes and its value waits for another notebook; the ordinary call is dropped; nothing is left."""
    with subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, str(site.folder), str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as notebook:
        assert notebook.stdout is not None
        job_id = notebook.stdout.readline().strip()
        os.kill(notebook.pid, signal.SIGKILL)
        notebook.wait(LIMIT_S)
    with Lab(site.settings()) as lab:
        assert lab.job(job_id).result(LIMIT_S) == [1, 2]
        assert lab.job(job_id).summary().state == "succeeded"
        assert sum(pool.in_flight for pool in lab.status().pools) == 0
        lab.stop()
    assert (tmp_path / "job").read_text() == "done\n"
    assert not (tmp_path / "call").exists()


def test_a_closed_lab_leaves_its_jobs(site: Site) -> None:
    """Closing cancels calls, and no job."""
    with Lab(site.settings()) as lab:
        job = lab.start_job(nap, 0.5)
    with Lab(site.settings()) as other:
        assert [one.id for one in other.jobs()] == [job.id]
        assert other.job(job.id).result(LIMIT_S) == "slept"
        assert asyncio.run(other.job(job.id).aresult(LIMIT_S)) == "slept"


def test_a_job_is_cancelled_from_anywhere_and_fails_with_its_own_error(site: Site) -> None:
    """Its end is told to whoever asks; an unknown one is told as such."""
    with Lab(site.settings()) as lab:
        long, bad = lab.start_job(nap, 60.0), lab.start_job(fail)
        lab.job(long.id).cancel()
        with pytest.raises(Cancelled):
            long.result(LIMIT_S)
        with pytest.raises(PythonError, match="as asked"):
            bad.result(LIMIT_S)
        with pytest.raises(ConfigurationError, match="knows no job"):
            lab.job("nobody").result(1.0)
        with pytest.raises(ConfigurationError, match="no pool 'none'"):
            lab.start_job(nap, 0.0, pool="none")


@pytest.mark.parametrize("how", ["idle", "killed"])
def test_a_value_outlives_its_host(site: Site, how: str) -> None:
    """Whether the host left or was killed: the next notebook's has the value; a job that was under way is lost."""
    settings = site.settings(idle_exit_s=0.3)
    with Lab(settings) as lab:
        job = lab.start_job(nap, 0.0)
        assert job.result(2 * LIMIT_S) == "slept"
        host = psutil.Process(site.host_pid())
        if how == "killed":
            lost = lab.start_job(nap, 60.0)
            host.kill()
    psutil.wait_procs([host], timeout=LIMIT_S)
    with Lab(settings) as other:
        assert other.job(job.id).result(LIMIT_S) == "slept"
        assert other.status().pid != host.pid
        if how == "killed":
            with pytest.raises(HostUnavailable, match="while the job was under way"):
                other.job(lost.id).result(LIMIT_S)


def total(data: bytes) -> int:
    return len(data)


def large() -> bytes:
    return bytes(16 * 1024 * 1024)


def test_a_job_that_waits_keeps_its_large_argument(site: Site) -> None:
    """It is in shared memory, and its notebook leaves before it runs; a large value that nobody waits for is dropped,
    and the pool goes on."""
    with Lab(site.settings()) as lab:
        first = lab.start_job(nap, 1.0)
        job, told = lab.start_job(total, large()), lab.start_job(large)
    with Lab(site.settings()) as other:
        assert other.job(first.id).result(2 * LIMIT_S) == "slept"
        assert other.job(job.id).result(LIMIT_S) == 16 * 1024 * 1024
        with pytest.raises(ValidationError, match="too large to be kept"):
            other.job(told.id).result(LIMIT_S)
        assert not list(Path("/dev/shm").glob(f"dspex-{other.status().host_id}.*"))
