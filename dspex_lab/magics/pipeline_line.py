"""The first line of a ``%%pipeline`` cell: a pure function from its text to a :class:`PipelineLine`.

Reads the line as Python reads it, token by token, and evaluates nothing; knows nothing of pipelines or labs.
"""

from __future__ import annotations

import io
import itertools
import keyword
import re
import token
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dspex_lab.errors import PipelineError
from dspex_lab.errors.nearest import did_you_mean
from dspex_lab.pipelines.steps.source import excerpt

__all__ = ["FLAGS", "PipelineLine", "line_fault", "parse_line"]

#: What may stand on the line beside the name and the inputs, and what it is for.
FLAGS = ("--run", "--resume", "--background", "--dry-run")

_MAGIC = "%%pipeline "
_FLAG = re.compile(r"--[A-Za-z][\w-]*")
_SHORT_FLAG = re.compile(r"-[A-Za-z][\w-]*\Z")
_EXAMPLE = 'Write name=value with a Python value, as in ticket="Hello".'
_BLANK = {token.NEWLINE, token.NL, token.INDENT, token.DEDENT, token.ENDMARKER}
_OPENING, _CLOSING = ("(", "[", "{"), (")", "]", "}")


@dataclass(frozen=True, slots=True)
class PipelineLine:
    """The pipeline's name, what to do with it, and the inputs as Python source; ``places`` are the inputs' columns."""

    name: str
    is_run: bool = False
    is_background: bool = False
    is_dry_run: bool = False
    is_resume: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, int] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where an input or a flag begins in the line, and where what belongs to it begins."""

    text: str
    start: int
    after: int


def parse_line(line: str) -> PipelineLine:
    """Read ``NAME [--run name=value ...] [--resume] [--background] [--dry-run]``; a ``#`` begins a comment.

    A flag stands where a new word may begin: what looks like one inside a value is the value's. Raises
    ``PipelineError`` with the place.
    """
    name, start = _name(line)
    marks, end = _marks(line, start)
    if (first := _first_word(line, start, end, marks)) is not None:
        raise _no_input(line, *first)
    flags: set[str] = set()
    inputs: dict[str, str] = {}
    places: dict[str, int] = {}
    for mark, following in itertools.zip_longest(marks, marks[1:]):
        text = line[mark.after : following.start if following else end].strip()
        if mark.text.startswith("--"):
            _check_flag(line, mark, text)
            flags.add(mark.text)
            continue
        if mark.text in inputs:
            raise line_fault(line, f"The input {mark.text} is given twice.", mark.start, "Give it once.")
        _check_value(line, mark, text)
        inputs[mark.text], places[mark.text] = text, mark.start
    made = PipelineLine(
        name,
        "--run" in flags,
        "--background" in flags,
        "--dry-run" in flags,
        "--resume" in flags,
        inputs,
        places,
    )
    _check_whole(line, made, marks)
    return made


def line_fault(line: str, message: str, place: int, hint: str | None) -> PipelineError:
    """The error ``message`` at the column ``place`` of ``line``, shown as line 1 of its cell."""
    return PipelineError(message, where=excerpt(f"{_MAGIC}{line}", 1, len(_MAGIC) + place + 1), hint=hint)


def _name(line: str) -> tuple[str, int]:
    """The pipeline's name, and where the rest of the line begins."""
    match = re.match(r"\s*([^\s-]\S*)?", line)
    word = match[1] if match else None
    if match is None or word is None or word.startswith("#"):
        return "pipeline", 0
    if not word.isidentifier() or keyword.iskeyword(word):
        hint = "Write the name first, as in %%pipeline support --run ..." if "=" in word else None
        raise line_fault(
            line,
            f"{word!r} is no name for a pipeline.",
            match.start(1),
            hint or "Write one name, as in %%pipeline support.",
        )
    return word, match.end()


def _marks(line: str, start: int) -> tuple[list[_Mark], int]:
    """Every flag and every ``name=`` that begins a word of its own, and where the line ends or its comment begins."""
    marks: list[_Mark] = []
    end = depth = lambdas = flag_end = 0
    before: tokenize.TokenInfo | None = None
    tokens = list(_tokens(line, start))
    for this, following in itertools.zip_longest(tokens, tokens[1:]):
        at = this.start[1]
        if this.type == token.COMMENT:
            return marks, at
        end = this.end[1]
        if at < flag_end:
            continue
        if depth == 0 and (flag := _flag(line, at, before)):
            marks.append(_Mark(flag, at, at + len(flag)))
            flag_end, before = at + len(flag), None
            continue
        depth += (this.string in _OPENING) - (this.string in _CLOSING)
        if depth == 0:
            # The defaults of a lambda look like inputs.
            lambdas += (this.string == "lambda") - (this.string == ":" and lambdas > 0)
            if lambdas == 0 and this.type == token.NAME and following is not None and following.string == "=":
                marks.append(_Mark(this.string, at, following.end[1]))
        before = this
    return marks, end


