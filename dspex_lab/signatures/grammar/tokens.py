"""Cuts a signature's text into tokens: the only place that looks at single characters.

Linear in the text; knows brackets, strings and comments, and nothing of fields or types.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from dspex_lab.errors import SignatureError

__all__ = ["Source", "Token", "open_source", "tokenize"]

#: Brackets deeper than this are refused; people write three or four, Python itself ends at 200.
_MAX_DEPTH = 60

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\f]++)
  | (?P<newline>\n[ \t\f\n]*+)
  | (?P<comment>\#[^\n]*+)
  | (?P<string>(?:[rRbBuUfF]{1,2}(?=["']))?+(?:
        \"\"\"(?:[^"\\]|\\.|"(?!""))*+\"\"\" | '''(?:[^'\\]|\\.|'(?!''))*+'''
      | "(?!"")(?:[^"\\\n]|\\.)*+" | '(?!'')(?:[^'\\\n]|\\.)*+' | ""(?!") | ''(?!')))
  | (?P<word>\w++)
  | (?P<arrow>->)
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<comma>,)
  | (?P<colon>:)
  | (?P<equals>=(?!=))
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

#: Characters that make text look other than it reads: controls, line separators that editors do not show as such,
#: directional overrides and isolates, and halves of surrogate pairs.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
#: A message quotes the user's words, which may be a megabyte long.
_MAX_MESSAGE = 240
_CLOSES = {")": "(", "]": "[", "}": "{"}


class Token(NamedTuple):
    """``kind`` is the name of a group of the token pattern; ``start`` and ``end`` are offsets in the source; ``depth``
    counts the brackets around it."""

    kind: str
    text: str
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Source:
    """The user's text with its line ends made plain, and how to point at a place in it."""

    text: str
    #: The offset at which each line begins.
    line_starts: tuple[int, ...] = field(repr=False)

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1, of a character offset."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a line, counted from 1."""
        end = self.line_starts[number] - 1 if number < len(self.line_starts) else len(self.text)
        return self.text[self.line_starts[number - 1] : end]

    def error(self, message: str, offset: int, *, field: str | None = None, hint: str | None = None) -> SignatureError:
        """A SignatureError that points at ``offset``."""
        line, column = self.place(offset)
        if len(message) > _MAX_MESSAGE:
            message = f"{message[: _MAX_MESSAGE // 2]} … {message[-_MAX_MESSAGE // 2 :]}"
        return SignatureError(message, self.text, field, line=line, column=column, hint=hint)


def open_source(text: str) -> Source:
    """``text`` with plain line ends; SignatureError for characters that nobody can see."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    source = Source(plain, (0, *(match.end() for match in re.finditer("\n", plain))))
    unseen = _UNSEEN.search(source.text)
    if unseen:
        raise source.error(
            f"A signature cannot contain the invisible character U+{ord(unseen[0]):04X}.",
            unseen.start(),
            hint="Delete it; it often comes along when text is copied from a web page or a document.",
        )
    return source


def tokenize(source: Source) -> list[Token]:
    """The tokens of ``source`` without its spaces; SignatureError for open strings and brackets that do not match."""
    return list(_tokens(source))


def _tokens(source: Source) -> Iterator[Token]:
    stack: list[tuple[str, int]] = []
    for match in _TOKEN.finditer(source.text):
        kind = match.lastgroup or "other"
        if kind == "space":
            continue
        text, start = match[0], match.start()
        if kind == "open":
            yield Token(kind, text, start, match.end(), len(stack))
            stack.append((text, start))
            if len(stack) > _MAX_DEPTH:
                raise source.error(f"Brackets are nested more than {_MAX_DEPTH} deep.", start)
            continue
        if kind == "close":
            if not stack or stack[-1][0] != _CLOSES[text]:
                raise source.error(f"This `{text}` closes nothing.", start, hint=_bracket_hint(stack))
            stack.pop()
        elif kind == "other" and text in "\"'":
            raise source.error(f"The string that begins with {text} is not closed.", start)
        yield Token(kind, text, start, match.end(), len(stack))
    if stack:
        raise source.error(f"This `{stack[-1][0]}` is never closed.", stack[-1][1])


def _bracket_hint(stack: list[tuple[str, int]]) -> str:
    if not stack:
        return "Delete it, or open it before."
    wanted = {opened: closed for closed, opened in _CLOSES.items()}[stack[-1][0]]
    return f"`{stack[-1][0]}` is open here and wants `{wanted}`."
