"""The fields that a plan takes and gives, as the fields of a signature: what a form asks for and shows.

Pure; what signatures know of a field (its description, its constraints, its default) is kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dspex_lab.pipelines.plan.plan import Plan, PlanInput
from dspex_lab.signatures import Field
from dspex_lab.signatures.grammar.writing import annotation_text

__all__ = ["input_fields", "output_fields"]


def input_fields(plan: Plan) -> tuple[Field, ...]:
    """The plan's inputs, in order."""
    return tuple(map(_input_field, plan.inputs))


def output_fields(plan: Plan) -> tuple[Field, ...]:
    """What the plan gives, in order; as its signature has them where a step of its own is all there is."""
    known = {field.name: field for step in plan.block.steps for field in _signature_outputs(step.step)}
    found = []
    for one in plan.outputs:
        field = known.get(one.name)
        found.append(field or Field(one.name, one.annotation, _text(one.annotation), "", is_input=False))
    return tuple(found)


def _input_field(one: PlanInput) -> Field:
    for reader in one.readers:
        fields = reader.signature.inputs if reader.signature is not None else ()
        field = next((field for field in fields if field.name == one.name), None)
        if field is not None:
            return field
    field = Field(one.name, one.annotation, _text(one.annotation), "", is_input=True)
    # Nobody knows the default but the function that has it: left out, it takes it.
    return field if one.is_required else replace(field, default=None)


def _signature_outputs(step: Any) -> tuple[Field, ...]:
    signature = getattr(getattr(step, "operation", None), "signature", None)
    return signature.outputs if signature is not None else ()


def _text(annotation: Any) -> str:
    return "" if annotation is Any else annotation_text(annotation, {})
