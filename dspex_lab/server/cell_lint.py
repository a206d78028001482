"""What is wrong with a ``%%signature`` or ``%%pipeline`` cell, without a kernel, as an editor shows it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from keyword import iskeyword
from typing import Literal

from dspex_lab.errors import SignatureError
from dspex_lab.server.finding import Finding
from dspex_lab.server.notebook_names import NotebookNames
from dspex_lab.server.pipeline_lint import lint_pipeline
from dspex_lab.signatures import lint

__all__ = ["Diagnostic", "lint_cell"]

_WORD = re.compile(r"--[\w-]+|[\w.]+|\S|\Z")
_MAGIC = re.compile(r"%%(signature|pipeline)\b[ \t]*")


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong. ``line`` counts from 1 in the whole cell; ``start`` and ``end`` are offsets in its
    characters, apart where the line is not empty."""

    line: int
    start: int
    end: int
    severity: Literal["error", "warning"]
    message: str
    hint: str = ""


def lint_cell(text: str, names: NotebookNames) -> list[Diagnostic]:
    """All that can be known to be wrong with the cell ``text`` in a notebook whose other cells define ``names``; empty
    for cells that are not ours."""
    magic = _MAGIC.match(text)
    if magic is None:
        return []
    lines = text.split("\n")
    rest = "\n".join(lines[1:])
    if magic[1] == "signature":
        findings = list(_signature(lines[0][magic.end() :], magic.end(), rest, names))
    else:
        findings = list(lint_pipeline(lines[0][magic.end() :], magic.end(), rest, names))
    return [_diagnostic(one, lines) for one in findings]


def _signature(line: str, start: int, body: str, names: NotebookNames) -> Iterator[Finding]:
    name = line.strip()
    if name and (not name.isidentifier() or iskeyword(name)):
        yield Finding(1, start, f"{name!r} is no name for a signature.", "Write one name after %%signature.")
    # The magic's own line stands for line 1.
    yield from (_finding(error) for error in lint(f"\n{body}", namespace=names))


def _finding(error: SignatureError) -> Finding:
    return Finding(error.line or 1, (error.column or 1) - 1, error.message, error.hint or "")


def _diagnostic(finding: Finding, lines: list[str]) -> Diagnostic:
    line = min(max(1, finding.line), len(lines))
    text = lines[line - 1]
    start = min(max(0, finding.start), len(text))
    word = _WORD.search(text, start)
    end = finding.end or (word.end() if word is not None else start)
    if end <= start:  # behind the line's end: its last word
        start, end = max(0, len(text.rstrip()) - 1), len(text)
    return Diagnostic(line, start, end, finding.severity, finding.message, finding.hint)
