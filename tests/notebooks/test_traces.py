"""Traces as a notebook's user meets them: a cell is one, whatever it begins and however it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dspex_lab.testing.notebook import Notebook


@pytest.fixture(scope="module")
def notebook(open_notebook: Callable[..., Notebook], tmp_path_factory: pytest.TempPathFactory) -> Notebook:
    data = tmp_path_factory.mktemp("data")
    made = open_notebook(DSPEX_LAB_DATA_DIR=str(data))
    made.run("def twice(q): return 2 * q\ndouble = lab.native(twice)")
    return made


@pytest.fixture(scope="module")
def other(open_notebook: Callable[..., Notebook]) -> Notebook:
    return open_notebook()


def latest(notebook: Notebook) -> str:
    return notebook.value("%lab trace")


def test_a_cell_is_a_trace_with_all_that_it_began(notebook: Notebook) -> None:
    """Runs on the main thread and on others, in order and side by side; with its number and its first line."""
    notebook.value(
        "double(q=1)\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(2) as threads: values = list(threads.map(lambda q: double(q=q).twice, range(4)))\n"
    )
    text = latest(notebook)
    assert "cell [3], ok" in text
    assert "double(q=1) …" in text
    assert text.count("native twice") == 5


def test_top_level_await_and_tasks_are_part_of_it(notebook: Notebook) -> None:
    """As everything that a cell awaits."""
    notebook.value("import asyncio\nasync def ask(q): return await double.acall(q=q)")
    notebook.value("results = await asyncio.gather(*(ask(q) for q in range(3)))")
    text = latest(notebook)
    assert text.count("run twice") == 3
    assert text.startswith("Trace ")
    assert "cell [" in text.splitlines()[0]


def test_a_cell_that_fails_says_so(notebook: Notebook) -> None:
    """Its trace has the error, and the next one is a trace of its own."""
    assert notebook.run("double(q=1)\n1 / 0").error_name == "ZeroDivisionError"
    assert "error" in latest(notebook).splitlines()[0]
    notebook.value("double(q=1)")
    assert "ok" in latest(notebook).splitlines()[0]


def test_cells_without_runs_are_none(notebook: Notebook) -> None:
    """Looking at traces makes none."""
    before = notebook.value("len(lab.traces())")
    notebook.value("1 + 1")
    notebook.value("%lab traces")
    assert notebook.value("len(lab.traces())") == before


def test_a_notebook_without_a_host_has_its_traces_and_starts_none(notebook: Notebook) -> None:
    """Also to look at them, to count, and to hear what happens."""
    notebook.value("heard = []\nstop = lab.on('run.*', lambda event: heard.append(event.name))\ndouble(q=2)\nstop()")
    assert notebook.value("heard") == "['run.start', 'run.end']"
    notebook.value("lab.statistics()")
    assert notebook.value("lab.current_lab().has_host()") == "False"


def test_a_trace_goes_to_a_file_for_perfetto(notebook: Notebook, tmp_path: Path) -> None:
    """From the value that a cell shows."""
    path = tmp_path / "trace.json"
    notebook.value(f"lab.trace(lab.traces().trace[0]).to_perfetto({str(path)!r})")
    assert '"traceEvents"' in path.read_text()


def test_another_notebook_sees_what_was_told_to_the_host(notebook: Notebook, other: Notebook) -> None:
    """Once there is one; the cells of both are there."""
    notebook.value("lab.current_lab().start()\ndouble(q=3)")
    run_id = notebook.value("lab.current_lab().launcher.runs[-1].id").strip("'")
    notebook.value("lab.trace(lab.traces().trace[0])")
    assert "run twice" in other.value(f"lab.trace({run_id!r})")
