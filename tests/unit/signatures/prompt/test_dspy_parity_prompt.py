"""The prompts and the reading of replies against the installed DSPy's ChatAdapter and JSONAdapter, byte for byte."""

from __future__ import annotations

import datetime
import enum
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dspex_lab.errors import ValidationError
from dspex_lab.signatures import CompiledSignature, compile_signature

CELL = '''"""Route a support ticket to the right team.

    Be quick:  and exact."""
ticket: str                                    # the customer's words
passages                                       # what was found
mood: Mood = Mood.CALM
limits: Annotated[int, Field(gt=0, lt=10)] | None
->
category: Literal["billing", "it's", 'a "b"']  # one of three
urgency: Annotated[int, Field(ge=1, le=5)]     # 5 is drop everything
ratio: float
is_new: bool
answer: Answer
items: list[Item]
other: Mood
reply: str | None
'''
REPLIES = [
    "",
    "plain words",
    "[[ ## answer ## ]]",
    "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]",
    "  [[ ## answer ## ]] Paris",
    "intro\n[[ ## answer ## ]]\nParis\n[[ ## answer ## ]]\nRome",
    "[[ ## answer ## ]]\n42",
    "[[ ## answer ## ]]\n '42' ",
    "[[ ## answer ## ]]\nforty-two",
    "[[ ## answer ## ]]\n[1, 2,",
    "[[ ## answer ## ]]\n['a', 'b']",
    '[[ ## answer ## ]]\n```json\n["a", "b"]\n```',
    "[[ ## answer ## ]]\n{'value': 'x', 'confidence': '0.5', 'sources': []}",
    "[[ ## answer ## ]]\nTrue",
    "[[ ## answer ## ]]\nyes",
    "[[ ## answer ## ]]\nNone",
    "[[ ## answer ## ]]\nnull",
    "[[ ## answer ## ]]\nPositive",
    "[[ ## answer ## ]]\npositive",
    '[[ ## answer ## ]]\n"positive"',
    "[[ ## answer ## ]]\nLiteral[positive]",
    "[[ ## answer ## ]]\nstr['positive']",
    "[[ ## answer ## ]]\nCALM",
    "[[ ## answer ## ]]\ncalm",
    "[[ ## answer ## ]]\n2024-02-30",
    "[[ ## answer ## ]]\n2024-02-28",
    '{"answer": "Paris"}',
    'Here: {"answer": "Paris"} and so on',
    '```json\n{"answer": ["a", "b"]}\n```',
    "{'answer': 'Paris'}",
    '{"answer": "Paris"',
    '{"answer": 42, "other": 1}',
    '{"answer": "42"}',
    '{"answer": true}',
    '{"answer": null}',
    '{"answer": {"value": "x", "confidence": 0.5, "sources": ["s"]}}',
    '{"answer": "calm"}',
    '{"answer": "CALM"}',
    '{"other": 1}',
    "[1, 2]",
    '[1, {"answer": "Paris"}]',
    "{{{{",
]
KINDS = [
    "str",
    "int",
    "float",
    "bool",
    "list[str]",
    "list[int]",
    "dict[str, Any]",
    "Any",
    "str | None",
    "int | None",
    "int | str",
    "Literal['positive', 'negative']",
    "Literal[1, 2, 42]",
    "Literal[True, 'yes']",
    "Mood",
    "Answer",
    "Optional[Answer]",
    "list[Item]",
    "datetime.date",
    "tuple[int, int]",
    "set[str]",
]


@dataclass(frozen=True)
class Odd:
    """What pydantic cannot serialize."""

    what: object


