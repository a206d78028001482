"""Reads a model's reply as DSPy 3.4's adapters do: the same values, or a ValidationError that names each fault.

Types are put right, constraints are not looked at: that is the validator's part, afterwards.
"""

from __future__ import annotations

import ast
import enum
import re
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

import pydantic
from pydantic import TypeAdapter

from dspex_lab.errors import ValidationError
from dspex_lab.signatures.types.field import Field, Signature
from dspex_lab.signatures.types.rebuild import allows_none, without_metadata

__all__ = ["ReplyReader"]

_HEADER = re.compile(r"\[\[ ## (\w+) ## \]\]")
_OBJECT = r"\{(?:[^{}]|(?R))*\}"
_MAX_SEARCH_S = 1.0
_MAX_SHOWN = 200


class ReplyReader:
    """Parses replies for one signature; pydantic adapters are built once for each field."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._outputs = {item.name: item for item in signature.outputs}
        self._parsers: dict[str, Callable[[Any], Any]] = {}

    def chat(self, text: str) -> dict[str, Any]:
        """The outputs in a reply with ``[[ ## name ## ]]`` markers; the first section of each name counts."""
        found: dict[str, Any] = {}
        for name, lines in _sections(text):
            if name in self._outputs and name not in found:
                found[name] = "\n".join(lines).strip()
        return self._typed(found, text)

    def json(self, text: str) -> dict[str, Any]:
        """The outputs in a reply that is, or holds, or nearly is a JSON object."""
        from json_repair import loads

        parsed = _guarded(loads, text)
        if not isinstance(parsed, dict):
            inner = _first_object(text)
            parsed = _guarded(loads, inner) if inner is not None else parsed
        if not isinstance(parsed, dict):
            raise self._error([_fault("", "The reply holds no JSON object.", text)])
        return self._typed({name: value for name, value in parsed.items() if name in self._outputs}, text)

    def _typed(self, raw: Mapping[str, Any], text: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        faults: list[dict[str, Any]] = []
        for name, item in self._outputs.items():
            if name in raw:
                try:
                    found[name] = self._parser(item)(raw[name])
                except (ValueError, TypeError, RecursionError, MemoryError) as error:
                    faults.append(_fault(name, _said(error), raw[name]))
            elif item.has_default:
                found[name] = item.default
            elif allows_none(item.annotation):
                found[name] = None
            else:
                faults.append(_fault(name, "It is missing.", None))
        if faults:
            raise self._error(faults)
        return found

    def _parser(self, item: Field) -> Callable[[Any], Any]:
        if item.name not in self._parsers:
            self._parsers[item.name] = _value_parser(without_metadata(item.annotation))
        return self._parsers[item.name]

    def _error(self, faults: list[dict[str, Any]]) -> ValidationError:
        first = faults[0]
        place = f"`{first['field']}`: " if first["field"] else ""
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return ValidationError(
            f"The reply does not fit {self._signature.name}: {place}{first['message']}{more}",
            tuple(faults),
            hint="Ask again and show the model these faults, or use a model that can follow the format.",
        )


def _sections(text: str) -> list[tuple[str | None, list[str]]]:
    sections: list[tuple[str | None, list[str]]] = [(None, [])]
    for line in text.splitlines():
        match = _HEADER.match(line.strip())
        if match:
            # DSPy cuts the unstripped line at the stripped line's offset; so must we.
            rest = line[match.end() :].strip()
            sections.append((match[1], [rest] if rest else []))
        else:
            sections[-1][1].append(line)
    return sections


def _value_parser(annotation: Any) -> Callable[[Any], Any]:
    """DSPy's ``parse_value`` for one annotation, with all that depends on the annotation alone done already."""
    if annotation is str:
        return str
    if isinstance(annotation, enum.EnumMeta):
        return lambda value: _enum_member(annotation, value)
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    is_text_or_none = origin in (Union, types.UnionType) and types.NoneType in arguments and str in arguments

    def parse(value: Any) -> Any:
        if origin is Literal:
            is_choice, value = _choice(value, arguments)
            if is_choice:
                return value
        if not isinstance(value, str) or is_text_or_none:
            return adapter.validate_python(value)
        return adapter.validate_python(_from_text(value))

    return parse


def _choice(value: Any, allowed: tuple[Any, ...]) -> tuple[bool, Any]:
    """Whether ``value`` is one of a Literal's, and the value without what models like to put around it."""
    if value in allowed or not isinstance(value, str):
        return value in allowed, value
    text = value.strip()
    if text.startswith(("Literal[", "str[")) and text.endswith("]"):
        text = text[text.find("[") + 1 : -1]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return text in allowed, text


def _from_text(text: str) -> Any:
    """What ``text`` says as JSON, mended where that helps, else as a Python literal, else itself."""
    from json_repair import loads

    candidate = loads(text)
    if candidate == "" and text != "":
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text
    return candidate


def _enum_member(kind: enum.EnumMeta, identifier: Any) -> Any:
    members: Mapping[str, Any] = kind.__members__
    for member in members.values():
        if member.value == identifier:
            return member
    if identifier in members:
        return members[identifier]
    raise ValueError(f"{identifier} is not a valid name or value for the enum {kind.__name__}")


def _first_object(text: str) -> str | None:
    import regex

    try:
        match = regex.search(_OBJECT, text, regex.DOTALL, timeout=_MAX_SEARCH_S)
    except TimeoutError:
        return None
    return match.group(0) if match else None


def _guarded(loads: Callable[[str], Any], text: str) -> Any:
    try:
        return loads(text)
    except (ValueError, TypeError, IndexError, RecursionError):  # hostile text: a reply without an object
        return None


def _fault(name: str, message: str, value: Any) -> dict[str, Any]:
    shown = value if value is None or isinstance(value, bool | int | float) else str(value)
    if isinstance(shown, str) and len(shown) > _MAX_SHOWN:
        shown = shown[: _MAX_SHOWN - 1] + "…"
    return {"field": name, "message": message, "input": shown}


def _said(error: Exception) -> str:
    if isinstance(error, pydantic.ValidationError):
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        message = f"At {path}: {first['msg']}" if path else first["msg"]
    else:
        message = str(error) or type(error).__name__
    return message if message.endswith(".") else f"{message}."
