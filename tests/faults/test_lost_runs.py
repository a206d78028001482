"""A notebook that is killed while a run is under way: the panels are told the end that it could not tell."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from dspex_lab.telemetry import RunRecord, TraceReader
from dspex_lab.testing.site import Site, until

NOTEBOOK = """
import sys, time
from dspex_lab.lab import Lab
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab import native, pipeline
import dspex_lab.lab as labs
folder, pools = sys.argv[1], (PoolSpec(name="general", size=1),)
lab = Lab(Settings.create(runtime_dir=folder, data_dir=folder + "/data", pools=pools))
labs.use_lab(lab)
lab.start()
run = pipeline("long", nap=native(lambda seconds: time.sleep(seconds), writes="nap")).submit(seconds=120)
print(run.id, flush=True)
time.sleep(120)
"""


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.end()


@pytest.fixture
def notebook(site: Site) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process with a run under way, and the run's id."""
    command = [sys.executable, "-c", NOTEBOOK, str(site.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


async def test_a_run_whose_notebook_is_killed_ends(site: Site, notebook: tuple[subprocess.Popen[str], str]) -> None:
    """As cancelled, and it says why; the host goes on."""
    process, run_id = notebook
    path = site.settings().trace_file

    def found() -> RunRecord | None:
        if not path.exists():
            return None
        with TraceReader(path) as reader:
            return reader.run(run_id)

    await until(lambda: (run := found()) is not None and run.status == "running")
    process.kill()
    await until(lambda: (run := found()) is not None and run.status == "cancelled")
    run = found()
    assert run is not None
    assert run.attributes["error"]["message"] == "The notebook ended while the run was under way."
    assert site.host_pid()
