"""What the form's front end is told, as plain data; ``static/form_view.js`` names the same fields. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dspex_lab.pipelines import Plan
from dspex_lab.pipelines.plan.input_fields import input_fields, output_fields
from dspex_lab.signatures import Field, FormField, Signature, form_fields
from dspex_lab.signatures.card import kind_text

__all__ = ["card_signature", "fields_of_plan", "form_message"]


def fields_of_plan(plan: Plan, defaults: Mapping[str, Any]) -> tuple[FormField, ...]:
    """How each input of ``plan`` is asked for."""
    return form_fields(input_fields(plan), defaults)


def card_signature(plan: Plan) -> Signature:
    """The plan as a signature, for its card: that of its one step, or what it takes and gives."""
    own = _own_signature(plan)
    outputs = output_fields(plan)
    if own is not None:
        return Signature(own.name, own.instructions, own.inputs, outputs, "")
    names = " → ".join(", ".join(wave) for wave in plan.waves) if len(plan.steps) > 1 else ""
    return Signature(plan.name, names, input_fields(plan), outputs, "")


def form_message(plan: Plan, fields: tuple[FormField, ...]) -> dict[str, Any]:
    """``{"name", "about", "kind", "is_single", "inputs": [FormField], "outputs": [{"name", "type_text", "description",
    "constraints"}]}``."""
    card = card_signature(plan)
    steps = plan.steps
    is_single = len(steps) == 1
    return {
        "name": plan.name if card.name == "Signature" else card.name,
        "about": card.instructions,
        "kind": steps[0].kind if is_single else "pipeline",
        "is_single": is_single,
        "inputs": [asdict(one) for one in fields],
        "outputs": [_output(one) for one in card.outputs],
    }


def _output(one: Field) -> dict[str, str]:
    return {
        "name": one.name,
        "type_text": kind_text(one),
        "description": one.description,
        "constraints": one.constraints,
    }


def _own_signature(plan: Plan) -> Signature | None:
    """The signature of the only step there is."""
    if len(plan.steps) != 1:
        return None
    compiled = getattr(getattr(plan.steps[0].step, "operation", None), "signature", None)
    return compiled.signature if compiled is not None else None
