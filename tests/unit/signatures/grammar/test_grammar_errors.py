"""What cannot be read: one kind of error, at the right place, with a hint, and in linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspex_lab.errors import SignatureError
from dspex_lab.signatures import compile_signature, parse_signature

#: text, words of the message, line, column, words of the hint
FAULTS = [
    ("", "empty", None, None, "input -> output"),
    ("  # nothing\n", "empty", None, None, "input -> output"),
    ("a", "no `->`", 1, 2, "question -> answer"),
    ("a => b", "not the arrow", 1, 3, "`->`"),
    ("a → b", "not the arrow", 1, 3, "`->`"),
    ("-> b", "no input field", 1, 1, "before"),
    ("a ->", "no output field", 1, 3, "after"),
    ("a -> b -> c", "second", 1, 8, "pipeline"),
    ("a, a -> b", "there twice", 1, 4, "other_a"),
    ("a -> b, b", "there twice", 1, 9, "other_b"),
    ("a -> a", "both sides", 1, 6, "new_a"),
    ("*, a -> b", "`*`", 1, 1, "Name each"),
    ("*args -> b", "`*`", 1, 1, "Name each"),
    ("a, / -> b", "`/`", 1, 4, "name"),
    ("1a -> b", "no name", 1, 1, "digit"),
    ("class -> b", "word of Python", 1, 1, "class_"),
    ("_a -> b", "begin with `_`", 1, 1, "`a`"),
    ("a-b -> c", "cannot follow", 1, 2, "hyphen"),
    ("a b -> c", "cannot follow", 1, 3, "comma"),
    ("a,, b -> c", "no field before", 1, 3, "Delete"),
    (", a -> c", "no field before", 1, 1, "Delete"),
    ("a: lst[int] -> b", "Unknown type `lst`", 1, 4, "`list`"),
    ("a: list[strr] -> b", "Unknown type `strr`", 1, 9, "`str`"),
    ("a: string -> b", "Unknown type `string`", 1, 4, "`str`"),
    ("a: Image -> b", "Unknown type `Image`", 1, 4, "`dspy.Image`"),
    ("a: dspy.Imag -> b", "no type of DSPy", 1, 4, "`Image`"),
    ("a: datetime.dat -> b", "datetime.dat", 1, 4, "`date`"),
    ("a: list[int -> b", "never closed", 1, 8, ""),
    ("a: int] -> b", "closes nothing", 1, 7, "Delete"),
    ("a: list(int] -> b", "closes nothing", 1, 12, "wants `)`"),
    ("a: Literal['x -> b", "not closed", 1, 12, ""),
    ("a: list<int> -> b", "no Python expression", 1, 12, "square brackets"),
    ("a: -> b", "missing", 1, 2, "a: str"),
    ("a: dict[str] -> b", "takes 2 arguments, not 1", 1, 4, "dict[str, int]"),
    ("a: list[int, str] -> b", "takes 1 argument, not 2", 1, 4, "mixture"),
    ("a: 3 -> b", "no type", 1, 4, "Literal"),
    ("a: (int, str) -> b", "several types", 1, 4, "tuple"),
    ("a: Literal -> b", "needs arguments", 1, 4, "Literal[...]"),
    ("a: Literal[x] -> b", "must be a value", 1, 12, '"x"'),
    ("a: print('x') -> b", "call", 1, 4, "Annotated"),
    ("a -> b = 3", "cannot have a default", 1, 8, "None"),
    ("a = print() -> b", "no plain value", 1, 5, "number"),
    ("a = -> b", "missing", 1, 3, ""),
    ("a -> b: Annotated[int, Field(gee=1)]", "no option `gee`", 1, 30, "`ge`"),
    ("a -> b: Annotated[int, Field(maximum=1)]", "no option `maximum`", 1, 30, "`le`"),
    ("a -> b: Annotated[int, Field(ge='x')]", "wants a number", 1, 30, ""),
    ("a -> b: Annotated[str, Field(ge=1)]", "says nothing about str", 1, 24, ""),
    ("a -> b: Annotated[int, Field(ge=5, le=1)]", "Nothing is both", 1, 24, ""),
    ("a -> b: Annotated[str, Field(pattern='(')]", "no regular expression", 1, 30, ""),
    ("a -> signature", "DSPy keeps", 1, 6, "signature_"),
    ("a\n->\nb\n'words'", "string", 4, 1, "first"),
    ("b'x'\na -> b", "plain string", 1, 1, ""),
    ("täxt: Ünknown -> b", "Unknown type", 1, 7, ""),
    ("a: list[\n  int,\n  'é' + foo] -> b", "no type", 3, 3, ""),
    ("a\u202eb -> c", "U+202E", 1, 2, "Delete"),
    ("a\0 -> c", "U+0000", 1, 2, "Delete"),
    ("a: " + "list[" * 500 + "int" + "]" * 500 + " -> b", "deep", 1, 308, ""),
    ("a: int" + " | int" * 2000 + " -> b", "too long", 1, 1, ""),
    ("a: " + "not " * 399 + "x -> b", "no type", 1, 4, ""),
]


@pytest.mark.parametrize(("text", "message", "line", "column", "hint"), FAULTS)
def test_fault_is_told_at_its_place(text: str, message: str, line: int | None, column: int | None, hint: str) -> None:
    """Message, line, column and hint say what is wrong and what to do."""
    with pytest.raises(SignatureError) as caught:
        parse_signature(text)
    error = caught.value
    assert message in error.message
    assert (error.line, error.column) == (line, column)
    assert hint in (error.hint or "")


def test_excerpt_puts_the_caret_under_the_fault() -> None:
    """The user's own line is shown with a caret under it."""
    with pytest.raises(SignatureError) as caught:
        parse_signature("ticket: str\n->\nurgency: imt")
    assert caught.value.excerpt().split("\n") == ["  line 3: urgency: imt", "                   ^"]


