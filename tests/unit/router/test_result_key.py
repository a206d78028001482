"""The key of a result: whatever an answer depends on makes another key, and what it does not depend on makes none."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dspex_lab.calls import LmSpec
from dspex_lab.errors import ConfigurationError
from dspex_lab.pipelines import chain_of_thought, module, native, predict, react, template
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.router import CachePolicy, Decision, Operation, Route
from dspex_lab.router.result_key import ResultKeys, check_cacheable
from dspex_lab.signatures import compile_signature

HERE = Decision(Route.HYBRID, "because", "general")
LM = LmSpec("openai/big", api_key="sk-secret", temperature=0.5)
TEXT = '"""Sort it."""\nticket: str\n->\nmood: Literal["calm", "angry"]\nurgency: Annotated[int, Field(ge=1, le=5)]'


def key(
    leaf: Leaf | Operation, inputs: dict[str, Any] | None = None, lm: LmSpec = LM, decision: Decision = HERE
) -> str:
    operation = leaf if isinstance(leaf, Operation) else leaf.operation
    return ResultKeys().key(operation, {"ticket": "help"} if inputs is None else inputs, lm, decision)


BASE = key(predict(TEXT))


def test_the_same_question_has_the_same_key() -> None:
    """However often it is made."""
    assert key(predict(TEXT)) == BASE


@pytest.mark.parametrize(
    "change",
    [
        {"model": "openai/small"},
        {"api_base": "http://elsewhere/v1"},
        {"temperature": 0.6},
        {"temperature": None},
        {"max_tokens": 100},
    ],
)
def test_another_model_or_sampling_is_another_key(change: dict[str, Any]) -> None:
    """The model, its address, and every figure of its sampling."""
    assert key(predict(TEXT), lm=replace(LM, **change)) != BASE


@given(
    st.builds(
        LmSpec, st.text(), st.none() | st.text(), st.none(), st.none() | st.floats(0, 2), st.none() | st.integers()
    )
)
def test_no_two_models_share_a_key(lm: LmSpec) -> None:
    """Whatever differs of a model but its key and its time."""
    assume(lm != replace(LM, api_key=None))
    assert key(predict(TEXT), lm=lm) != BASE


def test_every_field_of_a_model_is_in_the_key_unless_it_is_left_out_on_purpose() -> None:
    """A field that is added to a model is in the key without anybody's doing."""
    names = {one.name for one in dataclasses.fields(LmSpec)} - {"api_key", "timeout_s"}
    assert names == {"model", "api_base", "temperature", "max_tokens"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Sort it.", "Sort it well."),
        ("ticket: str", "ticket: str  # their words"),
        ("ticket: str", 'ticket: str = "none"'),
        ('"calm", "angry"', '"calm", "cross"'),
        ('"calm", "angry"', '"angry", "calm"'),
        ("le=5", "le=6"),
        ("ge=1, le=5", "ge=1"),
        ("urgency: Annotated[int, Field(ge=1, le=5)]", "urgency: int"),
        ("urgency:", "priority:"),
        ("mood: Literal", "feeling: Literal"),
    ],
)
def test_another_version_of_the_signature_is_another_key(before: str, after: str) -> None:
    """Instructions, names, types, constraints, descriptions, defaults and their order."""
    changed = TEXT.replace(before, after)
    assert changed != TEXT
    assert key(predict(changed)) != BASE


@given(st.text(max_size=40))
def test_no_two_instructions_share_a_key(text: str) -> None:
    """Whether they are the signature's or the step's own."""
    told = compile_signature(TEXT).with_instructions(text or "?")
    assume(told.instructions != compile_signature(TEXT).instructions)
    assert key(predict(told)) != BASE
    if text:
        assert key(predict(TEXT, instructions=text)) not in (BASE, key(predict(told)))


DEMOS = st.lists(
    st.fixed_dictionaries({"ticket": st.text(max_size=5), "mood": st.sampled_from(["calm", "angry"])}), max_size=3
)


@given(DEMOS, DEMOS)
def test_no_two_sets_of_demos_share_a_key(one: list[dict[str, str]], other: list[dict[str, str]]) -> None:
    """Each demo and their order; equal ones share it."""
    assert (key(predict(TEXT, demos=one)) == key(predict(TEXT, demos=other))) is (one == other)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(PLAIN, PLAIN)
def test_no_two_inputs_share_a_key(one: Any, other: Any) -> None:
    """1 is not True, "1" is not 1, and a list is not its first item."""
    is_same = repr(one) == repr(other)
    if not is_same:
        assume(one != other or type(one) is not type(other))
        assume(not (isinstance(one, dict | list) and one == other))
    assert (key(predict(TEXT), {"ticket": one}) == key(predict(TEXT), {"ticket": other})) is is_same


