"""Tab completion inside our cells and lines: a pure function from text and cursor to words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dspex_lab.magics.lab_magic import COMMANDS
from dspex_lab.magics.panel_commands import PANELS
from dspex_lab.magics.pipeline_line import FLAGS
from dspex_lab.pipelines.steps.constructors import CONSTRUCTORS, StepOptions
from dspex_lab.settings import PoolSpec, default_pools
from dspex_lab.signatures import completions as signature_completions

__all__ = ["Offer", "complete", "options_of"]

_LM_SETTINGS = ("api_base=", "temperature=", "max_tokens=", "timeout_s=")
_POOL_VERBS = ("add", "restart", "remove")
#: What every step takes.
_OPTIONS = tuple(StepOptions.__annotations__)
_WITHOUT_OPTIONS = frozenset({"each", "parallel", "when"})
#: The constructors that take a signature first.
_SIGNED = frozenset({"chain_of_thought", "predict", "program_of_thought", "react"})
#: ``lambda s: s.na``
_ASKED = re.compile(r"lambda (\w+):.*\b\1\.(\w*)\Z")
#: ``name = step(`` at the beginning of a line or in brackets, and the right side of a signature.
_WRITTEN = re.compile(r"(?:^|[(,])\s*(\w+)\s*=\s*\w+\(|->([^\n]*)", re.MULTILINE)
_QUOTE = re.compile("[\"']")
_BRACKETED = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*\Z")


@dataclass(frozen=True, slots=True)
class Offer:
    """Whole words that could stand at the cursor; ``is_exclusive``: Python's own completion has nothing to add."""

    words: tuple[str, ...] = ()
    is_exclusive: bool = True


_NOTHING = Offer()


def complete(text: str, cursor: int, namespace: Mapping[str, Any]) -> Offer:
    """What could stand at ``cursor`` (a character offset in ``text``); no words where the text is not ours."""
    first, newline, body = text.partition("\n")
    start = len(first) + len(newline)
    before = text[:cursor]
    line = before.rpartition("\n")[2]
    if line.startswith("%lab "):
        return _starting(*_lab_words(line))
    if first.startswith("%%signature") and newline and cursor >= start:
        return Offer(tuple(signature_completions(body, cursor - start, namespace=namespace)))
    if first.startswith("%%pipeline"):
        return _pipeline(line, before, is_body=bool(newline) and cursor >= start)
    return _NOTHING


def _pipeline(line: str, before: str, *, is_body: bool) -> Offer:
    word = line.rpartition(" ")[2]
    if not is_body:
        return _starting(word, FLAGS) if word.startswith("-") else _NOTHING
    if "#" in line:
        return _NOTHING
    body = before.partition("\n")[2]
    fields = _fields(body[: len(body) - len(line)])
    if (asked := _ASKED.search(line)) is not None:
        return Offer(_starting(asked[2], fields).words, is_exclusive=False)
    call = _open_call(body)
    name = _NAME.search(line)
    typed = name[0] if name else ""
    if (text := _open_text(line)) is not None:
        is_asking = call in _SIGNED and "->" not in text
        return Offer(_starting(typed, fields).words) if is_asking else _NOTHING
    options = tuple(f"{one}=" for one in options_of(call)) if call else ()
    if name is None:
        return Offer(options if line.endswith(("(", ", ")) else (), is_exclusive=False)
    return Offer(_starting(typed, (*options, *CONSTRUCTORS)).words, is_exclusive=False)


def _fields(body: str) -> list[str]:
    """The names that the steps so far may have written: their own, and the outputs in their signatures."""
    found: dict[str, None] = {}
    for match in _WRITTEN.finditer(body):
        names = (
            [match[1]]
            if match[1]
            else [one.partition(":")[0].strip() for one in _BRACKETED.sub("", match[2]).split(",")]
        )
        found.update(dict.fromkeys(name for name in names if name.isidentifier() and name not in _OPTIONS))
    return list(found)


def _open_call(body: str) -> str:
    """The constructor whose brackets are open at the end of ``body``, or ""."""
    depth = 0
    for index in range(len(body) - 1, -1, -1):
        depth += (body[index] in ")]}") - (body[index] in "([{")
        if depth < 0:
            name = _NAME.search(body[:index])
            return name[0] if body[index] == "(" and name and name[0] in CONSTRUCTORS else ""
    return ""


def _open_text(line: str) -> str | None:
    """The text whose quotes are open at the end of ``line``, or None."""
    quote, start = "", 0
    for index, letter in enumerate(line):
        if letter in "\"'" and quote in ("", letter):
            quote, start = ("", 0) if quote else (letter, index + 1)
    return line[start:] if quote else None


def options_of(call: str) -> list[str]:
    """The keywords that a constructor takes, those of every step among them."""
    named = [
        one.name for one in inspect.signature(CONSTRUCTORS[call]).parameters.values() if one.kind is one.KEYWORD_ONLY
    ]
    own = [name for name in named if name != "namespace"]
    return [*own, *(() if call in _WITHOUT_OPTIONS else _OPTIONS)]


def _lab_words(line: str) -> tuple[str, Iterable[str]]:
    """The word before the cursor, and what could stand in its place."""
    _, *words = line.split(" ")
    if len(words) == 1:
        return words[0], COMMANDS
    pools = [spec.name for spec in default_pools()]
    if len(words) == 2 and words[0] in ("start", "pools"):
        return words[1], [*pools, *(_POOL_VERBS if words[0] == "pools" else ())]
    if words[0] == "panel" and len(words) == 2:
        return words[1], PANELS
    if words[0] == "jobs" and len(words) == 2:
        return words[1], ["cancel"]
    if words[0] == "pools" and words[1] in ("restart", "remove"):
        return words[-1], pools
    if len(words) > 3 and words[0] == "pools" and words[1] == "add":
        return words[-1], [f"{name}=" for name in PoolSpec.model_fields if name != "name"]
    if len(words) > 2 and words[0] == "lm":
        return words[-1], _LM_SETTINGS
    return "", ()


def _starting(word: str, names: Iterable[str]) -> Offer:
    return Offer(tuple(name for name in names if name.startswith(word)))
