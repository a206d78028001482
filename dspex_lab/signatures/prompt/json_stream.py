"""The JSON half of the field stream: a small state machine over the characters of one JSON object."""

from __future__ import annotations

import enum
import re

__all__ = ["JsonFields"]


class _State(enum.Enum):
    BEFORE = "before the object"
    KEY = "between properties"
    IN_KEY = "inside a key"
    COLON = "between key and value"
    STRING = "inside a top-level string value"
    OTHER = "inside any other value"
    DONE = "behind the object"


_SIMPLE_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PLAIN = re.compile(r'[^"\\]+')
_PLAIN_OTHER = re.compile(r'[^"\\{}\[\],]+')
_ESCAPE_LENGTH = 6  # \uXXXX


class JsonFields:
    """Top-level properties of the first JSON object in a text; what stands before the object is skipped."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._state = _State.BEFORE
        self._held = ""  # the start of an escape that is not complete
        self._key: list[str] = []
        self._depth = 0  # brackets open inside the value
        self._is_in_string = False  # inside a string inside a value that is no string
        self._space = ""  # white space of a value that is dropped if the value ends behind it
        self._pieces: list[tuple[str, str]] = []

    def feed(self, text: str) -> list[tuple[str, str]]:
        text = self._held + text
        self._held = ""
        position = 0
        while position < len(text):
            position = self._step(text, position)
        pieces, self._pieces = self._pieces, []
        return pieces

    def close(self) -> list[tuple[str, str]]:
        return []

    def _step(self, text: str, position: int) -> int:
        """Handle the text at ``position``; the position behind what was used."""
        if self._state in (_State.IN_KEY, _State.STRING):
            return self._in_string(text, position)
        if self._state is _State.OTHER:
            return self._in_other(text, position)
        if self._state is _State.DONE:
            return len(text)
        return self._between(text, position)

    def _between(self, text: str, position: int) -> int:
        character = text[position]
        if self._state is _State.BEFORE:
            start = text.find("{", position)
            if start < 0:
                return len(text)
            self._state = _State.KEY
            return start + 1
        if self._state is _State.KEY:
            if character == '"':
                self._key = []
                self._state = _State.IN_KEY
            elif character == "}":
                self._state = _State.DONE
            return position + 1
        if character.isspace() or character == ":":
            return position + 1
        if character == '"':
            self._state = _State.STRING
            return position + 1
        self._state = _State.OTHER
        self._depth, self._is_in_string, self._space = 0, False, ""
        return position

    def _in_string(self, text: str, position: int) -> int:
        character = text[position]
        if character == '"':
            self._state = _State.COLON if self._state is _State.IN_KEY else _State.KEY
            return position + 1
        if character == "\\":
            decoded, end = self._escape(text, position)
            self._say_string(decoded)
            return end
        match = _PLAIN.match(text, position)
        end = match.end() if match else position + 1
        self._say_string(text[position:end])
        return end

    def _escape(self, text: str, position: int) -> tuple[str, int]:
        """The character that the escape at ``position`` means; holds back one that is not complete."""
        if position + 1 >= len(text):
            return self._hold(text, position)
        kind = text[position + 1]
        if kind != "u":
            return _SIMPLE_ESCAPES.get(kind, kind), position + 2
        end = position + _ESCAPE_LENGTH
        if end > len(text):
            return self._hold(text, position)
        code = _hex(text[position + 2 : end])
        if code is None:
            return "�", position + 2
        if not 0xD800 <= code <= 0xDBFF:
            return ("�" if 0xDC00 <= code <= 0xDFFF else chr(code)), end
        return self._pair(text, position, code)

    def _pair(self, text: str, position: int, high: int) -> tuple[str, int]:
        """A high surrogate and what follows it: two escapes make one character."""
        end = position + _ESCAPE_LENGTH
        following = text[end : end + _ESCAPE_LENGTH]
        if len(following) < _ESCAPE_LENGTH and "\\u".startswith(following[:2]) and '"' not in following:
            return self._hold(text, position)
        low = _hex(following[2:]) if following.startswith("\\u") else None
        if low is None or not 0xDC00 <= low <= 0xDFFF:
            return "�", end
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), end + _ESCAPE_LENGTH

    def _hold(self, text: str, position: int) -> tuple[str, int]:
        self._held = text[position:]
        return "", len(text)

    def _in_other(self, text: str, position: int) -> int:
        character = text[position]
        if self._is_in_string:
            return self._in_inner_string(text, position)
        if not self._depth and character in ",}":
            self._state = _State.KEY if character == "," else _State.DONE
            return position + 1
        if character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth = max(0, self._depth - 1)
        elif character == '"':
            self._is_in_string = True
        match = _PLAIN_OTHER.match(text, position)
        end = match.end() if match else position + 1
        self._say_other(text[position:end])
        return end

    def _in_inner_string(self, text: str, position: int) -> int:
        if text[position] == "\\":
            if position + 1 >= len(text):
                self._held = text[position:]
                return len(text)
            self._say_other(text[position : position + 2])
            return position + 2
        if text[position] == '"':
            self._is_in_string = False
            self._say_other('"')
            return position + 1
        match = _PLAIN.match(text, position)
        end = match.end() if match else position + 1
        self._say_other(text[position:end])
        return end

    def _say_string(self, text: str) -> None:
        if self._state is _State.IN_KEY:
            self._key.append(text)
        else:
            self._say(text)

    def _say_other(self, text: str) -> None:
        """White space is held back until something follows it."""
        text = self._space + text
        kept = text if self._is_in_string else text.rstrip()
        self._space = text[len(kept) :]
        self._say(kept)

    def _say(self, text: str) -> None:
        name = "".join(self._key)
        if text and name in self._names:
            self._pieces.append((name, text))


def _hex(digits: str) -> int | None:
    try:
        return int(digits, 16) if len(digits) == 4 and digits.isalnum() else None
    except ValueError:
        return None
