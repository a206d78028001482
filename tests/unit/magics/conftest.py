"""A real IPython shell with the magics, and a lab in it that runs on a scripted backend: no host is ever started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from traitlets.config import Config

from dspex_lab.calls import Usage
from dspex_lab.lab import Lab, use_lab
from dspex_lab.magics.extension import load
from dspex_lab.settings import Settings
from dspex_lab.testing import FakeBackend, FakeCall

__all__ = ["STATUS", "backend", "cell", "lab", "shell"]

WORKER = {
    "id": "general-1",
    "state": "ready",
    "pid": 7,
    "in_flight": 0,
    "calls_done": 3,
    "rss_bytes": 50 * 2**20,
    "cpu_s": 1.5,
}
COUNTERS = {"submitted": 3, "succeeded": 2, "failed": 1, "cancelled": 0, "lost_workers": 0}
STATUS = {
    "host_id": "abcd",
    "pid": 4242,
    "uptime_s": 75.0,
    "clients": [{"name": "notebook 1"}],
    "pools": {
        "general": {"spec": {"size": 8}, "queued": 0, "counters": COUNTERS, "trouble": None, "workers": [WORKER]}
    },
}

JOB = {
    "id": "0123abcd",
    "op": "python.call",
    "pool": "optimizer",
    "state": "running",
    "submitted_at": 1_790_000_000.0,
    "ended_at": None,
}


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    made = InteractiveShell.instance(config=config)
    load(made)
    yield made
    InteractiveShell.clear_instance()


async def answer(call: FakeCall) -> dict[str, Any]:
    """Every output is the name of its field, and a step that writes ``broken`` fails."""
    call.add_usage(Usage(10, 5, None, 1))
    names = [one.split(":")[0].strip() for one in call.call.args["signature"]["text"].split("->")[1].split(",")]
    if "broken" in names:
        raise ValueError("it broke")
    return {name: f"the {name}" for name in names}


@pytest.fixture
def backend() -> FakeBackend:
    log = "host.log", "the last words"
    replies: dict[str, Any] = {
        "status": STATUS,
        "stop": None,
        "pools.start": lambda name: None,
        "pools.resize": lambda name, size: None,
        "pools.add": lambda spec: None,
        "pools.restart": lambda name: 2,
        "pools.remove": lambda name: None,
        "logs": dict([log, ("general-1.log", "hello")]),
        "jobs.list": [JOB],
        "jobs.cancel": lambda job: None,
        "worker.connection": lambda worker: f"/run/{worker}/kernel.json",
    }
    return FakeBackend({"dspy.run": answer}, replies=replies)


@pytest.fixture
def lab(backend: FakeBackend, tmp_path: Path) -> Iterator[Lab]:
    """The current lab, which knows no host and no traces of others."""
    made = Lab(Settings.create(runtime_dir=tmp_path), backend=backend)
    before = use_lab(made)
    yield made
    use_lab(before)
    made.close()


@pytest.fixture
def cell(shell: InteractiveShell, lab: Lab) -> Iterator[Callable[[str], ExecutionResult]]:
    """Runs a cell and returns how it went; the namespace is empty before and after."""
    yield shell.run_cell
    shell.reset(new_session=False)  # type: ignore[no-untyped-call]