def sample(annotation: Any, salt: int = 0) -> Any:  # noqa: C901 (a table of types)
    """Some value of ``annotation``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return ["free text", {"k": [1, "é"]}, 3.5][salt % 3]
    if origin is Literal:
        return arguments[salt % len(arguments)]
    if origin in (Union, types.UnionType):
        return sample(arguments[salt % len(arguments)], salt)
    if annotation is types.NoneType:
        return None
    if dict in (origin, annotation):
        return {"ké": sample(arguments[1] if arguments else int, salt)}
    if origin is tuple:
        if arguments[-1] is ...:
            return (sample(arguments[0], salt),) * 2
        return tuple(sample(part, salt) for part in arguments)
    if origin is not None or annotation in (list, set):
        kind = set if origin is set else frozenset if origin is frozenset else list
        return kind([sample(arguments[0] if arguments else int, salt)])
    if isinstance(annotation, enum.EnumMeta):
        return next(iter(annotation))
    if annotation is datetime.datetime:
        return datetime.datetime(2024, 2, 28, 12, tzinfo=datetime.UTC)
    if is_dataclass(annotation):
        make: Any = annotation
        return make(name="näil", price=1.5)
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        fields = annotation.model_fields.items()
        return annotation(**{name: sample(info.annotation, salt) for name, info in fields})
    simple = {str: "täxt «quoted»\nline two", int: 7, float: 0.25, bool: True, bytes: b"raw"}
    return simple.get(annotation, f"value {salt}")


def values_for(compiled: CompiledSignature, salt: int) -> dict[str, Any]:
    found = {item.name: sample(item.annotation, salt) for item in compiled.signature.fields}
    for item in compiled.inputs:
        if not item.annotation_text and salt % 2:
            found[item.name] = [["one"], ["one", "two\nlines", "thrée »"], []][salt % 3]
    return found


def demos_for(compiled: CompiledSignature) -> list[dict[str, Any]]:
    whole = values_for(compiled, 1)
    partial = dict(list(values_for(compiled, 2).items())[:-1])
    return [partial, whole, {**whole, compiled.outputs[0].name: None}, {compiled.inputs[0].name: "alone"}, {}]


def adapters() -> list[tuple[Any, str]]:
    import dspy

    return [(dspy.ChatAdapter(), "chat"), (dspy.JSONAdapter(), "json")]


def assert_same_messages(compiled: CompiledSignature, theirs: Any, demos: list[Any], inputs: dict[str, Any]) -> None:
    for adapter, form in adapters():
        render = getattr(compiled.prompt, f"{form}_messages")
        assert render(inputs, demos) == adapter.format(theirs, demos, inputs)


def outcome(read: Callable[..., Any], *arguments: Any) -> Any:
    """What ``read`` gives; a TypeError is DSPy's own way to refuse a list where an enum's name belongs."""
    from dspy.utils.exceptions import AdapterParseError

    try:
        return read(*arguments)
    except (ValidationError, AdapterParseError, TypeError):
        return "refused"


def test_corpus_messages_are_dspys(
    corpus: list[str], classes: Mapping[str, type], dspy_signature: Callable[..., Any]
) -> None:
    """System message and request are DSPy's for each real string, whose types are all native."""
    for corpus_text in corpus:
        compiled = compile_signature(corpus_text, namespace=classes)
        inputs = {item.name: sample(item.annotation) for item in compiled.inputs if item.name != "history"}
        assert_same_messages(compiled, dspy_signature(corpus_text), [], inputs)
        assert compiled.prompt.is_native or "dspy" in corpus_text, corpus_text


@pytest.mark.parametrize("salt", [0, 1, 3])
def test_corpus_messages_with_demos_are_dspys(
    salt: int, corpus: list[str], classes: Mapping[str, type], dspy_signature: Callable[..., Any]
) -> None:
    """Complete and incomplete demos, lists for plain fields, and None are written as DSPy writes them."""
    for corpus_text in corpus:
        compiled = compile_signature(corpus_text, namespace=classes)
        values = values_for(compiled, salt)
        inputs = {item.name: values[item.name] for item in compiled.inputs if item.name != "history"}
        assert_same_messages(compiled, dspy_signature(corpus_text), demos_for(compiled), inputs)


@pytest.mark.parametrize("salt", [0, 1, 2])
def test_cell_messages_are_dspys(salt: int, classes: Mapping[str, type]) -> None:
    """Descriptions, constraints, instructions of several lines and user classes are written as DSPy writes them."""
    compiled = compile_signature(CELL, name="Triage", namespace=classes)
    values = values_for(compiled, salt)
    inputs = {item.name: values[item.name] for item in compiled.inputs}
    assert_same_messages(compiled, compiled.to_dspy(), demos_for(compiled), inputs)


def test_reasoning_messages_are_those_of_chain_of_thought(
    corpus: list[str], classes: Mapping[str, type], dspy_signature: Callable[..., Any]
) -> None:
    """``with_reasoning`` prompts as ``dspy.ChainOfThought`` does, and its source gives the same again."""
    import dspy

    for corpus_text in corpus:
        compiled = compile_signature(corpus_text, namespace=classes).with_reasoning()
        theirs = dspy.ChainOfThought(dspy_signature(corpus_text)).predict.signature
        source = compiled.source()
        again = compile_signature(source.text, name=source.name, namespace=source.namespace)
        inputs = {compiled.inputs[0].name: "x"}
        assert_same_messages(compiled, theirs, [], inputs)
        assert again.prompt.chat_messages(inputs) == compiled.prompt.chat_messages(inputs), corpus_text


