"""Two notebooks on one host: what happens to one is not the other's business."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dspex_lab.testing.notebook import Notebook
from dspex_lab.testing.site import Site

HOST = "lab.current_lab().status().pid"
WORKERS = "sorted(one.pid for one in lab.current_lab().status().pool('general').workers if one.pid)"
WARM = "lab.native(lambda: 'warm', pool='general', writes=['text'])().text"
WAITING = """
def wait(mark: str) -> str:
    import pathlib, time
    pathlib.Path(mark).touch()
    while not pathlib.Path(mark + ".go").exists():
        time.sleep(0.01)
    return "done"
"""


@pytest.fixture
def pair(notebook_site: Site) -> Iterator[tuple[Notebook, Notebook]]:
    """Two notebooks of one user."""
    with ExitStack() as stack:
        made = [Notebook(notebook_site.folder / name, notebook_site.folder) for name in ("one", "two")]
        for one in made:
            stack.callback(one.close)
            one.open()
        yield made[0], made[1]


def test_a_killed_kernel_is_nobody_elses_loss(
    pair: tuple[Notebook, Notebook], notebook_site: Site, tmp_path: Path
) -> None:
    """Both see the same host; SIGKILL of one leaves it and the other's call alone; restarted, it finds it warm."""
    first, second = pair
    host = first.value(HOST)
    assert second.value(HOST) == host == str(notebook_site.host_pid())
    assert first.value(WARM) == "'warm'"
    mark = tmp_path / "mark"
    first.value(WAITING)
    second.value(WAITING)
    first.value("lab.native(wait, pool='general').submit(mark='/dev/null/x')")
    second.value(f"run = lab.native(wait, pool='general').submit(mark={str(mark)!r})")
    workers = second.value(WORKERS)
    first.kill()
    (tmp_path / "mark.go").touch()
    assert second.value("run.result(30).wait") == "'done'"
    assert second.value(HOST) == host
    first.restart()
    assert first.value(HOST) == host
    assert set(eval(workers)) & set(eval(first.value(WORKERS)))
    assert first.value(WARM) == "'warm'"