@pytest.mark.parametrize(
    "make",
    [
        lambda: chain_of_thought(TEXT),
        lambda: predict(TEXT, adapter="json"),
        lambda: predict(TEXT, instructions="Be brief."),
        lambda: predict(TEXT, demos=[{"ticket": "a", "mood": "calm", "urgency": 1}]),
    ],
)
def test_another_kind_or_setting_is_another_key(make: Callable[[], Leaf]) -> None:
    """The kind of operation, its adapter, its own instructions."""
    assert key(make()) != BASE


@pytest.mark.parametrize(
    "decision", [Decision(Route.PYTHON, "because", "general"), Decision(Route.HYBRID, "because", "neural")]
)
def test_another_way_or_place_is_another_key(decision: Decision) -> None:
    """The route and the pool; the reason for it is nobody's business."""
    assert key(predict(TEXT), decision=decision) != BASE
    assert key(predict(TEXT), decision=replace(HERE, reason="other")) == BASE


def test_how_an_answer_is_had_is_not_in_the_key() -> None:
    """Time, retries, streaming, the API key and what the step is called change no answer."""
    patient = predict(TEXT, timeout_s=9, retry=5, stream=True, output_retries=0)
    assert key(patient, lm=replace(LM, api_key="sk-other", timeout_s=1)) == BASE
    assert key(replace(patient.operation, name="renamed")) == BASE


def test_classes_of_the_user_are_in_the_key() -> None:
    """A class that is defined again with other members is another signature."""

    def asked(**members: int) -> Leaf:
        kind = enum.Enum("Mood", members, module="__main__")  # type: ignore[misc]
        return predict("ticket -> mood: Mood", namespace={"Mood": kind})

    assert key(asked(CALM=1)) == key(asked(CALM=1))
    assert len({key(asked(CALM=1)), key(asked(CALM=2)), key(asked(CALM=1, ANGRY=2))}) == 3


def test_a_local_model_s_file_is_in_the_key() -> None:
    """Another file under the same name is another model."""
    keys = {
        ResultKeys(lambda lm, mark=mark: mark).key(predict(TEXT).operation, {"ticket": "?"}, LM, HERE)  # type: ignore[misc]
        for mark in (("a.gguf", 100), ("a.gguf", 101), None)
    }
    assert len(keys) == 3


def test_a_function_is_in_the_key_by_what_it_does() -> None:
    """Another body is another key; the default model is none of its business."""
    shout, whisper = native(lambda ticket: ticket.upper()), native(lambda ticket: ticket.lower())
    assert key(shout) != key(whisper)
    assert key(shout) == key(native(lambda ticket: ticket.upper()), lm=LmSpec("openai/other"))


def test_a_template_is_in_the_key_by_its_text() -> None:
    """Two templates are two contents."""
    assert key(template("{{ ticket }}")) == key(template("{{ ticket }}"))
    assert key(template("{{ ticket }}")) != key(template("{{ ticket }}!"))


class Program:
    """A user's module."""

    def __init__(self, demos: list[str]) -> None:
        self.demos = demos

    def forward(self, ticket: str) -> str:
        return ticket


def test_a_module_is_in_the_key_by_its_state() -> None:
    """Its demos are its own."""

    def asked(*demos: str) -> Leaf:
        return module(Program(list(demos)), signature=TEXT)

    assert key(asked("a")) == key(asked("a"))
    assert key(asked("a")) != key(asked("b"))


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: module("mine.Program", signature=TEXT), "known in its worker only"),
        (lambda: native((one for one in [1]).send, reads=["ticket"]), "its function cannot be told apart"),
    ],
)
def test_what_cannot_be_told_apart_is_a_configuration_error(make: Callable[[], Leaf], fault: str) -> None:
    """Nothing is kept that could be mistaken for another; the user is told why."""
    with pytest.raises(ConfigurationError, match=fault):
        key(make())


def test_inputs_without_content_are_a_configuration_error() -> None:
    """An open file is no input that could be found again."""
    with pytest.raises(ConfigurationError, match="its inputs cannot be told apart"):
        key(native(lambda ticket: ticket), {"ticket": (one for one in [1])})


def test_tools_are_kept_only_where_it_is_said() -> None:
    """What tools do is not done again for a result that was kept; then their code is in the key."""
    looks_up = react(TEXT, tools=[lambda: 1])
    with pytest.raises(ConfigurationError, match="has tools"):
        check_cacheable(looks_up.operation, CachePolicy())
    check_cacheable(looks_up.operation, CachePolicy(with_tools=True))
    assert key(looks_up) != key(react(TEXT, tools=[lambda: 2]))


@pytest.mark.parametrize("values", [{"place": "cloud"}, {"ttl_s": 0}, {"ttl_s": -1.0}])
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, Any]) -> None:
    """An unknown place and no time are errors where they are written."""
    with pytest.raises(ConfigurationError):
        CachePolicy(**values)


def test_cache_is_on_or_off_or_a_policy() -> None:
    """Anything else is an error at the step."""
    assert predict(TEXT, cache=True).options.cache == CachePolicy()
    assert predict(TEXT, cache=False).options.cache is None
    with pytest.raises(ConfigurationError, match="not a str"):
        predict(TEXT, cache="disk")  # type: ignore[arg-type]
