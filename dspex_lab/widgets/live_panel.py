"""A panel that goes on showing: it reads its subject about once a second while somebody looks, on a thread of its own.

The cell gets two outputs: the widget, and the static form, which the widget hides while it lives and which a saved
notebook shows. The thread ends when the last view has been closed or has fallen silent, when the subject is settled,
and with the kernel; a view that is opened again begins another. Orders from the page are carried out on that thread
too, so they work while a cell runs. Knows nothing of hosts, traces or figures.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dspex_lab.calls import new_id
from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import LabError
from dspex_lab.widgets.notebook import has_kernel, show
from dspex_lab.widgets.subject import Reply, Subject
from dspex_lab.widgets.watch import Watch

if TYPE_CHECKING:
    from dspex_lab.widgets.live_widget import LiveWidget

__all__ = ["LivePanel"]

log = logging.getLogger(__name__)

_WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
#: How often the static form is put anew beside the widget, for a notebook that is saved meanwhile.
_KEEP_EVERY_S = 20.0
#: A page says an order again until it is answered: so many of the latest are known.
_REMEMBERED = 64


class LivePanel:
    """One subject in one cell."""

    def __init__(self, subject: Subject, *, clock: Clock | None = None) -> None:
        self._subject = subject
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._watch = Watch(subject.interval_s)
        self._state: dict[str, Any] = {}
        self._orders: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._waiting: list[Mapping[str, Any]] = []
        self._display_id = new_id()
        self._kept_at = float("-inf")
        self._kept: dict[str, Any] = {}
        self._widget: LiveWidget | None = None
        self._thread: threading.Thread | None = None
        self._context = contextvars.copy_context()

    @property
    def state(self) -> Mapping[str, Any]:
        """What was read last."""
        return self._state

    @property
    def is_watching(self) -> bool:
        """Whether somebody looks, so that it is read again and again."""
        return self._thread is not None

    def display(self) -> None:
        """Show the panel in the current cell; in a terminal its text, once."""
        self._state = self._subject.read()
        if not has_kernel():
            show({"text/plain": self._subject.text(self._state)}, display_id=self._display_id)
            return
        from dspex_lab.widgets.live_widget import make_widget

        # The context tells ipykernel which cell the messages belong to.
        self._context = contextvars.copy_context()
        widget = self._widget = make_widget(self._subject.name, self._sent(self._state))
        widget.on_msg(self._on_message)
        if not widget.is_heard_always:
            self._watch = replace(self._watch, lapse_s=None)
        model = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
        show({_WIDGET_MIME: model, "text/plain": ""}, display_id=new_id())
        self._keep(self._state)

    @property
    def has_widget(self) -> bool:
        """Whether it is shown in a page, and goes on there until it is closed."""
        return self._widget is not None

    def close(self) -> None:
        """End the watch and the widget; the static form stays. Safe to call twice."""
        with self._changed:
            self._watch = self._watch.unseen()
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None:
            thread.join(2.0)
        widget, self._widget = self._widget, None
        if widget is not None:
            widget.close()

    # --- what the page says -----------------------------------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Take what the page says; runs on a subshell's thread while a cell is running, so it only notes it down."""
        kind = content.get("kind") if isinstance(content, dict) else None
        with self._changed:
            if kind == "unseen":
                self._watch = self._watch.unseen()
                self._changed.notify_all()
                return
            if kind == "order" and not self._note(content):
                return
            if kind in ("seen", "order"):
                self._watch = self._watch.seen(self._clock.monotonic())
                self._begin()
                self._changed.notify_all()

    def _note(self, content: Mapping[str, Any]) -> bool:
        """Put an order in the line, once; False for what is none."""
        order_id = str(content.get("id"))
        if order_id in self._orders:
            if (known := self._orders[order_id]) and self._widget is not None:
                self._widget.send(known)  # its answer got lost: say it again
            return False
        self._orders[order_id] = {}
        while len(self._orders) > _REMEMBERED:
            self._orders.popitem(last=False)
        self._waiting.append(content)
        return True

    # --- the panel's thread -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        is_done = self._subject.is_settled(self._state) and not self._waiting
        if self._thread is not None or is_done:
            return
        context = self._context.copy()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="live-panel", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while (work := self._next()) is not None:
                work()
        except Exception:
            # The browser's side can go at any time; what is looked at must not notice.
            log.warning("A panel stopped showing what it is about.", exc_info=True)
        finally:
            with self._changed:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _next(self) -> Callable[[], None] | None:
        """What is to be done next; waits for it. None when there is nothing more to do."""
        me = threading.current_thread()
        with self._changed:
            while self._thread is me:
                now = self._clock.monotonic()
                if self._waiting:
                    order = self._waiting.pop(0)
                    return lambda: self._carry_out(order)
                if self._watch.is_over(now) or self._subject.is_settled(self._state):
                    self._thread = None
                    return self._keep_last if self._kept_at != float("-inf") else None
                due_s = self._watch.due_in(now)
                if due_s == 0:
                    return self._read
                self._changed.wait(due_s)
        return None

    def _keep_last(self) -> None:
        self._keep(self._state)

    def _read(self) -> None:
        state = self._subject.read()
        with self._changed:
            self._state = state
            self._watch = self._watch.read(self._clock.monotonic())
        if self._widget is not None:
            self._widget.state = self._sent(state)
        if self._clock.monotonic() - self._kept_at >= _KEEP_EVERY_S:
            self._keep(state)

    def _carry_out(self, content: Mapping[str, Any]) -> None:
        """Do what the page orders, and tell it what came of it."""
        name, params = str(content.get("order")), content.get("params")
        answer: dict[str, Any] = {"kind": "reply", "id": content.get("id")}
        buffers: tuple[bytes, ...] = ()
        try:
            value = self._subject.order(name, params)
            if isinstance(value, Reply):
                value, buffers = value.value, value.buffers
            answer["value"] = value
        except LabError as error:
            answer["error"] = {"message": error.message, "hint": error.hint or ""}
        except Exception as error:
            # Whatever the page sent, the panel lives on.
            log.debug("The order %r failed.", name, exc_info=True)
            answer["error"] = {"message": str(error) or type(error).__name__, "hint": ""}
        with self._changed:
            if not buffers:
                self._orders[str(content.get("id"))] = answer
            else:
                self._orders.pop(str(content.get("id")), None)  # said again, it is done again
            if name not in self._subject.free:
                self._watch = self._watch.hurried()
        if self._widget is not None:
            self._widget.send(answer, list(buffers))

    # --- what stays -------------------------------------------------------------------------------------------

    def _sent(self, state: dict[str, Any]) -> dict[str, Any]:
        return {**state, "static": self._display_id, "is_live": not self._subject.is_settled(state)}

    def _keep(self, state: Mapping[str, Any]) -> None:
        """The static form, for a notebook that is saved, beside the widget, which hides it."""
        is_update, self._kept_at = bool(self._kept), self._clock.monotonic()
        html = f'<div class="dspex-static-{self._display_id}">{self._subject.html(state)}</div>'
        bundle = {"text/html": html, "text/plain": self._subject.text(state)}
        if bundle != self._kept:
            self._kept = bundle
            show(bundle, display_id=self._display_id, is_update=is_update)

    def __repr__(self) -> str:
        return f"<LivePanel {self._subject.name} [{'live' if self.is_watching else 'still'}]>"
