"""How DSPy 3.4 writes values into a prompt, and how its marked-up media become message blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter

__all__ = ["expand_media", "jsonable", "shown_value"]

_START = "<<CUSTOM-TYPE-START-IDENTIFIER>>"
_END = "<<CUSTOM-TYPE-END-IDENTIFIER>>"
_MARKED = re.compile(rf"{_START}(.*?){_END}", re.DOTALL)
_PLAIN = (str, int, bool)


def jsonable(value: Any) -> Any:
    """``value`` as what JSON holds; what pydantic cannot serialize becomes its string form."""
    if type(value) in _PLAIN:
        return value
    try:
        kind: Any = type(value)
        return _adapter(kind).dump_python(value, mode="json", fallback=str)
    except Exception:  # a user's serializer may raise anything; DSPy writes the string form then
        return str(value)


def shown_value(annotation: Any, value: Any) -> str:
    """``value`` as the text of a field: lists for a ``str`` field are numbered, other structures are JSON."""
    if isinstance(value, list) and annotation is str:
        return _numbered(value)
    plain = jsonable(value)
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, dict | list) else str(plain)


def expand_media(message: dict[str, Any]) -> dict[str, Any]:
    """A user message whose text holds marked-up media, as content blocks; any other message as it is."""
    content = message["content"]
    if message["role"] != "user" or _START not in content:
        return message
    blocks: list[Any] = []
    end = 0
    for match in _MARKED.finditer(content):
        if match.start() > end:
            blocks.append({"type": "text", "text": content[end : match.start()]})
        blocks.extend(_blocks(match[1].strip()))
        end = match.end()
    if end < len(content):
        blocks.append({"type": "text", "text": content[end:]})
    return {**message, "content": blocks}


@lru_cache(maxsize=256)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _numbered(values: list[Any]) -> str:
    if not values:
        return "N/A"
    if len(values) == 1:
        return _passage(values[0])
    return "\n".join(f"[{number}] {_passage(value)}" for number, value in enumerate(values, start=1))


def _passage(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    if "\n" not in text and "«" not in text and "»" not in text:
        return f"«{text}»"
    indented = text.replace("\n", "\n    ")
    return f"«««\n    {indented}\n»»»"


def _blocks(payload: str) -> list[Any]:
    from json_repair import loads as repair

    readers: tuple[Callable[[str], Any], ...] = (json.loads, _read_twice_encoded, repair)
    for read in readers:
        try:
            parsed = read(payload)
        except Exception:  # noqa: S112 (each reader refuses in its own way; the next one tries)
            continue
        if isinstance(parsed, list):
            return [block if isinstance(block, Mapping) else {"type": "text", "text": str(block)} for block in parsed]
        break
    return [{"type": "text", "text": payload}]


def _read_twice_encoded(payload: str) -> Any:
    return json.loads(json.loads(f'"{payload}"'))