def test_default_that_does_not_fit_is_a_signature_error() -> None:
    """A wrong default is found when the cell is compiled, not when it is called."""
    with pytest.raises(SignatureError, match="default of `n` does not fit"):
        compile_signature('n: int = "many"\n->\nb')


def test_text_of_another_type_is_refused() -> None:
    """What is no text and no signature is told so."""
    with pytest.raises(SignatureError, match="not int"):
        compile_signature(3)


def test_message_stays_short_for_long_words() -> None:
    """A word of a megabyte is quoted in part."""
    with pytest.raises(SignatureError) as caught:
        parse_signature(f"a: {'x' * 1_000_000} -> b")
    assert len(caught.value.message) < 300


PIECES = st.sampled_from(
    [
        *"abc,:=|.()[]{}#*/-<>!@%&^~`;\\\"'\n\t 019",
        *("->", '"""', "'''", "list[", "Literal[", "Annotated[", "Field(", "str", "int", "None", "x: ", " = "),
        *("dict[str, ", "if ", "lambda: ", "not ", "await ", "\\x", "\\N{", "é", "\u202e", "\0", "\ud800"),
        *("0x", "1e999", "f'{", "b'", "...", "dspy.", "dspy.Image", "datetime."),
    ]
)


def outcome(text: str) -> SignatureError | None:
    """The error that ``text`` gives; any other exception fails the test that asks."""
    try:
        compile_signature(text)
    except SignatureError as error:
        return error
    return None


@settings(max_examples=1500, deadline=None)
@given(st.lists(PIECES | st.text(max_size=3), max_size=25).map("".join))
def test_nothing_but_signature_errors(text: str) -> None:
    """Whatever the text, it is a signature or a SignatureError that can be shown."""
    error = outcome(text)
    assert error is None or (str(error) and (error.column is None or error.column >= 1))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 200), PIECES)
def test_one_changed_place_gives_nothing_but_signature_errors(place: int, piece: str) -> None:
    """A good text with one piece put in somewhere is read or refused."""
    text = 'a: list[int], b: Literal["x", "y"] = "x" # words\n->\nc: Annotated[int, Field(ge=1, le=5)], d: str | None\n'
    error = outcome(text[:place] + piece + text[place:])
    assert error is None or str(error)


LARGE = {
    "fields": ", ".join(f"f{number}: list[str]" for number in range(10_000)) + " -> a",
    "lines": "\n".join(f"f{number}: str  # words" for number in range(10_000)) + "\n->\na",
    "words": '"""' + "words \n" * 150_000 + '"""\na -> b',
    "new lines": "a" + "\n" * 1_000_000 + "-> b",
    "choices": "a -> b: Literal[" + ",".join(f"'v{number}'" for number in range(90_000)) + "]",
    "commas": "a" + "," * 1_000_000,
    "arrows": "->" * 500_000,
    "brackets": "a: " + "[" * 1_000_000,
    "closing": "a" + "]" * 1_000_000,
    "quotes": "'" * 1_000_001,
    "open quotes": 'a: """' * 150_000,
    "escapes": "a: '" + "\\" * 1_000_000,
    "alternatives": "a: int" + "|int" * 250_000 + " -> b",
    "dots": "a: x" + ".x" * 500_000 + " -> b",
    "hashes": "#" * 1_000_000,
}


@pytest.mark.parametrize("kind", LARGE)
def test_large_texts_take_linear_time(kind: str) -> None:
    """A megabyte of anything is read or refused in seconds; twice the text takes about twice the time, not four times.

    The bound is loose, for a busy machine: quadratic work would take minutes here.
    """
    began = time.process_time()
    outcome(LARGE[kind])
    assert time.process_time() - began < 20
