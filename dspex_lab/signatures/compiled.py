"""A signature that acts: it validates, serializes, writes its JSON schema and its prompt, and turns into DSPy's own.

All parts are made on first use and kept.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dspex_lab.errors import SignatureError
from dspex_lab.signatures.bridge import to_dspy
from dspex_lab.signatures.card import html_card, one_line, text_card
from dspex_lab.signatures.grammar.writing import signature_text
from dspex_lab.signatures.prompt.prompt import Prompt
from dspex_lab.signatures.types.field import Field, Signature
from dspex_lab.signatures.values.schema import output_json_schema
from dspex_lab.signatures.values.serializer import Serializer
from dspex_lab.signatures.values.validator import Validator

__all__ = ["CompiledSignature", "SignatureSource"]


@dataclass(frozen=True, slots=True)
class SignatureSource:
    """All that another process needs to compile the same signature: plain text, and the user's classes it names."""

    text: str
    name: str
    namespace: Mapping[str, Any] = field(default_factory=dict)


class CompiledSignature:
    """One signature and everything that follows from it. Made by ``compile_signature``."""

    def __init__(self, signature: Signature, *, dspy_class: Any = None) -> None:
        self.signature = signature
        self._dspy_class = dspy_class

    @property
    def name(self) -> str:
        return self.signature.name

    @property
    def instructions(self) -> str:
        return self.signature.instructions

    @property
    def inputs(self) -> tuple[Field, ...]:
        return self.signature.inputs

    @property
    def outputs(self) -> tuple[Field, ...]:
        return self.signature.outputs

    @cached_property
    def validator(self) -> Validator:
        """Checks inputs and outputs."""
        return Validator(self.signature)

    @cached_property
    def serializer(self) -> Serializer:
        """Values as plain data and back."""
        return Serializer(self.signature, self.validator)

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        """The strict JSON schema of the object that holds all outputs. SignatureError for types without JSON form."""
        return output_json_schema(self.signature)

    @cached_property
    def prompt(self) -> Prompt:
        """Writes the messages that DSPy would send, and reads the replies."""
        return Prompt(self.signature)

    def to_dspy(self) -> Any:
        """The real ``dspy.Signature`` class; imports DSPy."""
        if self._dspy_class is None:
            self._dspy_class = to_dspy(self.signature)
        return self._dspy_class

    def with_reasoning(self) -> CompiledSignature:
        """This signature with a ``reasoning`` output first: the one that DSPy's ChainOfThought uses."""
        return self._with_reasoning

    @cached_property
    def _with_reasoning(self) -> CompiledSignature:
        if any(item.name == "reasoning" for item in self.inputs):
            raise SignatureError(
                "`reasoning` is an input already.", self.signature.text, "reasoning", hint="Give it another name."
            )
        reasoning = Field("reasoning", str, "str", "", is_input=False)
        rest = tuple(item for item in self.outputs if item.name != "reasoning")
        return CompiledSignature(_remade(self.signature, outputs=(reasoning, *rest)))

    def with_instructions(self, instructions: str) -> CompiledSignature:
        """This signature with other instructions, such as an optimizer found; cleaned as DSPy cleans them."""
        return CompiledSignature(_remade(self.signature, instructions=inspect.cleandoc(instructions)))

    def with_state(self, state: Mapping[str, Any]) -> CompiledSignature:
        """This signature with the instructions and descriptions that a saved DSPy program has for it.

        ``state`` is the ``signature`` part of a predictor's ``dump_state()``. Raises SignatureError when it was saved
        for another number of fields.
        """
        saved = state.get("fields", ())
        if len(saved) != len(self.signature.fields):
            raise SignatureError(
                f"The saved state has {len(saved)} fields, the signature {len(self.signature.fields)}.",
                self.signature.text,
                hint="Load the program with the signature that it was optimized for.",
            )
        fields = tuple(_described(item, part) for item, part in zip(self.signature.fields, saved, strict=True))
        cut = len(self.inputs)
        is_told_more = any(item.description for item in fields)
        return CompiledSignature(
            _remade(
                self.signature,
                instructions=inspect.cleandoc(state.get("instructions") or self.instructions),
                inputs=fields[:cut],
                outputs=fields[cut:],
                form="cell" if is_told_more else self.signature.form,
            )
        )

    def source(self) -> SignatureSource:
        """What a worker needs to compile the same signature."""
        return SignatureSource(self.signature.text, self.signature.name, dict(self.signature.namespace))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CompiledSignature) and self.source() == other.source()

    def __hash__(self) -> int:
        return hash((self.signature.name, self.signature.text))

    def __reduce__(self) -> tuple[Any, ...]:
        return _compile_source, (self.source(),)

    def __repr__(self) -> str:
        return one_line(self.signature)

    def __str__(self) -> str:
        return text_card(self.signature)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(text_card(self.signature))

    def _repr_html_(self) -> str:
        return html_card(self.signature)


def _described(item: Field, saved: Mapping[str, Any]) -> Field:
    """``item`` with the description that DSPy saved; its placeholder ``${name}`` stands for none."""
    description = saved.get("description", saved.get("desc")) or ""
    return dataclasses.replace(item, description="" if description == f"${{{item.name}}}" else description)


def _remade(signature: Signature, **changes: Any) -> Signature:
    """``signature`` with ``changes``, and a text that says so."""
    changed = dataclasses.replace(signature, **changes)
    text = signature_text(changed.instructions, changed.inputs, changed.outputs, form=changed.form)
    return dataclasses.replace(changed, text=text)


def _compile_source(source: SignatureSource) -> CompiledSignature:
    from dspex_lab.signatures.cache import compile_signature

    return compile_signature(source.text, name=source.name, namespace=source.namespace)
