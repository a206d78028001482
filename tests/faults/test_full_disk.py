"""A runtime folder on a disk that is full, or fills up under a host: said in the system's own words, and got over.

The disk is a small one in memory, in a mount namespace of the test's own, which ends with its process.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

LIMIT_S = 60
_MOUNT = 'mount -t tmpfs -o size=4m tmpfs "$1" && shift && exec "$@"'

#: What every notebook on the small disk has: a backend on it, and ways to fill it and to call.
NOTEBOOK = """
import asyncio, json, os, sys
from pathlib import Path
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call
from dspex_lab.errors import LabError
from dspex_lab.settings import PoolSpec, Settings

disk = Path(sys.argv[1])
filler = disk / "filler"
backend = KernelBackend(Settings.create(runtime_dir=disk / "lab", pools=(PoolSpec(name="general", size=1),)))

def fill():
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 1024)
    except OSError:
        pass

async def call(op="system.echo", args={"value": 1}):
    try:
        return (await backend.submit(Call(op, args, idempotent=True)).result()).value
    except LabError as error:
        return f"{type(error).__name__}: {error.message}"

async def notebook():
    try:
        return await main()
    finally:
        if backend.is_connected():
            await backend.request("stop")
        await backend.aclose()
"""


def _can_mount(folder: Path) -> bool:
    command = ["unshare", "-rm", "sh", "-c", _MOUNT, "-", str(folder), "true"]
    return (
        shutil.which("unshare") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    if not _can_mount(tmp_path):
        pytest.skip("this system lets nobody mount a disk of their own (user namespaces)")
    return tmp_path


def on_small_disk(disk: Path, main: str) -> Any:
    """What the coroutine ``main`` of a notebook gives whose runtime folder is on the small disk."""
    code = f"{NOTEBOOK}\nasync def main():\n{textwrap.indent(textwrap.dedent(main), '    ')}\n"
    code += "print(json.dumps(asyncio.run(notebook())))"
    command = ["unshare", "-rm", "sh", "-c", _MOUNT, "-", str(disk), sys.executable, "-c", code, str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_host_that_finds_no_room_says_so_at_once(disk: Path) -> None:
    """No wait for a host that cannot start; with room again, the same notebook has one."""
    main = """
        fill()
        refused = await call()
        filler.unlink()
        return [refused, await call()]
    """
    refused, answer = on_small_disk(disk, main)
    assert refused.startswith("HostUnavailable: ")
    assert "No space left on device" in refused
    assert answer == 1


def test_a_disk_that_fills_up_ends_no_worker(disk: Path) -> None:
    """The workers that are there serve on, and the host can be asked."""
    main = """
        first = await call()
        fill()
        answers = [await call() for _ in range(50)]
        status = await backend.request("status")
        return [first, answers, status["pools"]["general"]["counters"]["failed"]]
    """
    assert on_small_disk(disk, main) == [1, [1] * 50, 0]


def test_a_worker_that_finds_no_room_is_told_and_comes_when_there_is(disk: Path) -> None:
    """Calls fail with the system's words, not in silence, and the pool recovers by itself."""
    main = """
        await backend.open()
        fill()
        refused = await call()
        filler.unlink()
        for _ in range(100):
            if (answer := await call()) == 1:
                break
            await asyncio.sleep(0.1)
        return [refused, answer]
    """
    refused, answer = on_small_disk(disk, main)
    assert refused.startswith("WorkerLost: The pool 'general' cannot start a worker: ")
    assert "No space left on device" in refused
    assert answer == 1
