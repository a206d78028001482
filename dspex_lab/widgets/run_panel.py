"""The run panel: takes a run's events from any thread and shows them in the cell, live and then for good.

While the run is under way a widget shows it. When the run has ended, the cell's stored output is replaced by its
static HTML and text, so that a saved notebook, a reloaded page, nbconvert and GitHub show the result without a
kernel. Without a notebook (a terminal, a script) there is only the text, at the end. It knows events and views, and
nothing of pipelines, pools or kernels.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dspex_lab.calls import new_id
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import LabError, ValidationError
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.run_view import RunView, render_html, render_questions_html, render_questions_text, render_text
from dspex_lab.widgets.notebook import has_kernel, show
from dspex_lab.widgets.outbox import Batch, Outbox, TextPiece
from dspex_lab.widgets.panel_state import refused_message, state_message, texts_message, tokens_message

if TYPE_CHECKING:
    from dspex_lab.widgets.run_widget import RunWidget

__all__ = ["PanelStatistics", "RunPanel"]

log = logging.getLogger(__name__)

#: Takes the answer to a question, by the question's id.
OnAnswer = Callable[[str, Mapping[str, Any]], object]

_WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True, slots=True)
class PanelStatistics:
    """What a panel took and sent so far."""

    events: int = 0
    tokens: int = 0
    batches: int = 0


class RunPanel:
    """One run in one cell. ``on_cancel`` is called once, on a thread of the kernel's, when the reader cancels;
    ``on_answer(question, values)`` when they answer a question, with what stands in the form's fields. It raises
    ``ValidationError`` for what is no answer: the reader is told, field by field, and may try again."""

    def __init__(
        self,
        pipeline: str = "",
        on_cancel: Callable[[], object] | None = None,
        *,
        on_answer: OnAnswer | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._on_cancel = on_cancel
        self._on_answer = on_answer
        self._changed = threading.Condition()
        self._view = RunView(pipeline=pipeline)
        self._outbox = Outbox()
        self._is_cancelling = False
        self._is_finishing = False
        self._display_id = new_id()
        self._widget: RunWidget | None = None
        self._sender: threading.Thread | None = None
        self._is_displayed = False
        self._stored_questions: tuple[Mapping[str, Any], ...] = ()
        self._questions_id = ""
        self._statistics = PanelStatistics()

    @property
    def view(self) -> RunView:
        """The run as it stands."""
        return self._view

    @property
    def is_live(self) -> bool:
        """Whether there is a front end that shows the run as it goes, and its questions."""
        return self._widget is not None

    def statistics(self) -> PanelStatistics:
        return self._statistics

    def apply(self, event: Event) -> None:
        """Take one event of the run. Never blocks, and may be called on any thread; other runs' events are ignored."""
        with self._changed:
            before, self._view = self._view, self._view.apply(event)
            if self._view is before:
                return
            was_empty = self._outbox.is_empty
            is_token = event.name == "token"
            if is_token:
                self._put_token(event)
            else:
                self._outbox.put_state()
            taken = self._statistics
            self._statistics = PanelStatistics(taken.events + 1, taken.tokens + is_token, taken.batches)
            # What waits already has its time: more of it need not wake the sender.
            if was_empty or self._view.is_over:
                self._changed.notify_all()

    def display(self) -> None:
        """Show the panel in the current cell; in a terminal, wait with it until the end."""
        self._is_displayed = True
        if not has_kernel():
            return
        from dspex_lab.widgets.run_widget import RunWidget

        self._widget = RunWidget(state=self._state(self._view))
        self._widget.on_msg(self._on_message)
        model = {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}
        show({_WIDGET_MIME: model, **self._static(self._view)}, display_id=self._display_id)
        # The context tells ipykernel which cell the messages belong to.
        context = contextvars.copy_context()
        self._sender = threading.Thread(target=context.run, args=(self._send_all,), name="run-panel", daemon=True)
        self._sender.start()

    def finish(self, *, timeout_s: float = 2.0) -> None:
        """Put the result into the cell for good. Waits for the run's last event and for the sending, at most
        ``timeout_s`` seconds each; a run that does not end by then is shown as cancelled. Safe to call twice."""
        with self._changed:
            if self._view.run_id:
                self._changed.wait_for(lambda: self._view.is_over, timeout=timeout_s)
            if not self._view.is_over and self._view.run_id:
                told = {"run_id": self._view.run_id, "status": "cancelled"}
                self._view = self._view.apply(Event("run.end", self._clock.now(), told))
            is_first, self._is_finishing = not self._is_finishing, True
            self._changed.notify_all()
        if self._sender is not None:
            self._sender.join(timeout_s)
        elif self._is_displayed and is_first and self._view.run_id:
            show({"text/plain": render_text(self._view)}, display_id=self._display_id)

    def _put_token(self, event: Event) -> None:
        told = event.attributes
        step, field, text = str(told.get("step")), str(told.get("field") or ""), str(told.get("text"))
        at = self._view.step(step).stream(field).length - len(text)
        self._outbox.put_text(TextPiece(step, field, at, text), sent_at=float(told.get("sent_at") or event.time))

    def _state(self, view: RunView) -> dict[str, Any]:
        return state_message(
            view, now=self._clock.now(), is_cancelling=self._is_cancelling, can_cancel=self._on_cancel is not None
        )

    @staticmethod
    def _static(view: RunView) -> dict[str, Any]:
        return {"text/html": render_html(view), "text/plain": render_text(view)}

    def _send_all(self) -> None:
        """The sender's thread: everything that is sent goes through here, so that it keeps its order."""
        is_last = False
        try:
            while not is_last:
                batch, view, is_last = self._next_batch()
                self._send(batch, view)
            self._settle()
        except Exception:
            # The browser's side can go at any time; a run must not notice.
            log.warning("The run panel stopped showing its run.", exc_info=True)

    def _next_batch(self) -> tuple[Batch, RunView, bool]:
        with self._changed:
            while not (self._is_finishing or self._view.is_over):
                due_s = self._outbox.due_in(self._clock.monotonic())
                if due_s == 0:
                    break
                self._changed.wait(due_s)
            self._statistics = PanelStatistics(
                self._statistics.events, self._statistics.tokens, self._statistics.batches + 1
            )
            is_last = self._is_finishing or self._view.is_over
            return self._outbox.take(self._clock.monotonic()), self._view, is_last

    def _send(self, batch: Batch, view: RunView) -> None:
        if self._widget is None:
            return
        if batch.pieces:
            self._widget.send(tokens_message(view, batch))
        if batch.has_texts:
            self._widget.send(texts_message(view))
        if batch.has_state or view.is_over:
            self._widget.state = self._state(view)
        for message in batch.messages:
            self._widget.send(message)
        self._keep_questions(view)

    def _keep_questions(self, view: RunView) -> None:
        """What is asked, beside the panel: a notebook that is saved now shows it without a kernel."""
        if view.questions == self._stored_questions:
            return
        is_update, self._stored_questions = bool(self._questions_id), view.questions
        self._questions_id = self._questions_id or new_id()
        stored = {"text/html": render_questions_html(view), "text/plain": render_questions_text(view)}
        show(stored, display_id=self._questions_id, is_update=is_update)

    def _settle(self) -> None:
        """Replace the widget in the cell by what stays; a run that never began leaves nothing."""
        stays = self._static(self._view) if self._view.run_id else {"text/plain": ""}
        show(stays, display_id=self._display_id, is_update=True)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """What the front end asks for; runs on a subshell's thread while a cell is running."""
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "texts":
            with self._changed:
                self._outbox.put_texts()
                self._changed.notify_all()
        elif kind == "cancel":
            self._cancel()
        elif kind == "answer":
            self._answer(content)
        elif kind == "unseen" and self._view.is_over and self._widget is not None:
            # Its last view is gone, since the static form took its place: a thousand runs leave no thousand widgets.
            self._widget.close()

    def _answer(self, content: Mapping[str, Any]) -> None:
        """An answer, which the page says again until it hears of it."""
        asked, values, attempt = content.get("question"), content.get("values"), content.get("attempt")
        is_open = any(one.get("id") == asked for one in self._view.questions)
        if self._on_answer is None or not is_open or not isinstance(values, dict) or not isinstance(attempt, int):
            return
        try:
            self._on_answer(str(asked), values)
        except ValidationError as error:
            faults = error.errors or ({"field": "", "message": error.message},)
            with self._changed:
                self._outbox.put_message(refused_message(str(asked), attempt, faults))
                self._changed.notify_all()
        except LabError:
            log.debug("An answer came too late.", exc_info=True)

    def _cancel(self) -> None:
        with self._changed:
            if self._on_cancel is None or self._is_cancelling or self._view.is_over:
                return
            self._is_cancelling = True
            self._outbox.put_state()
            self._changed.notify_all()
        try:
            self._on_cancel()
        except Exception:
            log.warning("Cancelling the run failed.", exc_info=True)
            with self._changed:
                self._is_cancelling = False
                self._outbox.put_state()
                self._changed.notify_all()

    def __repr__(self) -> str:
        return f"<RunPanel {self._view.pipeline or 'run'} [{self._view.status}, {len(self._view.steps)} steps]>"
