"""The chat half of the field stream: what stands behind each ``[[ ## name ## ]]``, as DSPy's ChatAdapter reads it."""

from __future__ import annotations

import re

__all__ = ["ChatFields"]

_MARKER = re.compile(r"\[\[ ## (\w+) ## \]\]")
_START = "[[ ## "
_SPACE = re.compile(r"\s*\Z")


class ChatFields:
    """Fields of the chat form. A marker counts at the start of a line; a field that comes again is not repeated."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._seen: set[str] = set()
        self._field: str | None = None
        self._line = ""  # the start of a line that may yet become a marker
        self._is_at_line_start = True
        self._space = ""  # white space that is dropped if the field ends behind it
        self._has_said = False
        self._pieces: list[tuple[str, str]] = []

    def feed(self, text: str) -> list[tuple[str, str]]:
        for part in text.splitlines(keepends=True):
            self._part(part)
        return self._take()

    def close(self) -> list[tuple[str, str]]:
        if self._line:
            line, self._line = self._line, ""
            self._is_at_line_start = False
            self._line_start(line, is_whole=True)
        return self._take()

    def _part(self, part: str) -> None:
        if not self._is_at_line_start:
            self._say(part)
        else:
            line, self._line = self._line + part, ""
            if part.endswith(("\n", "\r")):
                self._line_start(line, is_whole=True)
            elif _may_be_marker(line):
                self._line = line
                return
            else:
                self._line_start(line, is_whole=False)
        self._is_at_line_start = part.endswith(("\n", "\r"))

    def _line_start(self, line: str, *, is_whole: bool) -> None:
        stripped = line.lstrip()
        match = _MARKER.match(stripped)
        if match is None:
            self._say(line)
            return
        name = match[1]
        self._field = name if name in self._names and name not in self._seen else None
        self._seen.add(name)
        self._space, self._has_said = "", False
        self._say(stripped[match.end() :])

    def _say(self, text: str) -> None:
        """White space is held back until something follows it."""
        if self._field is None:
            return
        text = self._space + text
        if not self._has_said:
            text = text.lstrip()
        kept = text.rstrip()
        self._space = text[len(kept) :] if kept or self._has_said else ""
        if kept:
            self._has_said = True
            self._pieces.append((self._field, kept))

    def _take(self) -> list[tuple[str, str]]:
        pieces, self._pieces = self._pieces, []
        return pieces


def _may_be_marker(line: str) -> bool:
    """Whether more text could make ``line`` begin with a marker, or a marker is there whose line goes on."""
    start = line.lstrip()
    if len(start) <= len(_START):
        return _START.startswith(start)
    if not start.startswith(_START):
        return False
    return (
        _MARKER.match(start) is None
        and re.fullmatch(r"\w*( ?| #{1,2}| ## ?| ## \]{1,2})", start[len(_START) :]) is not None
    )
