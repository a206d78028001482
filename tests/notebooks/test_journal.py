"""Runs in real notebooks: the kernel dies, another one goes on, and nothing that has finished is done again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dspex_lab.calls import new_id
from dspex_lab.testing.notebook import Notebook
from dspex_lab.testing.site import Site

CELL = """%%pipeline survey {options}
first = native(first, reads=["start"])
check = ask("Is that all right?", shows=["first"], answer="approved: bool, comment: str = ''")
last  = native(lambda first, approved, comment: [first, approved, comment])
"""


@pytest.fixture
def pair(notebook_site: Site) -> Iterator[tuple[Notebook, Notebook]]:
    """Two notebooks of one user; what they start, and start again, ends with the test."""
    with ExitStack() as stack:
        made = [Notebook(notebook_site.folder / f"j{new_id()[:4]}", notebook_site.folder) for _ in range(2)]
        for one in made:
            stack.callback(one.close)
            one.open()
        yield made[0], made[1]


def define(notebook: Notebook, ledger: Path) -> None:
    notebook.value(
        f"def first(start):\n    with open({str(ledger)!r}, 'a') as file:\n        file.write('first ')\n"
        "    return start + 1"
    )


def wait_for_question(notebook: Notebook, run: str) -> None:
    notebook.value(f"next(event for event in {run}.events() if event.name == 'run.question')")


def test_a_run_is_answered_after_its_kernel_died(pair: tuple[Notebook, Notebook], tmp_path: Path) -> None:
    """The kernel is killed while the run waits; the cell, run again with --resume, asks again and nothing else. In
    between the other notebook sees whose the run is, and leaves it alone."""
    ledger = tmp_path / "ledger"
    notebook, other = pair
    define(notebook, ledger)
    notebook.run(CELL.format(options="--run --background start=1"))
    notebook.value("run = survey.last_run")
    wait_for_question(notebook, "run")
    assert "waiting" in notebook.value("print(lab.runs().to_string())")
    run_id = notebook.value("print(run.id)").strip()
    define(other, ledger)
    other.run(CELL.format(options=""))
    assert "waiting" in other.value(f"print(lab.run({run_id!r}).state)")
    assert "is under way, in process" in other.run(f"lab.run({run_id!r}).resume()").error
    notebook.kill()
    notebook.restart()
    assert "interrupted" in notebook.value("print(lab.runs().to_string())")
    missing = notebook.run(f"lab.run({run_id[:8]!r}).resume()")
    assert "There is no pipeline survey here" in missing.error
    assert "check = ask(" in missing.error
    define(notebook, ledger)
    notebook.run(CELL.format(options="--resume --background"))
    notebook.value("run = survey.last_run")
    wait_for_question(notebook, "run")
    assert notebook.value("print(run.id)").strip() == run_id
    wrong = notebook.run("run.answer(approved='perhaps')")
    assert "That is no answer: `approved`" in wrong.error
    notebook.value("run.answer(approved=True, comment='fine')")
    assert "[2, True, 'fine']" in notebook.value("print(run.result(30)['last'])")
    assert ledger.read_text() == "first "
    assert "succeeded" in notebook.value("print(lab.runs().to_string())")
