"""The brief form of a prompt."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.signatures import compile_signature

TRIAGE = '''"""Route a ticket."""
ticket: str
->
category: Literal["billing", "bug", "feature"]
urgency: Annotated[int, Field(ge=1, le=5)]  # 5 is drop everything
reply: str | None
'''


def brief(signature: str, demos: tuple[dict[str, Any], ...] = (), **inputs: Any) -> list[dict[str, Any]]:
    """The messages for ``inputs``."""
    return compile_signature(signature).prompt.brief_messages(inputs, demos)


def test_one_message_asks_in_plain_words() -> None:
    """What is asked comes first: instructions, and a question with kind, bounds and description for each output."""
    asked = (
        "Route a ticket. What is the category (billing, bug or feature)? "
        "What is the urgency (a whole number; from 1 to 5; 5 is drop everything)? What is the reply?"
    )
    assert brief(TRIAGE, ticket="Help!") == [{"role": "user", "content": f"{asked}\n\nticket: Help!"}]


def test_after_demonstrations_the_question_comes_last() -> None:
    """Each turn has the inputs, then what is asked; the answers are JSON on one line."""
    messages = brief("question -> answer", ({"question": "One?", "answer": "yes"},), question="Two?")
    assert [one["role"] for one in messages] == ["user", "assistant", "user"]
    assert [one["content"].split("\n\n")[0] for one in messages[::2]] == ["question: One?", "question: Two?"]
    assert messages[1]["content"] == '{"answer": "yes"}'


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("str", ""),
        ("bool", " (true or false)"),
        ("float | None", " (a number)"),
        ("list[str]", " (a list)"),
        ("Literal['yes']", " (yes)"),
        ("dict[str, int]", " (dict[str, int])"),
        ("int | str", " (Union[int, str])"),
    ],
)
def test_types_are_plain_words(kind: str, words: str) -> None:
    """A model of 135M parameters knows words, and no Python."""
    assert f"What is the answer{words}?" in brief(f"question -> answer: {kind}", question="?")[0]["content"]


def test_without_inputs_the_question_is_all() -> None:
    """A step may be asked without any input."""
    content = brief("question: str | None -> answer")[0]["content"]
    assert content == "Given the fields `question`, produce the fields `answer`. What is the answer?"
