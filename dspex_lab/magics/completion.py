"""Tab completion inside our cells and lines: a pure function from text and cursor to words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dspex_lab.magics.lab_magic import COMMANDS
from dspex_lab.magics.pipeline_line import FLAGS
from dspex_lab.pipelines.constructors import CONSTRUCTORS
from dspex_lab.settings import PoolSpec, default_pools
from dspex_lab.signatures import completions as signature_completions

__all__ = ["Offer", "complete"]

_LM_SETTINGS = ("api_base=", "temperature=", "max_tokens=", "timeout_s=")
_POOL_VERBS = ("add", "restart", "remove")
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
        return _pipeline(line, is_body=bool(newline) and cursor >= start)
    return _NOTHING


def _pipeline(line: str, *, is_body: bool) -> Offer:
    word = line.rpartition(" ")[2]
    if not is_body:
        return _starting(word, FLAGS) if word.startswith("-") else _NOTHING
    name = _NAME.search(line)
    if name is None or "#" in line:
        return _NOTHING
    return Offer(_starting(name[0], CONSTRUCTORS).words, is_exclusive=False)


def _lab_words(line: str) -> tuple[str, Iterable[str]]:
    """The word before the cursor, and what could stand in its place."""
    _, *words = line.split(" ")
    if len(words) == 1:
        return words[0], COMMANDS
    pools = [spec.name for spec in default_pools()]
    if len(words) == 2 and words[0] in ("start", "pools"):
        return words[1], [*pools, *(_POOL_VERBS if words[0] == "pools" else ())]
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