def _tokens(line: str, start: int) -> Iterator[tokenize.TokenInfo]:
    """The tokens of ``line`` from ``start`` on, with their columns in the line."""
    text = line[start:].lstrip()  # blanks in front would be an indentation
    shift = len(line) - len(text)
    try:
        for one in tokenize.generate_tokens(io.StringIO(text).readline):
            if one.type not in _BLANK:
                (row, begin), (_, finish) = one.start, one.end
                yield one._replace(start=(row, begin + shift), end=(row, finish + shift))
    except (tokenize.TokenError, SyntaxError) as error:
        what = str(error.args[0])
        what = "a bracket or a quote is not closed" if "EOF" in what else what.split(" (")[0]
        raise line_fault(line, f"The inputs cannot be read: {what}.", shift, _EXAMPLE) from None


def _flag(line: str, at: int, before: tokenize.TokenInfo | None) -> str | None:
    """The flag that begins at column ``at``, after the token ``before``, if one does."""
    is_word = at == 0 or line[at - 1].isspace()
    flag = _FLAG.match(line, at) if is_word and _may_end(before) else None
    return flag[0] if flag else None


def _may_end(before: tokenize.TokenInfo | None) -> bool:
    """Whether an expression may end with the token ``before``, so that what follows may be a flag."""
    if before is None:
        return True
    if before.type == token.OP:
        return before.string in (*_CLOSING, "...")
    return not keyword.iskeyword(before.string) or before.string in ("None", "True", "False")


def _first_word(line: str, start: int, end: int, marks: list[_Mark]) -> tuple[str, int] | None:
    """What stands before everything that can be understood, and where, if anything does."""
    text = line[start : marks[0].start if marks else max(start, end)]
    if not text.strip():
        return None
    return text.split()[0], start + len(text) - len(text.lstrip())


def _check_flag(line: str, mark: _Mark, text: str) -> None:
    if mark.text not in FLAGS:
        hint = did_you_mean(mark.text, FLAGS, f"There are {', '.join(FLAGS)}.", form="{}")
        raise line_fault(line, f"%%pipeline has no flag {mark.text}.", mark.start, hint)
    if text:
        place = line.index(text, mark.after)
        if text.startswith("="):
            raise line_fault(line, f"{mark.text} takes no value.", place, f"Write {mark.text} alone.")
        raise _no_input(line, text.split()[0], place)


def _no_input(line: str, word: str, place: int) -> PipelineError:
    known = FLAGS if _SHORT_FLAG.match(word) or word.isalpha() else ()
    hint = did_you_mean(f"--{word.lstrip('-')}", known, _EXAMPLE, form="{}")
    return line_fault(line, f"{word!r} is no input.", place, hint)


def _check_value(line: str, mark: _Mark, text: str) -> None:
    if keyword.iskeyword(mark.text):
        raise line_fault(line, f"{mark.text!r} is no name for an input.", mark.start, None)
    if not text:
        raise line_fault(line, f"The input {mark.text} has no value.", mark.start, _EXAMPLE)
    try:
        compile(text, "<input>", "eval", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        message = f"The input {mark.text} is no Python expression: {what}."
        raise line_fault(
            line, message, line.index(text, mark.after), f'Text needs quotes, as in {mark.text}="Hello".'
        ) from None


def _check_whole(line: str, made: PipelineLine, marks: list[_Mark]) -> None:
    if made.is_resume and (made.is_run or made.is_dry_run):
        place = next(mark.start for mark in marks if mark.text == "--resume")
        other = "--run" if made.is_run else "--dry-run"
        raise line_fault(line, f"--resume goes on with a run, and {other} does not.", place, "Write one of them.")
    if made.inputs and not (made.is_run or made.is_dry_run or made.is_resume):
        raise line_fault(
            line, "Inputs are given, but the pipeline is not run.", next(iter(made.places.values())), "Add --run."
        )
    if made.is_background and not (made.is_run or made.is_resume):
        place = next(mark.start for mark in marks if mark.text == "--background")
        raise line_fault(line, "--background says how to run, but the pipeline is not run.", place, "Add --run.")
