"""The form: what a signature, a program or a pipeline takes, as fields to fill in, and what it gives, as it comes.

In a notebook the card is a form as long as the kernel lives; a saved notebook has the card, a terminal its text. What
was filled in is run on the current lab, as from Python; ``form.run`` and ``form.result`` are what came of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dspex_lab import programs
from dspex_lab.calls import new_id
from dspex_lab.errors import ConfigurationError, LabError, ValidationError
from dspex_lab.errors.foreign import text_of
from dspex_lab.errors.nearest import did_you_mean
from dspex_lab.lab import current_lab
from dspex_lab.pipelines import Pipeline, Program, Run, RunResult
from dspex_lab.pipelines.plan.inputs import typed_inputs, typed_value
from dspex_lab.signatures import describe_file, values_of_form
from dspex_lab.signatures.card import html_card, text_card
from dspex_lab.widgets.form_state import card_signature, fields_of_plan, form_message
from dspex_lab.widgets.graph_state import graph_message
from dspex_lab.widgets.live_run import LiveRun
from dspex_lab.widgets.notebook import anchored, has_kernel, needs_widget_output, widget_view
from dspex_lab.widgets.run_shown import follow
from dspex_lab.widgets.uploads import Uploads

if TYPE_CHECKING:
    from dspex_lab.widgets.form_widget import FormWidget

__all__ = ["Form", "form"]

log = logging.getLogger(__name__)


def form(what: Any, /, **defaults: Any) -> Form:
    """A form for ``what``: a signature (its text, or one that was compiled), a program, a pipeline, or a
    ``dspy.Module``. ``defaults`` stand in its fields at first. Show it as a cell's value; then ``form.result`` is what
    it gave last. Raises ``SignatureError`` and ``ConfigurationError``."""
    return Form(_runnable(what), defaults)


class Form:
    """Fields to fill in for one program or pipeline, and its runs, one after the other."""

    def __init__(self, runnable: Program | Pipeline, defaults: Mapping[str, Any] | None = None) -> None:
        self._runnable = runnable
        self._plan = runnable.plan
        self._defaults = dict(defaults or {})
        _check_names(self._plan.name, [one.name for one in self._plan.inputs], self._defaults)
        self._fields = fields_of_plan(self._plan, self._defaults)
        self._anchor = new_id()
        self._uploads = Uploads()
        self._lock = threading.Lock()
        self._heard = 0
        self._live: LiveRun | None = None
        self._run: Run | None = None
        self._result: RunResult | None = None
        self._widget: FormWidget | None = None

    @property
    def run(self) -> Run | None:
        """The run that was begun last from this form; None before the first."""
        return self._run

    @property
    def result(self) -> RunResult | None:
        """What the last run gave that came to its end; None before that. Later runs that fail leave it as it is."""
        if self._run is not None and self._run.state == "succeeded":
            self._result = self._run.result()
        return self._result

    def submit(self, values: Mapping[str, Any]) -> Run:
        """Run with what stands in the fields, as the page does. Raises ``ValidationError``, with an entry for each
        field that is wrong, and whatever the program says before it begins."""
        inputs = typed_inputs(self._plan, values_of_form(self._fields, values))
        self._run = run = self._runnable.submit(**inputs)
        return run

    # --- in the page ----------------------------------------------------------------------------------------------

    def bundle(self) -> dict[str, Any]:
        """How the form is shown: its card as HTML and text; in a page the form takes its place."""
        card = card_signature(self._plan)
        html = anchored(html_card(card), self._anchor)
        shown: dict[str, Any] = {"text/html": html, "text/plain": text_card(card)}
        if not has_kernel():
            return shown
        widget = self._shown()
        return {**widget_view(widget.model_id), **shown} if needs_widget_output() else shown

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return self.bundle()

    def _shown(self) -> FormWidget:
        """The widget, made when the form is first shown, and again when it had to go."""
        if self._widget is None:
            from dspex_lab.widgets.form_widget import FormWidget

            self._widget = FormWidget(
                form=form_message(self._plan, self._fields), graph=graph_message(self._plan), anchor=self._anchor
            )
            self._widget.on_msg(self._on_message)
        current_lab().panels.put(self)
        return self._widget

    def close(self) -> None:
        """Let the page go: it shows the card from now on; shown again, the form is alive again."""
        widget, self._widget = self._widget, None
        if widget is not None:
            widget.close()

    def _on_message(self, _widget: Any, content: Any, buffers: Any) -> None:
        """What the page asks for; runs on a subshell's thread while a cell is running."""
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "run":
            self._begin(content)
        elif kind == "check":
            self._check(content)
        elif kind == "upload":
            self._upload(content, b"".join(bytes(one) for one in buffers))
        elif self._live is not None and kind is not None:
            self._live.hear(content)

    def _begin(self, content: Mapping[str, Any]) -> None:
        """Run what was filled in, once for each attempt: the page says it until it hears of it."""
        attempt, values = content.get("attempt"), content.get("values")
        widget = self._widget
        with self._lock:
            if widget is None or not isinstance(attempt, int) or not isinstance(values, dict) or attempt <= self._heard:
                return
            self._heard = attempt
        try:
            run = self.submit(self._filled_in(values))
        except ValidationError as error:
            faults = error.errors or ({"field": "", "message": error.message},)
            self._refuse(widget, attempt, [(str(one.get("field") or ""), str(one.get("message"))) for one in faults])
            return
        except LabError as error:
            self._refuse(widget, attempt, [("", f"{error.message} {error.hint or ''}".strip())])
            return
        except Exception as error:  # the user's own types are asked; the page waits for an answer
            log.warning("What was filled in could not be run.", exc_info=True)
            self._refuse(widget, attempt, [("", _said(error))])
            return
        live = LiveRun(self._plan.name, run.cancel, on_answer=run.answer_form)
        self._live = live
        run.is_shown = True
        widget.attempt = attempt
        live.send_to(widget)
        follow(current_lab(), run, live, ends_panel=True)

    @staticmethod
    def _refuse(widget: FormWidget, attempt: int, faults: list[tuple[str, str]]) -> None:
        told = [{"field": field, "message": message} for field, message in faults]
        widget.send({"kind": "refused", "question": "", "attempt": attempt, "faults": told})

    def _check(self, content: Mapping[str, Any]) -> None:
        """Say what is wrong with one field while one types; nothing, where nothing is."""
        name = str(content.get("field"))
        message = self._fault(name, content.get("value"))
        if self._widget is not None:
            self._widget.send({"kind": "checked", "field": name, "check": content.get("check"), "message": message})

    def _fault(self, name: str, value: Any) -> str:
        readers = next((one.readers for one in self._plan.inputs if one.name == name), ())
        try:
            values = values_of_form(self._fields, self._filled_in({name: value}))
        except ValidationError as error:
            return str(error.errors[0]["message"])
        if name not in values:
            return ""
        try:
            for one in readers:
                typed_value(one, values[name])
        except ValidationError as error:
            return error.message
        except Exception as error:  # of the user's own type
            return _said(error)
        return ""

    def _upload(self, content: Mapping[str, Any], data: bytes) -> None:
        """Take a piece of a file; when it is whole, say what is in it."""
        told = {"kind": "uploaded", "upload": content.get("upload"), "summary": "", "message": ""}
        form = next((one.file_form for one in self._fields if one.name == content.get("field")), "")
        try:
            file = self._uploads.take(content, data)
            if file is None:
                return
            told["summary"] = describe_file(form, file)
        except (KeyError, TypeError, ValueError) as error:
            told["message"] = f"{str(error).rstrip('.')}."
        if self._widget is not None:
            self._widget.send(told)

    def _filled_in(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """``values`` with files, and with what was given in Python and stands in no control."""
        held = {one.name: self._defaults.get(one.name) for one in self._fields if one.held}
        found = self._uploads.resolved(values)
        return {
            name: held[name] if values[name] == {"upload": "held"} and name in held else value
            for name, value in found.items()
        }

    def __repr__(self) -> str:
        state = self._run.state if self._run is not None else "not run"
        return f"<Form {self._plan.name} [{state}, fields: {', '.join(one.name for one in self._fields)}]>"


def _runnable(what: Any) -> Program | Pipeline:
    if isinstance(what, Program | Pipeline):
        return what
    is_module = any(base.__module__.startswith("dspy.") and base.__name__ == "Module" for base in type(what).__mro__)
    return programs.module(what) if is_module else programs.predict(what)


def _said(error: Exception) -> str:
    text = text_of(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _check_names(what: str, names: list[str], given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in names:
            takes = f"It takes {', '.join(names)}."
            hint = " ".join(filter(None, (did_you_mean(name, names), takes)))
            raise ConfigurationError(f"{what} has no input {name}.", name, ", ".join(names), hint=hint)
