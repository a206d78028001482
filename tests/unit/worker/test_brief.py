"""The prompt for small local models."""

from __future__ import annotations

from dspex_lab.signatures import compile_signature
from dspex_lab.worker.brief import BriefAdapter

TRIAGE = '''"""Route a ticket."""
ticket: str
->
category: Literal["billing", "bug"]
urgency: Annotated[int, Field(ge=1, le=5)]  # 5 is drop everything
'''


def test_one_message_says_it_all() -> None:
    """Instructions, inputs, and names, types, descriptions and constraints of the outputs, in this order."""
    signature = compile_signature(TRIAGE).to_dspy()
    messages = BriefAdapter().format(signature, [], {"ticket": "Help!"})
    assert [one["role"] for one in messages] == ["user"]
    text = messages[0]["content"]
    assert text.startswith("Route a ticket.\n\nticket: Help!\n\nAnswer in JSON with these fields:\n- category (Literal")
    assert "- urgency (int): 5 is drop everything" in text


def test_no_placeholder_can_be_copied() -> None:
    """There is no ``{answer}`` and no field marker in it: a small model would repeat them."""
    signature = compile_signature("question -> answer").to_dspy()
    text = BriefAdapter().format(signature, [], {"question": "Why?"})[0]["content"]
    assert "{" not in text
    assert "[[" not in text


def test_demonstrations_are_turns() -> None:
    """Each demonstration is a question without the request, and its answer as JSON."""
    signature = compile_signature("question -> answer").to_dspy()
    demos = [{"question": "One?", "answer": "yes"}]
    messages = BriefAdapter().format(signature, demos, {"question": "Two?"})
    assert [one["role"] for one in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"].endswith("question: One?")
    assert messages[2]["content"].startswith("question: Two?")
