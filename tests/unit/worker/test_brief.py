"""The prompt for small local models."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.signatures import compile_signature
from dspex_lab.worker.brief import BriefAdapter

TRIAGE = '''"""Route a ticket."""
ticket: str
->
category: Literal["billing", "bug", "feature"]
urgency: Annotated[int, Field(ge=1, le=5)]  # 5 is drop everything
reply: str | None
'''
REQUEST = (
    "Route a ticket. What is the category (billing, bug or feature)? "
    "What is the urgency (a whole number; from 1 to 5; 5 is drop everything)? What is the reply?"
)
DEMO = {"ticket": "Twice charged.", "category": "billing", "urgency": 4, "reply": "Sorry!"}


def written(text: str, inputs: dict[str, Any], demos: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = BriefAdapter().format(compile_signature(text).to_dspy(), demos or [], inputs)
    return messages


def test_one_message_asks_first() -> None:
    """Without demonstrations: the instructions and a question for each output in plain words, then the inputs."""
    assert written(TRIAGE, {"ticket": "Help!"}) == [{"role": "user", "content": f"{REQUEST}\n\nticket: Help!"}]


def test_after_demonstrations_the_request_is_last() -> None:
    """With demonstrations every question has the same form, the request behind the inputs, and answers are JSON."""
    first, answer, second = written(TRIAGE, {"ticket": "Help!"}, [DEMO])
    assert first == {"role": "user", "content": f"ticket: Twice charged.\n\n{REQUEST}"}
    assert answer["role"] == "assistant"
    assert '"urgency": 4' in answer["content"]
    assert second == {"role": "user", "content": f"ticket: Help!\n\n{REQUEST}"}


def test_no_placeholder_can_be_copied() -> None:
    """There is no ``{answer}``, no field marker and no word of JSON in it: a small model would repeat them."""
    text = written("question -> answer", {"question": "Why?"})[0]["content"]
    assert not any(sign in text for sign in ("{", "[[", "JSON"))


@pytest.mark.parametrize("demos", [[], [DEMO], [{"ticket": "Incomplete.", "category": "bug"}]])
def test_same_messages_without_dspy(demos: list[dict[str, Any]]) -> None:
    """A program asks a small model in the same words in a worker and on the hybrid route."""
    inputs = {"ticket": "Help!"}
    assert compile_signature(TRIAGE).prompt.brief_messages(inputs, demos) == written(TRIAGE, inputs, demos)
