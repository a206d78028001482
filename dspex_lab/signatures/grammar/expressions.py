"""Parses one expression of a signature with Python's own parser, and finds its nodes again in the user's text."""

from __future__ import annotations

import ast
import re
import warnings

from dspex_lab.errors import SignatureError
from dspex_lab.signatures.grammar.tokens import Source
from dspex_lab.signatures.types.names import Fault

__all__ = ["Expression", "parse_expression"]

#: More operators than this in one expression are refused, before Python's parser runs out of stack.
MAX_OPERATORS = 400
#: What may make Python's parser warn (odd escapes, a number that touches a word).
_MAY_WARN = re.compile(r"\\|\d[A-Za-z_]")


class Expression:
    """A parsed piece of a :class:`Source`: ``node``, and where it begins."""

    __slots__ = ("_end", "_source", "_start", "node")

    def __init__(self, source: Source, start: int, end: int, node: ast.expr) -> None:
        self._source = source
        self._start = start
        self._end = end
        self.node = node

    def error(self, fault: Fault, field: str | None) -> SignatureError:
        """The SignatureError for ``fault``, pointing at its node."""
        offset = self._offset(getattr(fault.node, "lineno", 1), getattr(fault.node, "col_offset", 1))
        return self._source.error(fault.message, offset, field=field, hint=fault.hint)

    def _offset(self, line: int, column_bytes: int) -> int:
        """Python counts columns in UTF-8 bytes of a text that begins with our own bracket."""
        start = self._start
        for _ in range(line - 1):
            following = self._source.text.find("\n", start, self._end)
            if following < 0:
                return max(self._start, self._end - 1)
            start = following + 1
        end = self._source.text.find("\n", start)
        text = self._source.text[start : len(self._source.text) if end < 0 else end]
        in_bytes = column_bytes - 1 if line == 1 else column_bytes
        offset = start + len(text.encode()[: max(0, in_bytes)].decode(errors="ignore"))
        return min(offset, max(self._start, self._end - 1))


def parse_expression(source: Source, start: int, end: int, field: str | None) -> Expression:
    """The expression between two offsets; SignatureError when it is none. Its brackets match already."""
    text = source.text[start:end]
    try:
        return Expression(source, start, end, _parse(f"({text}\n)"))
    except SyntaxError as error:
        expression = Expression(source, start, end, ast.Constant(None))
        place = ast.Constant(None, lineno=error.lineno or 1, col_offset=_syntax_column(error))
        raise expression.error(Fault("This is no Python expression.", place, _syntax_hint(text)), field) from None
    except (ValueError, RecursionError, MemoryError, OverflowError):
        raise source.error("This expression is too large or too deep to be read.", start, field=field) from None


def _parse(text: str) -> ast.expr:
    if not _MAY_WARN.search(text):
        return ast.parse(text, mode="eval").body
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode="eval").body


def _syntax_column(error: SyntaxError) -> int:
    """The error's column in UTF-8 bytes, from 0; Python gives characters from 1."""
    offset = max(0, (error.offset or 1) - 1)
    line = error.text or ""
    return len(line[:offset].encode(errors="replace")) if line else offset


def _syntax_hint(text: str) -> str | None:
    if "<" in text:
        return "Arguments of a type go into square brackets: `list[str]`."
    words = text.split()
    if len(words) > 1 and all(word.isidentifier() for word in words[:2]):
        return "A comma or a new line goes between two fields; words about a field go behind a `#`."
    return None
