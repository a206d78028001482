"""Compiled signatures: the cache, what a worker rebuilds, and the way to DSPy and back."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import types
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
import pytest

from dspex_lab.errors import SignatureError
from dspex_lab.signatures import CompiledSignature, SignatureSource, compile_signature, parse_signature

CELL = '''"""Rate it."""
text: str  # the words
n: int = 3
->
stars: Annotated[int, Field(ge=1, le=5)]  # five is best
tags: list[str] | None
'''


def item_class(**fields: Any) -> type:
    return type("Item", (pydantic.BaseModel,), {"__annotations__": fields})


def rebuilt(compiled: CompiledSignature) -> CompiledSignature:
    source = compiled.source()
    return compile_signature(source.text, name=source.name, namespace=source.namespace)


def test_same_content_is_compiled_once() -> None:
    """The same text and name give the same object; another name another one."""
    assert compile_signature("a -> b", name="X") is compile_signature("a -> b", name="X")
    assert compile_signature("a -> b", name="X") is not compile_signature("a -> b", name="Y")


def test_redefined_class_is_not_served_stale() -> None:
    """A class that is defined again makes a new signature, and the old one comes back with the old class."""
    first, second = item_class(a=int), item_class(b=int)
    old = compile_signature("x -> y: Item", namespace={"Item": first})
    new = compile_signature("x -> y: Item", namespace={"Item": second})
    assert new.signature.field("y").annotation is second
    assert compile_signature("x -> y: Item", namespace={"Item": first, "other": 1}) is old


def test_class_that_appears_later_goes_before_the_white_list() -> None:
    """A text that was read with the built-in Decimal is read anew once the user has a class of that name."""
    plain = compile_signature("x -> y: Decimal")
    own = compile_signature("x -> y: Decimal", namespace={"Decimal": item_class(a=int)})
    assert own.signature.field("y").annotation is not plain.signature.field("y").annotation


def test_class_from_a_module_is_looked_up_each_time() -> None:
    """A module may be reloaded; what it holds then counts."""
    models = types.ModuleType("models")
    models.Item = item_class(a=int)  # type: ignore[attr-defined]
    compile_signature("x -> y: models.Item", namespace={"models": models})
    models.Item = newer = item_class(b=int)  # type: ignore[attr-defined]
    again = compile_signature("x -> y: models.Item", namespace={"models": models})
    assert again.signature.field("y").annotation is newer


def test_source_rebuilds_the_same() -> None:
    """Text, name and used classes are enough to compile the same signature elsewhere."""
    item = item_class(a=int)
    compiled = compile_signature("x -> y: list[Item]", name="T", namespace={"Item": item, "unused": item_class()})
    assert compiled.source() == SignatureSource("x -> y: list[Item]", "T", {"Item": item})
    assert rebuilt(compiled) is compiled


def test_pickle_gives_the_same() -> None:
    """A compiled signature travels as its source."""
    compiled = compile_signature(CELL, name="Rate")
    assert pickle.loads(pickle.dumps(compiled)) == compiled


@pytest.mark.parametrize("text", [CELL, "q -> a: int", 'x\n->\ny  # says "so"\nz: str = Field(desc="two\\nlines")'])
def test_reasoning_comes_first_and_survives_the_source(text: str) -> None:
    """``with_reasoning`` puts a string output first, keeps the instructions, and can be rebuilt."""
    plain = compile_signature(text)
    compiled = plain.with_reasoning()
    again = rebuilt(compiled)
    assert [item.name for item in compiled.outputs] == ["reasoning", *(item.name for item in plain.outputs)]
    assert again.instructions == compiled.instructions == plain.instructions
    assert again.prompt.chat_messages({}) == compiled.prompt.chat_messages({})


def test_reasoning_as_an_input_is_refused() -> None:
    """There is no room for a second ``reasoning``."""
    with pytest.raises(SignatureError, match="input already"):
        compile_signature("reasoning -> b").with_reasoning()


INSTRUCTIONS = [
    *("One line.", "Two\nlines", 'It says "so"', 'ends with "', "back\\slash"),
    *('"""', "tab\there", "ünï ✓", "'''", "  spaces ", "bell\x07"),
]


