"""The forms of the calls that workers are sent."""

from __future__ import annotations

import pytest

from dspex_lab.calls import Code, LmSpec
from dspex_lab.pipelines import chain_of_thought, module, native, predict, react
from dspex_lab.router import CallSettings, build_dspy_call, build_function_call, choose_lm

LM = LmSpec("openai/gpt", api_base="http://here", api_key="secret", temperature=0.5)
SETTINGS = CallSettings(pool="general", lm=LM, timeout_s=9.0, is_streaming=True)


def test_predict_becomes_a_dspy_run() -> None:
    """Kind, signature, inputs and model travel as plain data, and the call may be repeated."""
    step = predict("question -> answer: int")
    call = build_dspy_call(step.operation, {"question": "6 * 7"}, SETTINGS)
    assert (call.op, call.pool, call.timeout_s, call.stream, call.idempotent) == (
        "dspy.run",
        "general",
        9.0,
        True,
        True,
    )
    assert call.args["kind"] == "predict"
    assert call.args["signature"] == {"text": "question -> answer: int", "name": "Signature", "namespace": None}
    assert call.args["inputs"] == {"question": "6 * 7"}
    assert call.args["lm"]["model"] == "openai/gpt"
    assert call.args["options"] == {}


def test_a_users_class_travels_as_code() -> None:
    """The classes that a signature names are sent by value beside it."""

    class Team:
        pass

    step = predict("ticket: str -> category: Team", namespace={"Team": Team, "other": 1})
    call = build_dspy_call(step.operation, {"ticket": "x"}, SETTINGS)
    namespace = call.args["signature"]["namespace"]
    assert isinstance(namespace, Code)
    assert namespace.value == {"Team": Team}


def test_tools_travel_as_code_and_are_not_repeated() -> None:
    """A react step's tools are sent by value; what they did is not done twice."""

    def find(order: str) -> str:
        return order

    call = build_dspy_call(react("q -> a", tools=[find], max_iters=3).operation, {"q": "x"}, SETTINGS)
    assert call.args["options"]["max_iters"] == 3
    assert call.args["options"]["tools"].value == [find]
    assert not call.idempotent


def test_a_module_travels_as_code_or_by_name() -> None:
    """A module of the user's is sent by value, a dotted name as it is."""

    class Program:
        pass

    own = Program()
    calls = [
        build_dspy_call(module(program, signature="q -> a").operation, {"q": "x"}, SETTINGS)
        for program in (own, "package.Program")
    ]
    assert [call.op for call in calls] == ["dspy.run", "dspy.run"]
    assert calls[0].args["options"]["module"].value is own
    assert calls[1].args["options"]["module"] == "package.Program"


def test_feedback_is_added_to_the_instructions() -> None:
    """What the validator said reaches the model after the signature's own instructions."""
    step = chain_of_thought('"""Sort it."""\nticket: str\n->\nteam: str')
    settings = CallSettings(pool="general", lm=LM, feedback="Your previous answer was refused.")
    instructions = build_dspy_call(step.operation, {"ticket": "x"}, settings).args["options"]["instructions"]
    assert instructions == "Sort it.\n\nYour previous answer was refused."


def test_a_function_becomes_a_python_call() -> None:
    """A native step with a pool sends its function and the fields as keywords."""

    def shout(text: str) -> str:
        return text.upper()

    call = build_function_call(native(shout, pool="general").operation, {"text": "a"}, SETTINGS)
    assert (call.op, call.args["args"], call.args["kwargs"]) == ("python.call", [], {"text": "a"})
    assert call.args["function"].value is shout
    assert not call.idempotent


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, LM),
        (LmSpec("local/tiny"), LmSpec("local/tiny")),
        ("openai/other", LmSpec("openai/other", api_base="http://here", api_key="secret", temperature=0.5)),
        ("local/tiny", LmSpec("local/tiny", temperature=0.5)),
    ],
)
def test_a_key_goes_to_its_own_provider_only(asked: LmSpec | str | None, expected: LmSpec) -> None:
    """A step that names another provider's model takes neither the default's address nor its key along."""
    assert choose_lm(asked, LM) == expected
