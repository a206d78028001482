"""What a batch holds at a time stays the same, however many rows come."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspex_lab.pipelines import native
from dspex_lab.pipelines.batch import keys as keys_module
from dspex_lab.pipelines.batch.keys import RowKeys
from dspex_lab.testing.stage import Stage

#: Each row carries so much text: results that were kept would show.
_TEXT = "x" * 10_000


def rows(count: int) -> Iterator[dict[str, object]]:
    for number in range(count):
        yield {"number": number, "text": f"{number}{_TEXT}"}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_rows_to_a_file_are_not_kept(stage: Stage, tmp_path: Path, suffix: str) -> None:
    """Many rows leave no more in memory than few, and at no time are they all there."""
    made = stage.pipeline(twice=native(lambda number: number * 2))
    stage.hub.on("*", lambda event: None)
    made.map(rows(100), to=tmp_path / f"warm{suffix}", progress=False)
    stage.events.clear()
    gc.collect()
    tracemalloc.start()
    try:
        batch = made.map(rows(3_000), to=tmp_path / f"out{suffix}", progress=False, wait=False)
        while not batch.wait(0.05):
            stage.events.clear()
        stage.events.clear()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert batch.statistics().succeeded == 3_000
    # All of the rows are 30 MB; at most 256 are read ahead and 1,024 under way or being written.
    assert most < 20 * 2**20


def test_a_slow_row_holds_up_a_bounded_number(stage: Stage, tmp_path: Path) -> None:
    """Others go on beside a row that hangs, until so many wait for it that memory would grow."""
    made = stage.pipeline(same=native(_hang_at_zero))
    batch = made.map(range(3_000), to=tmp_path / "out.csv", progress=False, wait=False, durable=False)
    before = -1
    while (done := batch.statistics().done) != before or not done:
        before = done
        batch.wait(0.5)
    assert 1_000 <= done <= 2_000
    batch.cancel()


async def _hang_at_zero(number: int) -> int:
    if number == 0:
        import asyncio

        await asyncio.Event().wait()
    return number


def test_very_many_contents_are_counted_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys are the same as those that are counted in memory."""
    numbers = [1, 2, 1, 3, 4, 2, 1, 5]
    few, many = RowKeys(), RowKeys()
    in_memory = [few.key({"number": number}) for number in numbers]
    monkeypatch.setattr(keys_module, "_IN_MEMORY", 2)
    assert [many.key({"number": number}) for number in numbers] == in_memory
    assert len(set(in_memory)) == len(numbers)
    few.close()
    many.close()