@pytest.mark.parametrize("words", INSTRUCTIONS)
def test_other_instructions_survive_the_source(words: str) -> None:
    """Whatever an optimizer wrote comes back, cleaned as DSPy cleans it."""
    compiled = compile_signature(CELL).with_instructions(words)
    assert rebuilt(compiled).instructions == compiled.instructions == inspect.cleandoc(words)


def test_state_of_an_optimized_program_is_honoured() -> None:
    """Instructions and descriptions that DSPy saved reach the prompt, as they do in DSPy."""
    import dspy

    compiled = compile_signature("question -> answer")
    theirs = compiled.to_dspy().with_instructions("Be brief.").with_updated_fields("answer", desc="one word")
    ours = compiled.with_state(theirs.dump_state())
    assert ours.prompt.chat_messages({"question": "?"}) == dspy.ChatAdapter().format(theirs, [], {"question": "?"})


def test_state_of_another_signature_is_refused() -> None:
    """A state with another number of fields belongs to another signature."""
    with pytest.raises(SignatureError, match="1 fields"):
        compile_signature("a -> b").with_state({"fields": [{"description": "x"}]})


def test_dspy_class_is_compiled_with_all_it_says() -> None:
    """Descriptions, constraints, defaults and optional outputs of a DSPy class are kept, also by its source."""
    import dspy

    class Rate(dspy.Signature):  # type: ignore[misc]
        """Rate it."""

        text = dspy.InputField(desc="the words")
        n: int = dspy.InputField(default=3)
        stars: int = dspy.OutputField(ge=1, le=5, desc="five is best")
        code: Annotated[str, pydantic.Field(pattern="^[a-z]+$")] = dspy.OutputField()
        tags: list[str] = dspy.OutputField(default_factory=list)

    compiled = compile_signature(Rate)
    inputs = {"text": "x", "n": 3}
    assert compiled.to_dspy() is Rate
    assert compiled.prompt.chat_messages(inputs) == dspy.ChatAdapter().format(Rate, [], inputs)
    assert compiled.validator.validate_outputs({"stars": 2, "code": "a"}) == {"stars": 2, "code": "a", "tags": []}
    for broken in ({"stars": 9, "code": "a"}, {"stars": 2, "code": "A"}):
        with pytest.raises(Exception, match="do not fit"):
            compiled.validator.validate_outputs(broken)


def test_to_dspy_keeps_types_constraints_and_descriptions(classes: Mapping[str, type]) -> None:
    """DSPy's own class of a cell validates and describes as the cell says."""
    made = compile_signature(CELL, name="Rate", namespace=classes).to_dspy()
    stars = made.output_fields["stars"]
    assert made.__name__ == "Rate"
    assert stars.json_schema_extra["desc"] == "five is best"
    assert stars.json_schema_extra["constraints"] == "greater than or equal to: 1, less than or equal to: 5"
    assert made.input_fields["n"].default == 3


def test_reading_and_prompting_load_no_dspy() -> None:
    """Everything but ``to_dspy`` works in a process that never imports DSPy."""
    code = (
        "import sys; from dspex_lab.signatures import compile_signature as c; s = c('a, i: dspy.Image -> b: int');"
        "s.json_schema; s.prompt.chat_messages({'a': 'x'}); s.prompt.parse_chat('[[ ## b ## ]]\\n3');"
        "s.validator.validate_outputs({'b': '3'}); s.with_reasoning(); repr(s); s._repr_html_();"
        "sys.exit(any(name in sys.modules for name in ('dspy', 'litellm', 'pandas', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_signature_value_can_be_compiled() -> None:
    """What ``parse_signature`` gives is accepted too."""
    assert compile_signature(parse_signature("a -> b", name="N")).name == "N"
