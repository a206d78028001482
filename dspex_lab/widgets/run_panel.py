"""The run panel: shows a run in the cell, live and then for good.

While the run is under way a widget shows it. When the run has ended, the cell's stored output is replaced by its
static HTML and text, so that a saved notebook, a reloaded page, nbconvert and GitHub show the result without a
kernel. As long as the widget's model lives, the page shows it in the place of that HTML, with what only a kernel can
do: running a step again. Without a notebook (a terminal, a script) there is only the text, at the end. It knows events
and views, and nothing of pipelines, pools or kernels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from dspex_lab.calls import new_id
from dspex_lab.clock import Clock
from dspex_lab.errors import LabError
from dspex_lab.errors.foreign import text_of
from dspex_lab.telemetry.events import Event
from dspex_lab.telemetry.run_view import RunView, render_html, render_questions_html, render_questions_text, render_text
from dspex_lab.widgets.live_run import LiveRun, OnAnswer, PanelStatistics
from dspex_lab.widgets.notebook import anchored, has_kernel, show, widget_view

if TYPE_CHECKING:
    from dspex_lab.widgets.run_widget import RunWidget

__all__ = ["PanelStatistics", "RunPanel"]

log = logging.getLogger(__name__)

#: Runs again from the step with that name on, and shows it in the panel: see :meth:`RunPanel.begin_again`.
OnRerun = Callable[[str], object]


class RunPanel:
    """One run in one cell. ``on_cancel`` and ``on_answer`` are those of :class:`LiveRun`; ``on_rerun(step)`` is called,
    on a thread of the kernel's, when the reader wants the run that is over to run again from one of the steps that are
    ``repeatable``. ``graph`` is what :func:`dspex_lab.widgets.graph_state.graph_message` gives, ``picture`` makes HTML
    of it."""

    def __init__(
        self,
        pipeline: str = "",
        on_cancel: Callable[[], object] | None = None,
        *,
        on_answer: OnAnswer | None = None,
        on_rerun: OnRerun | None = None,
        repeatable: Collection[str] = (),
        graph: Mapping[str, Any] | None = None,
        picture: Callable[[RunView], str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock
        self._pipeline = pipeline
        self._on_rerun = on_rerun
        self._repeatable = tuple(repeatable) if on_rerun is not None else ()
        self._graph = dict(graph or {})
        self._picture = picture
        self._live = self._made(on_cancel, on_answer)
        self._display_id = new_id()
        self._widget: RunWidget | None = None
        self._is_displayed = self._is_closed = False
        self._stored_questions: tuple[Mapping[str, Any], ...] = ()
        self._questions_id = ""
        self._heard = 0

    def _made(self, on_cancel: Callable[[], object] | None, on_answer: OnAnswer | None) -> LiveRun:
        return LiveRun(self._pipeline, on_cancel, on_answer=on_answer, repeatable=self._repeatable, clock=self._clock)

    @property
    def view(self) -> RunView:
        """The run as it stands."""
        return self._live.view

    @property
    def is_live(self) -> bool:
        """Whether there is a front end that shows the run as it goes, and its questions."""
        return self._live.is_live

    def statistics(self) -> PanelStatistics:
        return self._live.statistics()

    def apply(self, event: Event) -> None:
        """Take one event of the run. Never blocks, and may be called on any thread; other runs' events are ignored."""
        self._live.apply(event)

    def display(self) -> None:
        """Show the panel in the current cell; in a terminal, wait with it until the end."""
        self._is_displayed = True
        if not has_kernel():
            return
        from dspex_lab.widgets.run_widget import RunWidget

        self._widget = RunWidget(state=self._live.state(), graph=self._graph, anchor=self._display_id)
        self._widget.on_msg(self._on_message)
        bundle = {**widget_view(self._widget.model_id), **self._static(self._live.view)}
        show(bundle, display_id=self._display_id)
        self._live.send_to(self._widget, on_sent=self._keep_questions, on_end=self._settle)

    def finish(self, *, timeout_s: float = 2.0) -> None:
        """Put the result into the cell for good. Waits for the run's last event and for the sending, at most
        ``timeout_s`` seconds each; a run that does not end by then is shown as cancelled. Safe to call twice."""
        is_first = self._live.finish(timeout_s=timeout_s)
        if self._widget is None and self._is_displayed and is_first and self._live.view.run_id:
            show({"text/plain": render_text(self._live.view)}, display_id=self._display_id)

    def begin_again(self, on_cancel: Callable[[], object] | None = None, *, on_answer: OnAnswer | None = None) -> None:
        """Show another run in the place of the one that is over: its events are to be applied from now on."""
        self._live = self._made(on_cancel, on_answer)
        if self._widget is not None and not self._is_closed:
            self._live.send_to(self._widget, on_sent=self._keep_questions, on_end=self._settle)

    def close(self) -> None:
        """Let the widget go: the cell shows the static form from now on. Safe to call twice."""
        if self._is_closed or self._widget is None:
            return
        self._is_closed = True
        self._widget.close()

    def _static(self, view: RunView) -> dict[str, Any]:
        picture = self._picture(view) if self._picture is not None and view.is_over else ""
        html = anchored(render_html(view, picture=picture), self._display_id)
        return {"text/html": html, "text/plain": render_text(view)}

    def _keep_questions(self, view: RunView) -> None:
        """What is asked, beside the panel: a notebook that is saved now shows it without a kernel."""
        if view.questions == self._stored_questions:
            return
        is_update, self._stored_questions = bool(self._questions_id), view.questions
        self._questions_id = self._questions_id or new_id()
        stored = {"text/html": render_questions_html(view), "text/plain": render_questions_text(view)}
        show(stored, display_id=self._questions_id, is_update=is_update)

    def _settle(self, view: RunView) -> None:
        """Replace the widget in the cell by what stays; a run that never began leaves nothing."""
        stays = self._static(view) if view.run_id else {"text/plain": ""}
        show(stays, display_id=self._display_id, is_update=True)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """What the front end asks for; runs on a subshell's thread while a cell is running."""
        if not isinstance(content, dict):
            return
        if content.get("kind") == "rerun":
            self._rerun(content)
        elif content.get("kind") == "unseen":
            if not self._repeatable and self._live.view.is_over:
                # Its last view is gone, since the static form took its place: a thousand runs leave no thousand
                # widgets. Those from which steps can be run again are kept by who made them, as long as they like.
                self.close()
        else:
            self._live.hear(content)

    def _rerun(self, content: Mapping[str, Any]) -> None:
        """Run again, once for each time that the reader wanted it: the page says it until it hears of it."""
        step, attempt = str(content.get("step")), content.get("attempt")
        is_new = isinstance(attempt, int) and attempt > self._heard
        if self._on_rerun is None or step not in self._repeatable or not is_new or not self._live.view.is_over:
            return
        self._heard = int(attempt or 0)
        try:
            self._on_rerun(step)
        except Exception as error:  # whatever it is, the page waits for an answer
            if not isinstance(error, LabError):
                log.warning("The run could not be begun again.", exc_info=True)
            message = error.message if isinstance(error, LabError) else f"{type(error).__name__}: {text_of(error)}"
            if self._widget is not None:
                self._widget.send({"kind": "not_begun", "message": message, "hint": getattr(error, "hint", None) or ""})

    def __repr__(self) -> str:
        view = self._live.view
        return f"<RunPanel {view.pipeline or 'run'} [{view.status}, {len(view.steps)} steps]>"
