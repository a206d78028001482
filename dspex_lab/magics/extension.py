"""``%load_ext dspex_lab``: registers the magics and the completion. Quick: nothing heavy is imported here."""

from __future__ import annotations

from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from dspex_lab.magics import help as help_texts
from dspex_lab.magics.cell_hooks import hook_cells, unhook_cells
from dspex_lab.magics.signature_form import SignatureForms

__all__ = ["LabMagics", "load", "unload"]


@magics_class
class LabMagics(Magics):
    """The three magics. Each imports what it needs when it is used."""

    def __init__(self, shell: InteractiveShell, **options: Any) -> None:
        super().__init__(shell, **options)
        self._forms = SignatureForms(shell)

    @cell_magic
    @no_var_expand
    def signature(self, line: str, cell: str) -> Any:
        """Replaced by the help text below."""
        from dspex_lab.magics.signature_magic import define_signature, warm_up_lab

        compiled = define_signature(line, cell, self._namespace())
        warm_up_lab()
        self._forms.show_next(compiled)
        return compiled

    @cell_magic
    @no_var_expand
    def pipeline(self, line: str, cell: str) -> Any:
        """Replaced by the help text below."""
        from dspex_lab.magics.pipeline_magic import define_pipeline

        return define_pipeline(line, cell, self._namespace())

    @line_magic
    def lab(self, line: str) -> Any:
        """Replaced by the help text below."""
        from dspex_lab.magics.lab_magic import run_command

        return run_command(line)

    def _namespace(self) -> dict[str, Any]:
        if self.shell is None:
            raise RuntimeError("The magics were made without a shell.")
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    signature.__doc__ = help_texts.SIGNATURE
    pipeline.__doc__ = help_texts.PIPELINE
    lab.__doc__ = help_texts.LAB


_MATCHER_ID = "dspex_lab"


def _matcher(shell: InteractiveShell) -> Any:
    """A matcher for IPython's completer; it imports what it needs when Tab is pressed."""

    # A plain function: IPython asks matchers for their __qualname__, and all completion fails where one has none.
    @context_matcher(priority=100, identifier=_MATCHER_ID)  # type: ignore[untyped-decorator]  # IPython has none on its decorator
    def match(context: CompletionContext) -> SimpleMatcherResult:
        from dspex_lab.magics.completion import complete

        lines = context.full_text.split("\n")
        cursor = sum(len(line) + 1 for line in lines[: context.cursor_line]) + context.cursor_position
        offer = complete(context.full_text, cursor, shell.user_ns)
        found = [SimpleCompletion(word, type="keyword") for word in offer.words]
        return {"completions": found, "suppress": offer.is_exclusive and bool(found), "ordered": True}

    return match


def _show_trace(trace: Any) -> None:
    from dspex_lab.widgets import display_trace

    display_trace(trace)


def load(shell: InteractiveShell) -> None:
    """Register everything with ``shell``; loading twice changes nothing."""
    shell.register_magics(LabMagics)
    unload(shell)
    shell.Completer.custom_matchers.append(_matcher(shell))
    if shell.display_formatter is not None:
        # By name: what shows a trace is imported when there is one.
        shown = shell.display_formatter.ipython_display_formatter
        shown.for_type_by_name("dspex_lab.telemetry.trace", "Trace", _show_trace)
    hook_cells(shell)


def unload(shell: InteractiveShell) -> None:
    """Take the completion and the hooks away; IPython has no way to take magics away."""
    unhook_cells(shell)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [one for one in matchers if getattr(one, "matcher_identifier", "") != _MATCHER_ID]
