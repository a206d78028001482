"""Lays a signature's tokens out: which are the instructions, which belong to which field, on which side of the arrow.

Knows lines, commas and comments, and nothing of types; ``grammar`` reads the fields afterwards.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass, field
from itertools import pairwise

from dspex_lab.errors import SignatureError
from dspex_lab.signatures.grammar.expressions import parse_expression
from dspex_lab.signatures.grammar.tokens import Source, Token

__all__ = ["Item", "Layout", "lay_out"]

_GOES_ON = frozenset({"comma", "colon", "equals", "arrow"})
_JOINING = frozenset("|.")
#: What people write for the arrow.
_FALSE_ARROWS = frozenset({("=", ">"), ("-", "-"), ("\u2013", ">")})
_FALSE_ARROW_SIGNS = frozenset("\u2192\u27f6\u21d2")


@dataclass(slots=True)
class Item:
    """The tokens of one field, before they are understood, and the comments on its lines."""

    tokens: list[Token]
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Layout:
    """What a text is made of; ``is_string_form`` when it says nothing that DSPy's string form could not say."""

    arrow: Token
    docstring: str | None = None
    inputs: list[Item] = field(default_factory=list)
    outputs: list[Item] = field(default_factory=list)
    is_string_form: bool = True


def lay_out(source: Source, tokens: list[Token]) -> Layout:
    """The layout of a signature's tokens. SignatureError when there is no arrow, two, or a comma without a field."""
    if not any(token.kind not in ("newline", "comment") for token in tokens):
        raise SignatureError("The signature is empty.", source.text, hint='Write at least "input -> output".')
    docstring, rest = _docstring(source, tokens)
    reader = _LayoutReader(source)
    reader.read(rest)
    if reader.arrow is None:
        raise _no_arrow(source, reader.sides[0])
    inputs, outputs = reader.sides
    is_string_form = not reader.has_comments and _is_string_form(source, reader.arrow, (inputs, outputs))
    return Layout(reader.arrow, docstring, inputs, outputs, is_string_form)


class _LayoutReader:
    """Sorts tokens into fields, one token at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.sides: tuple[list[Item], list[Item]] = ([], [])
        self.arrow: Token | None = None
        self.has_comments = False
        self._open = Item([])
        self._last: Item | None = None  # the field that a comment on this line would speak of
        self._last_comma: Token | None = None

    def read(self, tokens: list[Token]) -> None:
        following = _following(tokens)
        is_line_start = True
        for index, token in enumerate(tokens):
            if token.kind == "comment":
                self._comment(token, is_line_start=is_line_start)
                continue
            is_line_start = token.kind == "newline"
            if token.kind == "newline":
                if not token.depth and self._open.tokens and _ends_here(self._open.tokens[-1], following[index]):
                    self._close()
            elif token.depth or token.kind not in ("comma", "arrow"):
                self._open.tokens.append(token)
            elif token.kind == "comma":
                self._comma(token)
            else:
                self._arrow(token)
        self._close()

    def _comment(self, token: Token, *, is_line_start: bool) -> None:
        self.has_comments = True
        target = self._open if self._open.tokens else self._last
        if target is not None and not is_line_start:
            target.comments.append(token.text.lstrip("#").strip())

    def _close(self) -> bool:
        """End the open field; whether there was one."""
        if not self._open.tokens:
            return False
        self.sides[self.arrow is not None].append(self._open)
        self._last, self._open = self._open, Item([])
        return True

    def _comma(self, token: Token) -> None:
        """A comma may also follow a field that a new line ended already; two commas, or one at the start, may not."""
        if not self._close():
            side = self.sides[self.arrow is not None]
            if not side or (self._last_comma is not None and self._last_comma.start > side[-1].tokens[-1].start):
                message = "There is no field before this comma."
                raise self._source.error(message, token.start, hint="Delete the comma.")
        self._last_comma = token

    def _arrow(self, token: Token) -> None:
        self._close()
        self._last = None
        if self.arrow is not None:
            raise self._source.error(
                "A signature has one `->`, and this is the second.",
                token.start,
                hint="Chain steps in a pipeline: each has a signature of its own.",
            )
        self.arrow = token


def _docstring(source: Source, tokens: list[Token]) -> tuple[str | None, list[Token]]:
    """Takes leading strings as the instructions; gives back the tokens behind them."""
    start = 0
    parts: list[str] = []
    while start < len(tokens) and tokens[start].kind in ("newline", "comment", "string"):
        token = tokens[start]
        if token.kind == "string":
            node = parse_expression(source, token.start, token.end, None).node
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                raise source.error("The instructions must be a plain string.", token.start)
            parts.append(node.value)
        start += 1
    return (inspect.cleandoc("".join(parts)), tokens[start:]) if parts else (None, tokens)


def _is_string_form(source: Source, arrow: Token, sides: tuple[list[Item], list[Item]]) -> bool:
    """The string form has no defaults, commas between all fields, and no line that is the arrow alone."""
    for items in sides:
        if any("," not in source.text[a.tokens[-1].end : b.tokens[0].start] for a, b in pairwise(items)):
            return False
        if any(token.kind == "equals" and not token.depth for item in items for token in item.tokens):
            return False
    return source.line(source.place(arrow.start)[0]).strip() != "->"


def _no_arrow(source: Source, items: list[Item]) -> SignatureError:
    for item in items:
        for token, following in pairwise(item.tokens):
            if (token.text, following.text) in _FALSE_ARROWS or token.text in _FALSE_ARROW_SIGNS:
                return source.error("This is not the arrow.", token.start, hint="Write it as `->`.")
    return source.error(
        "The signature has no `->`.",
        items[-1].tokens[-1].end if items else 0,
        hint='Inputs, `->`, outputs: "question -> answer"; in a cell the arrow has a line of its own.',
    )


def _following(tokens: list[Token]) -> list[Token | None]:
    """For each token the next one that is no new line and no comment."""
    found: list[Token | None] = []
    following: Token | None = None
    for token in reversed(tokens):
        found.append(following)
        if token.kind not in ("newline", "comment"):
            following = token
    return found[::-1]


def _ends_here(previous: Token, following: Token | None) -> bool:
    """Whether a new line between these two ends a field."""
    if previous.kind in _GOES_ON or previous.text in _JOINING:
        return False
    return following is None or not (following.kind in _GOES_ON or following.text in _JOINING)
