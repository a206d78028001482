"""Sees the output fields grow while a language model writes: text in, ``(field, text)`` pieces out.

Sans-I/O and incremental: however the text is cut, the pieces of each field add up to the same. It validates nothing;
the whole reply is parsed by ``prompt`` at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

from dspex_lab.errors import LabError
from dspex_lab.signatures.compiled import CompiledSignature
from dspex_lab.signatures.prompt.chat_stream import ChatFields
from dspex_lab.signatures.prompt.json_stream import JsonFields

__all__ = ["FieldStream"]


class _Fields(Protocol):
    def feed(self, text: str) -> list[tuple[str, str]]: ...

    def close(self) -> list[tuple[str, str]]: ...


class FieldStream:
    """Tells apart the output fields in a model's raw text.

    ``form`` is "json" (the content of each top-level property, strings unescaped, other values as their JSON text) or
    "chat" (what stands behind each ``[[ ## name ## ]]``, without the white space around it). Only the named fields are
    reported. One object per reply; feeding a closed one is an error.
    """

    def __init__(self, fields: CompiledSignature | Iterable[str], form: Literal["json", "chat"] = "json") -> None:
        names = [item.name for item in fields.outputs] if isinstance(fields, CompiledSignature) else list(fields)
        self._fields: _Fields = JsonFields(frozenset(names)) if form == "json" else ChatFields(frozenset(names))
        self._is_closed = False

    def feed(self, text: str) -> list[tuple[str, str]]:
        """The pieces that became known with ``text``, in their order; neighbours of one field are joined."""
        if self._is_closed:
            raise LabError("This stream is closed.", hint="Make a FieldStream for each reply.")
        return _joined(self._fields.feed(text))

    def close(self) -> list[tuple[str, str]]:
        """What was held back, now that nothing more comes."""
        if self._is_closed:
            return []
        self._is_closed = True
        return _joined(self._fields.close())


def _joined(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    found: list[tuple[str, list[str]]] = []
    for name, text in pieces:
        if not text:
            continue
        if found and found[-1][0] == name:
            found[-1][1].append(text)
        else:
            found.append((name, [text]))
    return [(name, "".join(parts)) for name, parts in found]
