"""Tab completion inside our cells and lines: a pure function from text and cursor to words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspex_lab.magics.lab_magic import COMMANDS
from dspex_lab.settings import default_pools
from dspex_lab.signatures import completions as signature_completions

__all__ = ["complete"]

_PIPELINE_FLAGS = ("--run", "--background", "--dry-run")


def complete(text: str, cursor: int, namespace: Mapping[str, Any]) -> list[str] | None:
    """Whole words that could stand at ``cursor`` (a character offset in ``text``), or None where the text is not
    ours and Python's own completion should have its way."""
    first, newline, body = text.partition("\n")
    start = len(first) + len(newline)
    if first.startswith("%%signature") and cursor >= start and newline:
        return signature_completions(body, cursor - start, namespace=namespace)
    before = text[:cursor]
    line = before.rpartition("\n")[2]
    if line.startswith("%lab "):
        return _lab_words(line)
    if first.startswith("%%pipeline") and cursor <= len(first) and line.rpartition(" ")[2].startswith("-"):
        return _starting(line.rpartition(" ")[2], _PIPELINE_FLAGS)
    return None


def _lab_words(line: str) -> list[str]:
    _, *words = line.split(" ")
    if len(words) == 1:
        return _starting(words[0], COMMANDS)
    if len(words) == 2 and words[0] in ("start", "pools"):
        return _starting(words[1], [spec.name for spec in default_pools()])
    if len(words) > 2 and words[0] == "lm":
        return _starting(words[-1], ("api_base=", "temperature=", "max_tokens=", "timeout_s="))
    return []


def _starting(word: str, names: Any) -> list[str]:
    return [name for name in names if name.startswith(word)]
