"""The step that asks people: ``ask("Is this reply all right?", shows=["reply"], answer="approved: bool")``.

Makes the step; that a run waits for its answer is the business of ``questions``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dspex_lab.errors import ConfigurationError, SignatureError, ValidationError
from dspex_lab.pipelines.steps.fields import Read, Write
from dspex_lab.pipelines.steps.step import Leaf
from dspex_lab.router import Operation, Options
from dspex_lab.signatures import CompiledSignature, Field, Signature, compile_signature

__all__ = ["ASK", "Form", "ask", "checked_answer"]

#: The kind of operation that people carry out.
ASK = "ask"
_FORM = "form"
#: The side of the answer's signature that nobody fills in.
_REST = "is_answered"


@dataclass(frozen=True, slots=True)
class Form:
    """What is asked, and what an answer must be: the inputs of ``answer``. ``default`` is the answer when time is up,
    and what stands in the form at first."""

    text: str
    shows: tuple[str, ...]
    answer: CompiledSignature
    default: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, leaf: Leaf) -> Form:
        """The form of a step that asks."""
        form: Form = leaf.operation.settings[_FORM]
        return form

    def __repr__(self) -> str:
        return f"Form({self.text!r}, {self.shows!r}, {self.answer.signature.text!r}, {self.default!r})"


def ask(
    question: str,
    *,
    shows: Sequence[str] | str = (),
    answer: Any = "answer: str",
    default: Any = None,
    timeout_s: float | None = None,
    namespace: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Leaf:
    """Pause the run until somebody answers ``question`` in the notebook's form, or with ``run.answer(...)``.

    ``shows`` names the fields to look at. ``answer`` says what to fill in, as the fields of a signature
    (``"approved: bool, comment: str = ''"``), or is a signature, whose outputs are filled in; these are what the step
    writes. With ``timeout_s`` the run waits no longer than that and goes on with ``default``, or fails without one.
    """
    if not question.strip():
        raise ConfigurationError("ask has no question.", "question", "a text", repr(question))
    fields, shown = _fields(answer, namespace)
    names = (shows,) if isinstance(shows, str) else tuple(shows) or shown
    compiled = _compiled(fields)
    given = None if default is None else checked_answer(compiled, default)
    form = Form(question.strip(), names, compiled, given)
    operation = Operation(ASK, ASK, tuple(one.name for one in fields), settings={_FORM: form})
    writes = tuple(Write(one.name, one.annotation, overwrite) for one in fields)
    return Leaf(operation, Options(timeout_s=timeout_s), tuple(map(Read, names)), writes, overwrite)


def checked_answer(answer: CompiledSignature, given: Any) -> dict[str, Any]:
    """``given`` as values of the fields: a mapping, or the one value that cannot be left out. Raises
    ``ValidationError`` with one entry for each fault."""
    if not isinstance(given, Mapping):
        needed = [one.name for one in answer.inputs if not one.has_default] or [answer.inputs[0].name]
        if len(needed) != 1:
            raise ValidationError(
                f"An answer has the fields {', '.join(needed)}.",
                tuple({"field": name, "message": "It is missing.", "input": None} for name in needed),
                hint=f"Name them: run.answer({', '.join(f'{name}=...' for name in needed)}).",
            )
        given = {needed[0]: given}
    try:
        values = answer.validator.validate_inputs(given)
    except ValidationError as error:
        first = error.errors[0]
        more = f" (and {len(error.errors) - 1} more)" if len(error.errors) > 1 else ""
        raise ValidationError(
            f"That is no answer: `{first['field']}`: {first['message']}{more}", error.errors, hint=error.hint
        ) from None
    return {one.name: values.get(one.name) for one in answer.inputs}


def _fields(answer: Any, namespace: Mapping[str, Any] | None) -> tuple[tuple[Field, ...], tuple[str, ...]]:
    """What is to be filled in, and what a whole signature wants shown."""
    if isinstance(answer, str) and "->" not in answer:
        try:
            return compile_signature(f"{answer} -> {_REST}", name="Answer", namespace=namespace).inputs, ()
        except SignatureError as error:
            # The place is the same in the user's own text, which the arrow does not stand in.
            raise SignatureError(
                error.message, answer, error.field, line=error.line, column=error.column, hint=error.hint
            ) from None
    signature = compile_signature(answer, namespace=namespace)
    return signature.outputs, tuple(one.name for one in signature.inputs)


def _compiled(fields: tuple[Field, ...]) -> CompiledSignature:
    """A signature whose inputs are ``fields``: inputs may have defaults. A field without a type is text."""
    inputs = tuple(replace(one, is_input=True, annotation_text=one.annotation_text or "str") for one in fields)
    text = ", ".join(
        f"{one.name}: {one.annotation_text}" + (f" = {one.default!r}" if one.has_default else "") for one in inputs
    )
    rest = Field(_REST, bool, "bool", "", is_input=False)
    return compile_signature(Signature("Answer", "Answer the question.", inputs, (rest,), text))
