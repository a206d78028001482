"""Tokens become text: whole characters only, and nothing of a stop string. Pure; knows a tokenizer by one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["TokenText"]

#: What a tokenizer writes for bytes that are no whole character yet.
_UNFINISHED = "\ufffd"


class TokenText:
    """Takes one token after another; ``is_stopped`` once a stop string came, which is not part of the text."""

    def __init__(self, decode: Callable[[list[int]], str], stops: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stops = tuple(stop for stop in stops if stop)
        self._tokens: list[int] = []
        #: From where the tokens are decoded again, and from where they are new: a token's text may depend on the one
        #: before it.
        self._context = self._new = 0
        self._held = ""
        self.is_stopped = False

    def feed(self, token: int) -> str:
        """The text that is certain now."""
        if self.is_stopped:
            return ""
        self._tokens.append(token)
        before = self._decode(self._tokens[self._context : self._new])
        after = self._decode(self._tokens[self._context :])
        if after.endswith(_UNFINISHED):
            return ""
        self._context, self._new = self._new, len(self._tokens)
        return self._release(after[len(before) :])

    def close(self) -> str:
        """What was held back, at the end."""
        rest, self._held = self._held, ""
        return "" if self.is_stopped else rest

    def _release(self, text: str) -> str:
        text = self._held + text
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.is_stopped, self._held = True, ""
            return text[: min(places)]
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` could begin ``stop``."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-size:])), 0)
