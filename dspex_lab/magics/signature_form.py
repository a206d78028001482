"""The value of a ``%%signature`` cell is shown as a form where there is a page for it; elsewhere it is its card.

The value itself stays the compiled signature: only this one showing of it is another.
"""

from __future__ import annotations

import logging
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

__all__ = ["SignatureForms"]

log = logging.getLogger(__name__)


class SignatureForms:
    """Shows the next value of a ``%%signature`` cell as a form. One for each shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._next: Any = None
        formatter = shell.display_formatter
        if formatter is not None:
            # By name: nothing of signatures is imported before there is one.
            formatter.mimebundle_formatter.for_type_by_name(
                "dspex_lab.signatures.compiled", "CompiledSignature", self._bundle
            )

    def show_next(self, compiled: Any) -> None:
        """Have ``compiled`` shown as a form, when it is shown as this cell's value."""
        self._next = compiled

    def _bundle(self, value: Any, include: Any = None, exclude: Any = None) -> dict[str, Any] | None:
        """The form's bundle, or None: the value shows itself."""
        wanted, self._next = self._next, None
        if value is not wanted:
            return None
        from dspex_lab.widgets import form
        from dspex_lab.widgets.notebook import has_kernel

        if not has_kernel():
            return None
        try:
            return form(value).bundle()
        except Exception:
            log.warning("The signature's form could not be made; its card is shown.", exc_info=True)
            return None