def test_history_is_written_as_dspy_writes_it() -> None:
    """A conversation becomes pairs of messages before the request, whichever form it comes in."""
    import dspy

    past = [{"question": "Capital of France?", "answer": "Paris"}, {"answer": "nothing asked"}, {"question": "?"}]
    compiled = compile_signature("question, history: dspy.History -> answer")
    theirs = dspy.Signature("question, history: dspy.History -> answer", custom_types={"dspy": dspy})
    for adapter, form in adapters():
        wanted = adapter.format(theirs, [], {"question": "Sure?", "history": dspy.History(messages=past)})
        render = getattr(compiled.prompt, f"{form}_messages")
        assert render({"question": "Sure?"}, history=past) == wanted
        assert render({"question": "Sure?", "history": {"messages": past}}) == wanted
        assert render({"question": "Sure?", "history": dspy.History(messages=past)}) == wanted


def test_images_become_blocks_as_in_dspy() -> None:
    """DSPy's media in an input end up as content blocks of the user message."""
    import dspy

    compiled = compile_signature("image: dspy.Image, images: list[dspy.Image] -> label")
    theirs = dspy.Signature("image: dspy.Image, images: list[dspy.Image] -> label", custom_types={"dspy": dspy})
    image = dspy.Image("https://example.com/a.png")
    assert_same_messages(compiled, theirs, [], {"image": image, "images": [image, image]})


def test_values_that_nobody_can_serialize_are_written_as_in_dspy() -> None:
    """Foreign objects, also inside structures, are written by their string form."""
    compiled = compile_signature("a: Any, b: Any, c -> d")
    values = {"a": Odd(object), "b": {"k": [Odd(1), 2j, b"x"]}, "c": float("nan")}
    assert_same_messages(compiled, compiled.to_dspy(), [], values)


@pytest.mark.parametrize("kind", KINDS)
def test_replies_are_read_as_dspy_reads_them(
    kind: str, classes: Mapping[str, type], dspy_signature: Callable[..., Any]
) -> None:
    """Every awkward reply gives the same value as in DSPy, or is refused by both."""
    text = f"question -> answer: {kind}"
    compiled, theirs = compile_signature(text, namespace=classes), dspy_signature(text)
    for adapter, form in adapters():
        parse = getattr(compiled.prompt, f"parse_{form}")
        for reply in REPLIES:
            assert outcome(parse, reply) == outcome(adapter.parse, theirs, reply), (form, reply)


def test_own_answers_are_read_back(
    corpus: list[str], classes: Mapping[str, type], dspy_signature: Callable[..., Any]
) -> None:
    """What the assistant side of a demo says is read back as DSPy reads it, for each real string."""
    for corpus_text in corpus:
        compiled, theirs = compile_signature(corpus_text, namespace=classes), dspy_signature(corpus_text)
        values = values_for(compiled, 0)
        outputs = {item.name: values[item.name] for item in compiled.outputs}
        for adapter, form in adapters():
            reply = adapter.format_assistant_message_content(theirs, outputs)
            assert outcome(getattr(compiled.prompt, f"parse_{form}"), reply) == outcome(adapter.parse, theirs, reply), (
                corpus_text
            )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.sampled_from(
            ["[[ ## answer ## ]]", "[[ ## tags ## ]]", "\n", " ", "{", "}", '"', "answer", ":", ",", "[", "]"]
        )
        | st.text(max_size=6)
        | st.builds(json.dumps, st.dictionaries(st.sampled_from(["answer", "tags"]), st.text(max_size=3))),
        max_size=12,
    )
)
def test_hostile_replies_are_read_as_dspy_reads_them(pieces: list[str], dspy_signature: Callable[..., Any]) -> None:
    """Whatever a model writes, both read the same or both refuse."""
    reply = "".join(pieces)
    compiled, theirs = compile_signature("q -> answer, tags: list[str]"), dspy_signature("q -> answer, tags: list[str]")
    for adapter, form in adapters():
        assert outcome(getattr(compiled.prompt, f"parse_{form}"), reply) == outcome(adapter.parse, theirs, reply)
