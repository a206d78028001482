"""The hybrid route: prompt and reply are this process's business, only the question to the model leaves it.

What is asked is decided in ``questions``; here it is sent, shown while it comes, read, and asked once more in JSON
where DSPy would do so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dspex_lab.backends.base import Backend
from dspex_lab.calls import Chunk, LmSpec, Result
from dspex_lab.errors import ValidationError
from dspex_lab.router.execution import Task, call_settings, checked_outputs, see_call_through
from dspex_lab.router.operation import Outcome
from dspex_lab.router.python_calls import CallSettings
from dspex_lab.router.questions import Question, ask

__all__ = ["HybridAttempt"]


@dataclass(frozen=True, slots=True)
class HybridAttempt:
    """One question to a language model; two where the first reply cannot be read."""

    backend: Backend
    default_lm: LmSpec

    async def __call__(self, task: Task) -> Outcome:
        settings = call_settings(task, self.default_lm)
        question = ask(task.operation, task.inputs, settings)
        result = await self._answer(task, question, settings)
        queue_s, run_s = result.queue_s, result.run_s
        try:
            outputs = question.outputs(result.value)
        except ValidationError:
            if question.second_form is None:
                raise
            task.check_account()
            # The time that is left is less by now.
            settings = replace(settings, timeout_s=task.remaining_s())
            question = ask(task.operation, task.inputs, settings, form=question.second_form)
            result = await self._answer(task, question, settings)
            queue_s, run_s = queue_s + result.queue_s, run_s + result.run_s
            outputs = question.outputs(result.value)
        checked = checked_outputs(task.operation, outputs)
        return task.outcome(checked, result.worker, queue_s, run_s, is_cached=result.cached)

    async def _answer(self, task: Task, question: Question, settings: CallSettings) -> Result:
        call = question.call(task.operation, settings)
        if not call.stream:
            return await see_call_through(task, self.backend, call, task.take_chunk)
        fields = question.fields()
        last: Chunk | None = None

        def take(chunk: Chunk) -> None:
            nonlocal last
            last = chunk
            _show(task, chunk, fields.feed(chunk.text))

        result = await see_call_through(task, self.backend, call, take)
        if last is not None:
            _show(task, last, fields.close())
        return result


def _show(task: Task, chunk: Chunk, pieces: list[tuple[str, str]]) -> None:
    for name, text in pieces:
        task.take_chunk(replace(chunk, field=name, text=text))
