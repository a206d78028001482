"""How many threads the decoders may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dspex_lab.worker.engines import cores
from dspex_lab.worker.engines.cores import decoder_threads, prompt_threads, quota_cores, usable_cores

VERSION_1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")


@pytest.mark.parametrize(("text", "share"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("nonsense", None)])
def test_the_quota_of_a_container_is_read(tmp_path: Path, text: str, share: float | None) -> None:
    """In cores; None where the container has no bound."""
    (tmp_path / "cpu.max").write_text(text)
    assert quota_cores(tmp_path) == share


@pytest.mark.parametrize(("quota", "share"), [("200000", 2.0), ("-1", None)])
def test_the_quota_of_older_groups_is_read(tmp_path: Path, quota: str, share: float | None) -> None:
    """The first version keeps it in two files, and says -1 for no bound."""
    (tmp_path / "cpu").mkdir()
    for name, text in zip(VERSION_1, (quota, "100000"), strict=True):
        (tmp_path / name).write_text(f"{text}\n")
    assert quota_cores(tmp_path) == share


def test_without_groups_there_is_no_quota(tmp_path: Path) -> None:
    """As on a system that has none."""
    assert quota_cores(tmp_path) is None


def test_a_container_s_cores_are_not_the_machine_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container that may use one and a half of sixteen cores counts on two."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 8)
    monkeypatch.setattr(cores, "_GROUPS", tmp_path)
    assert usable_cores() == 8
    (tmp_path / "cpu.max").write_text("150000 100000")
    assert usable_cores() == 2


def test_one_core_is_left_to_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """While text is written; on a machine with one core there is none to leave."""
    monkeypatch.setattr(cores, "usable_cores", lambda: 4)
    assert decoder_threads() == 3
    monkeypatch.setattr(cores, "usable_cores", lambda: 1)
    assert decoder_threads() == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU's OpenMP is Linux's")
def test_prompts_are_read_on_all_cores_where_waiting_threads_sleep(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """OpenMP must be told so before it is loaded; where it is there already, a core is left."""
    monkeypatch.setattr(cores, "usable_cores", lambda: 4)
    monkeypatch.setattr(cores, "_MAPS", tmp_path / "maps")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    cores._MAPS.write_text("7f00-7f01 r-xp 00000000 00:00 0 /lib/x86_64-linux-gnu/libgomp.so.1\n")
    assert prompt_threads() == 3
    cores._MAPS.write_text("7f00-7f01 r-xp 00000000 00:00 0 /lib/x86_64-linux-gnu/libc.so.6\n")
    assert prompt_threads() == 4
    assert int(os.environ["GOMP_SPINCOUNT"]) < 10_000


def test_a_user_s_own_measure_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets how long OpenMP's threads spin has it so."""
    monkeypatch.setenv("GOMP_SPINCOUNT", "77")
    assert prompt_threads() == usable_cores()
    assert os.environ["GOMP_SPINCOUNT"] == "77"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU's OpenMP is Linux's")
def test_dspy_loads_no_openmp() -> None:
    """A worker that is forked with DSPy in it can still be told how its threads wait."""
    code = "import dspy; print('libgomp' in open('/proc/self/maps').read())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=110, check=True)
    assert told.stdout.split()[-1] == "False"
