"""The open questions of one run: asked on its event loop, answered from any thread, each once.

Knows forms and nothing of panels; what happens is told by events.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dspex_lab.clock import Clock
from dspex_lab.errors import DeadlineExceeded, PipelineError
from dspex_lab.pipelines.run.question import Question
from dspex_lab.pipelines.steps.asking import Form, checked_answer
from dspex_lab.router import EmitEvent, Outcome
from dspex_lab.signatures import form_fields, values_of_form

__all__ = ["Listener", "Questions"]

#: Told of each question as it is asked.
Listener = Callable[[Question], None]


@dataclass(frozen=True, slots=True)
class _Open:
    question: Question
    form: Form
    loop: asyncio.AbstractEventLoop
    answered: asyncio.Future[Mapping[str, Any]]


class Questions:
    """What a run waits for people with. ``on_waiting`` hears when it begins to wait, and when it no longer does."""

    def __init__(self, run_id: str, clock: Clock, emit: EmitEvent, on_waiting: Callable[[bool], None]) -> None:
        self._run_id = run_id
        self._clock = clock
        self._emit = emit
        self._on_waiting = on_waiting
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._listeners: list[Listener] = []

    @property
    def open(self) -> tuple[Question, ...]:
        """Those that wait for an answer, the oldest first."""
        with self._lock:
            return tuple(one.question for one in self._open.values())

    async def ask(
        self, step: str, key: str, form: Form, inputs: Mapping[str, Any], *, timeout_s: float | None
    ) -> Outcome:
        """Wait for the answer. After ``timeout_s`` it is the form's default; without one, ``DeadlineExceeded``."""
        now = self._clock.now()
        question = Question(
            key,
            step,
            form.text,
            {name: inputs.get(name) for name in form.shows},
            form_fields(form.answer.inputs, form.default),
            form.default,
            now,
            None if timeout_s is None else now + timeout_s,
        )
        loop = asyncio.get_running_loop()
        one = _Open(question, form, loop, loop.create_future())
        self._put(one)
        by = "withdrawn"
        try:
            by, answer = await self._answer_to(one, timeout_s)
        finally:
            self._take(question.id)
            self._emit("run.answer", None, run_id=self._run_id, step=step, question=key, by=by)
            if not self.open:
                self._on_waiting(False)
        return Outcome(answer, route="", target="")

    def answer(self, given: Any, which: str | Question | None = None) -> None:
        """Answer the open question, or ``which`` (by its id, or the name of its step). Raises ``ValidationError`` for
        an answer that does not fit, and goes on asking; ``PipelineError`` when there is no such question."""
        one = self._choose(which.id if isinstance(which, Question) else which)
        answer = checked_answer(one.form.answer, given)
        if self._take(one.question.id) is None:
            raise PipelineError(f"{one.question.step} has its answer already.", one.question.step)
        one.loop.call_soon_threadsafe(_settle, one.answered, answer)

    def answer_form(self, question_id: str, typed: Mapping[str, Any]) -> None:
        """The same with what was typed into a form's fields."""
        question = self._choose(question_id).question
        self.answer(values_of_form(question.fields, typed), question)

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` of what is open now, and of what is asked until :meth:`unlisten`."""
        with self._lock:
            waiting = [one.question for one in self._open.values()]
            self._listeners.append(listener)
        for question in waiting:
            listener(question)

    def unlisten(self, listener: Listener) -> None:
        """Tell ``listener`` no more; one that was never told is none."""
        with self._lock, contextlib.suppress(ValueError):
            self._listeners.remove(listener)

    async def _answer_to(self, one: _Open, timeout_s: float | None) -> tuple[str, Mapping[str, Any]]:
        if timeout_s is None:
            return "answer", await one.answered
        timer = asyncio.ensure_future(self._clock.sleep(timeout_s))
        ends: set[asyncio.Future[Any]] = {one.answered, timer}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        # Who took it from the open ones answers it; the answer is on its way then.
        if one.answered.done() or self._take(one.question.id) is None:
            return "answer", await one.answered
        if one.form.default is None:
            raise DeadlineExceeded(
                f"{one.question.step} had no answer within {timeout_s:g} s.",
                hint="Give more time, or an answer for that case: ask(..., default=...).",
                retryable=False,
            )
        return "default", one.form.default

    def _put(self, one: _Open) -> None:
        with self._lock:
            self._open[one.question.id] = one
            listeners = list(self._listeners)
        self._on_waiting(True)
        self._emit("run.question", None, run_id=self._run_id, **one.question.to_plain())
        for listener in listeners:
            listener(one.question)

    def _take(self, question_id: str) -> _Open | None:
        with self._lock:
            return self._open.pop(question_id, None)

    def _choose(self, which: str | None) -> _Open:
        with self._lock:
            known = dict(self._open)
        found = [one for one in known.values() if which is None or which in (one.question.id, one.question.step)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(repr(name) for name in known)
        if not known:
            raise PipelineError("The run asks nothing now.", hint="run.questions are those that wait for an answer.")
        if not found:
            raise PipelineError(f"The run does not ask {which!r}.", hint=f"It asks {names}.")
        raise PipelineError(
            f"The run asks {len(found)} questions.", hint=f"Say which: run.answer(..., question=...), of {names}."
        )

    def __repr__(self) -> str:
        return f"<Questions [open: {len(self.open)}]>"


def _settle(answered: asyncio.Future[Mapping[str, Any]], answer: Mapping[str, Any]) -> None:
    if not answered.done():  # the run may have been cancelled meanwhile
        answered.set_result(answer)
