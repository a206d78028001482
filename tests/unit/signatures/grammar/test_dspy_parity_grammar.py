"""The grammar against the installed DSPy: the same names, types and order for every string that both read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from keyword import iskeyword
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dspex_lab.signatures import Signature, compile_signature, parse_signature
from dspex_lab.signatures.types.dspy_types import real_annotation

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: not iskeyword(name) and name not in {"lm", "demos", "config", "fields", "signature"}
)
LEAVES = st.sampled_from(["str", "int", "float", "bool", "Any", "list", "dict", "Mood", "Person", "datetime.date"])
CHOICES = st.lists(
    st.sampled_from(["'a'", '"b c"', "1", "True", "None", "'it''s'", '"q\'s"']), min_size=1, max_size=3, unique=True
).map(lambda values: f"Literal[{', '.join(values)}]")


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        inner.map("list[{}]".format),
        inner.map("Optional[{}]".format),
        inner.map("{} | None".format),
        st.tuples(inner, inner).map(lambda pair: f"dict[str, {pair[0]} | {pair[1]}]"),
        st.tuples(inner, inner).map(lambda pair: f"tuple[{pair[0]}, {pair[1]}]"),
        st.tuples(inner, inner).map(lambda pair: f"Union[{pair[0]}, {pair[1]}]"),
    )


TYPES = st.recursive(LEAVES | CHOICES, _grown, max_leaves=4)
FIELDS = st.tuples(NAMES, st.none() | TYPES).map(lambda pair: pair[0] if pair[1] is None else f"{pair[0]}: {pair[1]}")


@st.composite
def signature_texts(draw: st.DrawFn) -> str:
    fields = draw(st.lists(FIELDS, min_size=2, max_size=5, unique_by=lambda text: text.partition(":")[0]))
    cut = draw(st.integers(1, len(fields) - 1))
    arrow = draw(st.sampled_from([" -> ", "->", " ->", "\n -> "]))
    return ", ".join(fields[:cut]) + arrow + ", ".join(fields[cut:])


def _ours(signature: Signature) -> dict[str, tuple[Any, bool]]:
    return {item.name: (real_annotation(item.annotation), item.is_input) for item in signature.fields}


def _theirs(cls: Any) -> dict[str, tuple[Any, bool]]:
    return {
        name: (info.annotation, info.json_schema_extra["__dspy_field_type"] == "input")
        for name, info in cls.fields.items()
    }


def test_corpus_is_read_as_dspy_reads_it(
    corpus: list[str], classes: Mapping[str, type], dspy_signature: Callable[..., Any]
) -> None:
    """Names, types, sides and order of each real string are DSPy's."""
    for corpus_text in corpus:
        ours = _ours(parse_signature(corpus_text, namespace=classes))
        theirs = _theirs(dspy_signature(corpus_text))
        assert list(ours) == list(theirs), corpus_text
        assert ours == theirs, corpus_text


def test_corpus_becomes_the_same_dspy_class(
    corpus: list[str], classes: Mapping[str, type], dspy_signature: Callable[..., Any]
) -> None:
    """``to_dspy`` of a string form equals DSPy's own class: fields, instructions, and what hangs on each field."""
    for corpus_text in corpus:
        ours = compile_signature(corpus_text, namespace=classes).to_dspy()
        theirs = dspy_signature(corpus_text)
        assert ours.instructions == theirs.instructions, corpus_text
        assert ours.equals(theirs), corpus_text
        assert repr(ours).partition("(")[2] == repr(theirs).partition("(")[2], corpus_text


def test_dspy_class_and_back_keeps_fields(
    corpus: list[str], classes: Mapping[str, type], dspy_signature: Callable[..., Any]
) -> None:
    """A DSPy class that is compiled, written down and read again has the fields that it had."""
    for corpus_text in corpus:
        compiled = compile_signature(dspy_signature(corpus_text))
        source = compiled.source()
        again = parse_signature(source.text, name=source.name, namespace=source.namespace)
        assert again.instructions == compiled.instructions, corpus_text
        assert _ours(again) == _ours(compiled.signature) == _theirs(dspy_signature(corpus_text)), corpus_text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=signature_texts())
def test_generated_strings_are_read_as_dspy_reads_them(
    text: str, classes: Mapping[str, type], dspy_signature: Callable[..., Any]
) -> None:
    """Names, types, sides and order are DSPy's, however types are nested."""
    ours = _ours(parse_signature(text, namespace=classes))
    theirs = _theirs(dspy_signature(text))
    assert list(ours.items()) == list(theirs.items())
