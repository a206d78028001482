"""A run as it is sent to the browser: takes events from any thread, sends what changed, hears what the reader does.

The widget that it is sent to is whoever shows it: the run panel, or a form. It knows events and views, and nothing of
pipelines, pools or kernels.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import LabError, ValidationError
from dspex_lab.errors.foreign import text_of
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.run_view import RunView
from dspex_lab.widgets.outbox import Batch, Outbox, TextPiece
from dspex_lab.widgets.panel_state import refused_message, state_message, texts_message, tokens_message

__all__ = ["LiveRun", "OnAnswer", "PanelStatistics", "Sink"]

log = logging.getLogger(__name__)

#: Takes the answer to a question, by the question's id.
OnAnswer = Callable[[str, Mapping[str, Any]], object]
#: Called on the sender's thread with the run as it was just sent.
OnSent = Callable[[RunView], object]


class Sink(Protocol):
    """The widget that shows the run: one trait for its state, messages for text."""

    state: Mapping[str, Any]

    def send(self, content: Mapping[str, Any]) -> object: ...


@dataclass(frozen=True, slots=True)
class PanelStatistics:
    """What a panel took and sent so far."""

    events: int = 0
    tokens: int = 0
    batches: int = 0


class LiveRun:
    """One run on its way to a page. ``on_cancel`` is called once, on a thread of the kernel's, when the reader cancels;
    ``on_answer(question, values)`` when they answer a question, with what stands in the form's fields. It raises
    ``ValidationError`` for what is no answer: the reader is told, field by field, and may try again."""

    def __init__(
        self,
        pipeline: str = "",
        on_cancel: Callable[[], object] | None = None,
        *,
        on_answer: OnAnswer | None = None,
        repeatable: Collection[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self._repeatable = frozenset(repeatable)
        self._clock = clock or SystemClock()
        self._on_cancel = on_cancel
        self._on_answer = on_answer
        self._changed = threading.Condition()
        self._view = RunView(pipeline=pipeline)
        self._outbox = Outbox()
        self._is_cancelling = self._is_finishing = False
        self._sink: Sink | None = None
        self._sender: threading.Thread | None = None
        self._statistics = PanelStatistics()

    @property
    def view(self) -> RunView:
        """The run as it stands."""
        return self._view

    @property
    def is_live(self) -> bool:
        """Whether there is a page that shows the run as it goes, and its questions."""
        return self._sink is not None

    def statistics(self) -> PanelStatistics:
        return self._statistics

    def state(self) -> dict[str, Any]:
        """The run's state, as the page takes it."""
        return self._state(self._view)

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

    def send_to(self, sink: Sink, *, on_sent: OnSent | None = None, on_end: OnSent | None = None) -> None:
        """Begin to send, on a thread of its own, until the run's end."""
        self._sink = sink
        # The context tells ipykernel which cell the messages belong to.
        context = contextvars.copy_context()
        self._sender = threading.Thread(
            target=context.run, args=(self._send_all, sink, on_sent, on_end), name="run-panel", daemon=True
        )
        self._sender.start()

    def finish(self, *, timeout_s: float = 2.0) -> bool:
        """Wait for the run's last event and for the sending, at most ``timeout_s`` seconds each; a run that does not
        end by then is shown as cancelled. Safe to call twice: whether this was the first time."""
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
        return is_first

    def hear(self, content: Mapping[str, Any]) -> None:
        """What the page asks for; runs on a subshell's thread while a cell is running."""
        kind = content.get("kind")
        if kind == "texts":
            self._say(self._outbox.put_texts)
            if self._view.is_over and self._sink is not None:  # nobody sends any more
                self._sink.send(texts_message(self._view))
        elif kind == "cancel":
            self._cancel()
        elif kind == "answer":
            self._answer(content)

    def _put_token(self, event: Event) -> None:
        told = event.attributes
        step, field, text = str(told.get("step")), str(told.get("field") or ""), str(told.get("text"))
        at = self._view.step(step).stream(field).length - len(text)
        self._outbox.put_text(TextPiece(step, field, at, text), sent_at=float(told.get("sent_at") or event.time))

    def _state(self, view: RunView) -> dict[str, Any]:
        return state_message(
            view,
            now=self._clock.now(),
            is_cancelling=self._is_cancelling,
            can_cancel=self._on_cancel is not None,
            repeatable=self._repeatable,
        )

    # --- the sender's thread: everything that is sent goes through here, so that it keeps its order ----------------

    def _send_all(self, sink: Sink, on_sent: OnSent | None, on_end: OnSent | None) -> None:
        is_last = False
        try:
            while not is_last:
                batch, view, is_last = self._next_batch()
                self._send(sink, batch, view)
                if on_sent is not None:
                    on_sent(view)
            if on_end is not None:
                on_end(self._view)
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
            taken = self._statistics
            self._statistics = PanelStatistics(taken.events, taken.tokens, taken.batches + 1)
            is_last = self._is_finishing or self._view.is_over
            return self._outbox.take(self._clock.monotonic()), self._view, is_last

    def _send(self, sink: Sink, batch: Batch, view: RunView) -> None:
        if batch.pieces:
            sink.send(tokens_message(view, batch))
        if batch.has_texts:
            sink.send(texts_message(view))
        if batch.has_state or view.is_over:
            sink.state = self._state(view)
        for message in batch.messages:
            sink.send(message)

    # --- what the reader does -------------------------------------------------------------------------------------

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
            message = refused_message(str(asked), attempt, faults)
            self._say(lambda: self._outbox.put_message(message))
        except LabError:
            log.debug("An answer came too late.", exc_info=True)
        except Exception as error:  # of the user's own type: the page waits for an answer
            log.warning("An answer could not be taken.", exc_info=True)
            told = refused_message(str(asked), attempt, ({"message": f"{type(error).__name__}: {text_of(error)}"},))
            self._say(lambda: self._outbox.put_message(told))

    def _cancel(self) -> None:
        with self._changed:
            if self._on_cancel is None or self._is_cancelling or self._view.is_over:
                return
            self._is_cancelling = True
        self._say(self._outbox.put_state)
        try:
            self._on_cancel()
        except Exception:
            log.warning("Cancelling the run failed.", exc_info=True)
            self._is_cancelling = False
            self._say(self._outbox.put_state)

    def _say(self, put: Callable[[], object]) -> None:
        with self._changed:
            put()
            self._changed.notify_all()

    def __repr__(self) -> str:
        return f"<LiveRun {self._view.pipeline or 'run'} [{self._view.status}, {len(self._view.steps)} steps]>"
