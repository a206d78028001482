"""An interrupt of the user's, while a cell waits for the house: it is shown in a line, and not as a traceback."""

from __future__ import annotations

from functools import partial

from dspex_lab.errors.root import users_line

__all__ = ["shown_briefly"]

#: What IPython asks an error for, in place of its traceback.
_HOOK = "_render_traceback_"


def shown_briefly(interrupt: KeyboardInterrupt, what: str = "") -> KeyboardInterrupt:
    """The same interrupt, which IPython shows as ``what`` became of it and the user's own line."""
    setattr(interrupt, _HOOK, partial(_rendered, interrupt, what))
    return interrupt


def _rendered(interrupt: KeyboardInterrupt, what: str) -> list[str]:
    line = users_line(interrupt.__traceback__)
    title = f"KeyboardInterrupt: {what}" if what else "KeyboardInterrupt"
    return [title, line] if line else [title]
