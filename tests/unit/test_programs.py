"""The public functions: what they make runs on the lab that is current when it is called."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import dspex_lab
from dspex_lab import programs
from dspex_lab.errors import ConfigurationError, SignatureError, TemplateError, ValidationError
from dspex_lab.lab import Lab, use_lab
from dspex_lab.testing import FakeBackend, FakeCall


def answer(call: FakeCall) -> dict[str, Any]:
    names = [one.split(":")[0].strip() for one in call.call.args["signature"]["text"].split("->")[1].split(",")]
    told = {"reasoning": "since"} if call.call.args["kind"] == "chain_of_thought" else {}
    return {**told, **{name: f"the {name}" for name in names}}


def len_of(text: str) -> int:
    return len(text)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend({"dspy.run": answer})


@pytest.fixture(autouse=True)
def _lab(backend: FakeBackend) -> Iterator[None]:
    with Lab(backend=backend) as made:
        before = use_lab(made)
        yield
        use_lab(before)


def test_every_public_function_is_a_name_of_the_package() -> None:
    """What ``import dspex_lab as lab`` offers is what stands here."""
    public = set(programs.__all__) - {"start_batch", "start_run"}
    assert {name for name in public if getattr(dspex_lab, name) is not getattr(programs, name)} == set()


def test_tab_offers_public_names_only() -> None:
    """What the package imports for itself is not among them."""
    assert sorted(dir(dspex_lab)) == sorted(dspex_lab.__all__)


def test_every_public_function_says_what_it_raises() -> None:
    """Or that it raises nothing that one could do something about."""
    harmless = {"current_lab", "runs", "show_metrics", "show_pools", "statistics", "traces", "use_lab"}
    functions = [name for name in dspex_lab.__all__ if inspect.isfunction(getattr(dspex_lab, name))]
    silent = [name for name in functions if "raise" not in (inspect.getdoc(getattr(dspex_lab, name)) or "").lower()]
    assert {name for name in silent if not name.endswith("load_ipython_extension")} - harmless == set()


def test_making_a_program_needs_no_lab() -> None:
    """Steps are made and looked at without a lab; it is asked for when something is run."""
    outer = use_lab(None)
    try:
        made = [
            programs.predict("question -> answer"),
            programs.chain_of_thought("question -> answer"),
            programs.react("question -> answer", tools=[len]),
            programs.native(lambda text: text),
            programs.template("Hello {{ name }}"),
            programs.parallel(a=programs.predict("x -> y")),
        ]
        assert all(repr(one) for one in made)
    finally:
        assert use_lab(outer) is None


def test_programs_run_on_the_current_lab(backend: FakeBackend) -> None:
    """A program that was made under one lab runs on the one that is current when it is called."""
    program = programs.predict("question -> answer", route="python")
    other = FakeBackend({"dspy.run": answer})
    with Lab(backend=other) as second:
        before = use_lab(second)
        assert program(question="x").answer == "the answer"
        use_lab(before)
    assert (len(backend.calls), len(other.calls)) == (0, 1)


def test_a_chain_of_thought_gives_its_reasoning() -> None:
    """The reasoning is an output like the others."""
    result = programs.chain_of_thought("question -> answer", route="python")(question="x")
    assert (result.reasoning, result.answer) == ("since", "the answer")


def test_native_steps_and_templates_need_no_backend(backend: FakeBackend) -> None:
    """Functions and templates run in this process."""
    assert programs.native(len_of)(text="four").len_of == 4
    assert "Hello Ada" in str(programs.template("Hello {{ name }}")(name="Ada").to_dict())
    assert backend.calls == []


def test_a_pipeline_is_run_by_itself_and_by_its_name() -> None:
    """``run_pipeline`` takes the pipeline or its name; an unknown name tells the nearest."""
    made = programs.pipeline("support", mood=programs.predict("ticket -> mood", route="python"))
    assert programs.run_pipeline(made, ticket="x").mood == "the mood"
    assert programs.run_pipeline("support", ticket="x").mood == "the mood"
    with pytest.raises(ConfigurationError, match="no pipeline called 'suport'") as caught:
        programs.run_pipeline("suport", ticket="x")
    assert "support" in (caught.value.hint or "")


def test_wrong_texts_are_errors_where_they_are_written() -> None:
    """A signature and a template are read when the program is made."""
    with pytest.raises(SignatureError):
        programs.predict("question -> ")
    with pytest.raises(SignatureError):
        programs.signature("question, question -> answer")
    with pytest.raises(TemplateError):
        programs.template("{{ unclosed")


def test_values_are_checked_against_a_signature() -> None:
    """``validate`` gives the typed outputs, or one entry for each fault."""
    assert programs.validate({"stars": "4"}, "text -> stars: int") == {"stars": 4}
    with pytest.raises(ValidationError) as caught:
        programs.validate({"stars": "many"}, "text -> stars: int, mood: str")
    assert {error["field"] for error in caught.value.errors} == {"stars", "mood"}


def test_runs_are_found_again() -> None:
    """The table names every run of a pipeline, and a few letters of an id find the run itself."""
    run = programs.pipeline("sizes", size=programs.native(len_of)).submit(text="abc")
    assert run.result(10).size == 3
    [found] = programs.runs(limit=1)["id"]
    assert run.id.startswith(found)
    assert programs.run(found) is run


@pytest.mark.parametrize("data", ["a text", None, [1, 2]], ids=repr)
def test_what_is_no_mapping_is_told(data: Any) -> None:
    """With the names that there are."""
    with pytest.raises(ValidationError, match="no mapping") as caught:
        programs.validate(data, "text -> stars: int")
    assert caught.value.hint == 'Write {"stars": ...}.'


def test_a_side_that_is_none_is_no_side() -> None:
    """A slip checks nothing in silence."""
    wrong: Any = "output"
    with pytest.raises(ConfigurationError, match="no side 'output'"):
        programs.validate({"stars": 1}, "text -> stars: int", side=wrong)


@pytest.mark.parametrize(
    ("event", "observer", "words"),
    [("router.rety", print, "Did you mean 'router.retry'"), (5, print, "No event"), ("token", "print", "a function")],
)
def test_what_cannot_be_heard_is_told_at_once(event: Any, observer: Any, words: str) -> None:
    """An event that is none, and an observer that cannot be called."""
    with pytest.raises(ConfigurationError, match=words):
        programs.on(event, observer)
