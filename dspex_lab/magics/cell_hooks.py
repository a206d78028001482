"""Tells the lab which cell runs, so that what is begun in it hangs under it in its trace. Imports the lab when the
first cell after ``%load_ext`` runs."""

from __future__ import annotations

from typing import Any

from IPython.core.interactiveshell import InteractiveShell

__all__ = ["hook_cells", "unhook_cells"]


def _cell_begins(info: Any) -> None:
    """Called by IPython before each cell of the user's."""
    from dspex_lab.lab import cells

    cells.begin(info.raw_cell or "")


def _cell_ends(result: Any) -> None:
    """Called by IPython after it, however it ended."""
    from dspex_lab.lab import cell_ended

    cell_ended(result.execution_count, result.error_before_exec or result.error_in_exec)


def hook_cells(shell: InteractiveShell) -> None:
    """Begin to tell; hooking twice changes nothing."""
    unhook_cells(shell)
    shell.events.register("pre_run_cell", _cell_begins)
    shell.events.register("post_run_cell", _cell_ends)


def unhook_cells(shell: InteractiveShell) -> None:
    """Tell no more. Hooks of an earlier import of this module go too."""
    for event, hook in (("pre_run_cell", _cell_begins), ("post_run_cell", _cell_ends)):
        for one in list(shell.events.callbacks[event]):
            if getattr(one, "__qualname__", "") == hook.__qualname__ and one.__module__ == hook.__module__:
                shell.events.unregister(event, one)
