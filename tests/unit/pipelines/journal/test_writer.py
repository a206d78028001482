"""The writer: orders are whole, durable when they say so, and share commits."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from dspex_lab.pipelines.journal.writer import Statement, Writer

INSERT = "INSERT INTO states (run, at, state) VALUES (?, ?, ?)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.sqlite"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    made = Writer(path)
    yield made
    made.close()


def insert(number: int) -> Sequence[Statement]:
    return [(INSERT, (number, 0.0, "running"))]


def broken() -> Sequence[Statement]:
    raise ZeroDivisionError


def rows(path: Path) -> list[int]:
    database = sqlite3.connect(path)
    try:
        return [row[0] for row in database.execute("SELECT run FROM states ORDER BY rowid")]
    finally:
        database.close()


def test_what_is_done_can_be_read_by_others(writer: Writer, path: Path) -> None:
    """Another connection sees the row as soon as the future is done."""
    assert writer.submit(lambda: [(INSERT, (1, 0.0, "running"))]).result(10) == 1
    assert rows(path) == [1]


def test_orders_that_wait_share_a_commit(writer: Writer, path: Path) -> None:
    """What comes while a commit is under way goes into the next one, all of it, in its order."""
    gate = threading.Event()

    def held() -> Sequence[Statement]:
        gate.wait(10)
        return [(INSERT, (0, 0.0, "running"))]

    orders = [writer.submit(held)]
    orders += [writer.submit(partial(insert, number)) for number in range(1, 50)]
    gate.set()
    assert [order.result(10) for order in orders] == [1] * 50
    assert rows(path) == list(range(50))
    assert writer.statistics().commits <= 2


def test_an_order_that_fails_leaves_no_trace_and_harms_no_other(writer: Writer, path: Path) -> None:
    """Its first statement is taken back with it; what shared its commit is written all the same."""
    gate = threading.Event()
    writer.submit(lambda: () * gate.wait(10))
    bad = writer.submit(lambda: [(INSERT, (1, 0.0, "x")), ("INSERT INTO nowhere VALUES (1)", ())])
    worse = writer.submit(broken)
    good = writer.submit(lambda: [(INSERT, (2, 0.0, "x"))])
    gate.set()
    assert good.result(10) == 1
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        bad.result(10)
    with pytest.raises(ZeroDivisionError):
        worse.result(10)
    assert rows(path) == [2]
    assert writer.statistics().failed == 2


def test_closing_writes_what_waits(writer: Writer, path: Path) -> None:
    """Nothing that was submitted before is lost, and what comes after is refused."""
    orders = [writer.submit(lambda: [(INSERT, (1, 0.0, "x"))]) for _ in range(20)]
    writer.close()
    assert [order.result(0) for order in orders] == [1] * 20
    with pytest.raises(sqlite3.ProgrammingError):
        writer.submit(tuple).result(0)
    assert len(rows(path)) == 20


def test_a_folder_that_cannot_be_written_fails_the_order(tmp_path: Path) -> None:
    """The next order tries again: the folder may be there by then."""
    blocker = tmp_path / "data"
    blocker.write_text("no folder")
    writer = Writer(blocker / "journal.sqlite")
    with pytest.raises(OSError, match="data"):
        writer.submit(tuple).result(10)
    blocker.unlink()
    assert writer.submit(lambda: [(INSERT, (1, 0.0, "x"))]).result(10) == 1
    writer.close()


def test_several_writers_lose_nothing(path: Path) -> None:
    """Several notebooks write one file at the same time, which none of them made before."""
    writers = [Writer(path) for _ in range(4)]
    orders = [one.submit(lambda: [(INSERT, (1, 0.0, "x"))]) for _ in range(25) for one in writers]
    assert [order.result(30) for order in orders] == [1] * 100
    for one in writers:
        one.close()
    assert len(rows(path)) == 100


def test_who_waits_anyway_writes_by_himself(writer: Writer, path: Path) -> None:
    """Where nothing else is to be written there is no other thread in it, and the rows are durable."""
    assert writer.write(lambda: [*insert(1), *insert(2)]) == 2
    assert (rows(path), writer.has_begun, writer.statistics().commits) == ([1, 2], False, 1)


def test_who_writes_by_himself_does_not_go_before_others(writer: Writer, path: Path) -> None:
    """What was submitted before is written before."""
    gate = threading.Event()

    def held() -> Sequence[Statement]:
        gate.wait(10)
        return insert(0)

    writer.submit(held)
    late = threading.Thread(target=writer.write, args=(partial(insert, 1),))
    late.start()
    gate.set()
    late.join(10)
    assert rows(path) == [0, 1]


def test_many_who_wait_share_commits(writer: Writer, path: Path) -> None:
    """While one of them writes, the others come together."""
    threads = [threading.Thread(target=writer.write, args=(partial(insert, number),)) for number in range(20)]
    gate, is_held = threading.Event(), threading.Event()

    def held() -> Sequence[Statement]:
        is_held.set()
        gate.wait(10)
        return ()

    holding = threading.Thread(target=writer.write, args=(held,))
    holding.start()
    assert is_held.wait(10)
    for one in threads:
        one.start()
    while writer.statistics().waiting < len(threads):
        gate.wait(0.001)
    gate.set()
    for one in (holding, *threads):
        one.join(10)
    assert sorted(rows(path)) == list(range(20))
    assert writer.statistics().commits == 2


def test_an_order_written_by_oneself_fails_where_it_was_given(writer: Writer, path: Path) -> None:
    """And leaves no trace."""
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        writer.write(lambda: [*insert(1), ("INSERT INTO nowhere VALUES (1)", ())])
    with pytest.raises(ZeroDivisionError):
        writer.write(broken)
    assert writer.write(partial(insert, 2)) == 1
    assert (rows(path), writer.statistics().failed) == ([2], 2)


def test_nothing_is_written_after_the_end(writer: Writer, path: Path) -> None:
    """By nobody, and nothing waits."""
    writer.write(partial(insert, 1))
    writer.close()
    with pytest.raises(sqlite3.ProgrammingError):
        writer.write(partial(insert, 2))
    assert rows(path) == [1]


def test_an_end_does_not_wait_long_for_who_writes(writer: Writer, path: Path) -> None:
    """The file is let go of when that is written, and it is."""
    gate, is_held = threading.Event(), threading.Event()

    def held() -> Sequence[Statement]:
        is_held.set()
        gate.wait(10)
        return insert(1)

    writing = threading.Thread(target=writer.write, args=(held,))
    writing.start()
    assert is_held.wait(10)
    writer.close(timeout_s=0.01)
    gate.set()
    writing.join(10)
    assert rows(path) == [1]
    assert not path.with_name(f"{path.name}-wal").exists()  # the last one to close a file takes it along
