"""What a run offers to those who answer its questions, from any thread."""

from __future__ import annotations

import abc
import sys
from collections.abc import Mapping
from typing import Any

from dspex_lab.pipelines.run.question import Question
from dspex_lab.pipelines.run.questions import Questions

__all__ = ["Answerable"]


class Answerable(abc.ABC):
    """A run's face towards people: its open questions, and the ways to answer them."""

    _questions: Questions
    #: Whether a panel shows the run, and its questions: then who waits for it need not be told of them.
    is_shown = False

    @property
    @abc.abstractmethod
    def id(self) -> str:
        """The run's."""

    @property
    def questions(self) -> tuple[Question, ...]:
        """What the run asks now, the oldest first; :meth:`answer` answers."""
        return self._questions.open

    def answer(self, value: Any = None, /, *, question: str | Question | None = None, **fields: Any) -> None:
        """Answer what the run asks, from any thread and any cell: ``run.answer(approved=True)``, with a mapping, or
        with the one value that cannot be left out. ``question`` says which, by its step, when there are several.

        Raises ``ValidationError`` for an answer that does not fit, and goes on asking, and ``PipelineError`` when there
        is no such question.
        """
        self._questions.answer(fields or value, question)

    def answer_form(self, question: str, typed: Mapping[str, Any]) -> None:
        """Answer a question, by its id, with what was typed into the fields of its form."""
        self._questions.answer_form(question, typed)

    def _write_out(self, question: Question) -> None:
        if not self.is_shown:
            sys.stdout.write(f"{question}\n{question.how_to_answer(self.id)}\n")
            sys.stdout.flush()
