"""The brief form of a prompt, for small local models: the same fields in a third of the words, answered as JSON.

DSPy's own adapters describe their format with placeholders (``{"answer": "{answer}"}``), and a model of 135M
parameters copies the placeholder. Here the decoder enforces the format, so the prompt asks in plain words for what it
wants and says nothing of JSON or of Python's types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from dspex_lab.signatures.prompt.types import annotation_name
from dspex_lab.signatures.types.field import Signature
from dspex_lab.signatures.types.rebuild import without_metadata

__all__ = ["brief_part", "brief_question", "brief_request", "with_request"]

#: How DSPy words a pair of bounds.
_RANGE = re.compile(r"greater than or equal to: (\S+), less than or equal to: (\S+)")
_KINDS = {str: "", bool: "true or false", int: "a whole number", float: "a number", list: "a list"}


def brief_part(name: str, text: str) -> str:
    """One input as it is shown."""
    return f"{name}: {text}"


def brief_request(signature: Signature) -> str:
    """The instructions, and a question for each output."""
    questions = (
        brief_question(item.name, without_metadata(item.annotation), notes=(item.constraints, item.description))
        for item in signature.outputs
    )
    return " ".join((signature.instructions.strip(), *questions))


def brief_question(name: str, annotation: Any, *, notes: Iterable[str] = ()) -> str:
    """One output as it is asked for; in brackets its kind, and what else is said of it (bounds, a description)."""
    said = [_RANGE.sub(r"from \1 to \2", note) for note in (_kind(annotation), *notes) if note]
    shown = f" ({'; '.join(said)})" if said else ""
    return f"What is the {name}{shown}?"


def with_request(messages: list[dict[str, Any]], request: str) -> list[dict[str, Any]]:
    """The turns with ``request`` in each question: before the inputs, or behind them where there are demonstrations.

    Where it stands decides much for a small model. Of 44 product reviews that people rated clearly, the bundled model
    gave the right mood to 28 with the request first and no demonstration, and to 19 with the request last; after three
    demonstrations to 33 with the request last in every turn, and to 20 (always the same word) with the request first.
    """
    is_last = sum(message["role"] == "user" for message in messages) > 1
    found = []
    for message in messages:
        if message["role"] == "user":
            parts = (message["content"], request) if is_last else (request, message["content"])
            message = {**message, "content": _joined(*parts)}
        found.append(message)
    return found or [{"role": "user", "content": request}]


def _joined(first: Any, second: Any) -> Any:
    """Two parts of a message as one; a part is text, or a list of blocks where an image or a file is in it."""
    if isinstance(first, str) and isinstance(second, str):
        return "\n\n".join(part for part in (first, second) if part)
    return [*_blocks(first), *_blocks(second)]


def _blocks(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _kind(annotation: Any) -> str:
    """A type in plain words: "billing, bug or feature" for a Literal; "" for text."""
    if get_origin(annotation) is Literal:
        *others, last = (str(option) for option in get_args(annotation))
        return f"{', '.join(others)} or {last}" if others else last
    if get_origin(annotation) in (Union, UnionType):
        inner = [one for one in get_args(annotation) if one is not NoneType]
        if len(inner) == 1:
            return _kind(inner[0])
    found = _KINDS.get(get_origin(annotation) or annotation)
    return annotation_name(annotation) if found is None else found
