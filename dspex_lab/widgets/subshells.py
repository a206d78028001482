"""Why a button works while a cell is running: answers of our own widgets may come in any shell of the kernel.

JupyterLab sends what a widget says to a subshell (a thread of the kernel beside the one that runs cells). But
ipykernel (7.4, ``kernelbase.shell_channel_thread_main``) asks the comm's ``_reply_subshell_for(data, default)`` for
the shell in which the kernel last *sent* something for that widget, and routes the message there: right for widgets
that wait for an answer, wrong for a panel that was made in a cell, because then every click waits for the cell.

:func:`answer_in_any_shell` makes that method of one comm return its default: the shell that the front end chose. It
touches our own comm only, never the class, so other people's widgets stay as ipykernel made them. The callbacks then
run on the subshell's thread, and must be safe there. Where the kernel has no subshells nothing changes.

JupyterLab (4.6) makes the subshell when a widget first says something, and sends what is said until it is made (some
dozen milliseconds) to the main shell: the panel's module waits with what it asks for, and repeats what is urgent.
"""

from __future__ import annotations

from typing import Any

__all__ = ["answer_in_any_shell"]

#: The one name of ipykernel's that is replaced; private there, hence looked for before it is touched.
_ROUTE = "_reply_subshell_for"


def answer_in_any_shell(comm: Any) -> bool:
    """Let messages from the front end to ``comm`` go where the front end sent them; False where it changes nothing."""
    if comm is None or not callable(getattr(comm, _ROUTE, None)):
        return False
    setattr(comm, _ROUTE, _as_sent)
    return True


def _as_sent(_data: Any, default: str | None) -> str | None:
    return default
