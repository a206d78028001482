"""What a pipeline is given, checked before anything runs: missing, unknown and mistyped inputs.

Pure; the checks are those of the signatures and functions that read the inputs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import pydantic

from dspex_lab.errors import PipelineError, ValidationError
from dspex_lab.pipelines.plan.plan import Plan, PlanInput
from dspex_lab.pipelines.steps.fields import Read, type_text

__all__ = ["check_inputs", "check_names", "typed_inputs", "typed_value"]


def check_inputs(plan: Plan, inputs: Mapping[str, Any]) -> None:
    """Raise ``PipelineError`` for the first input that is not known, missing, or of the wrong type."""
    check_names(plan, inputs)
    for one in plan.inputs:
        if one.name in inputs:
            for reader in one.readers:
                _check_value(plan, one, reader, inputs[one.name])


def check_names(plan: Plan, names: Collection[str]) -> None:
    """Raise ``PipelineError`` for the first of the inputs' ``names`` that is not known, and for the first input that
    is missing among them."""
    known = {one.name: one for one in plan.inputs}
    for name in names:
        if name not in known:
            raise PipelineError(f"{plan.name} has no input {name}.", hint=_takes(known, name))
    for one in plan.inputs:
        if one.name not in names and one.is_required:
            written = {name for step in plan.block.steps for name in step.write_names}
            raise _missing(plan, one, (*names, *written))


def _missing(plan: Plan, one: PlanInput, others: Iterable[str]) -> PipelineError:
    reader = next(read for read in one.readers if read.is_required)
    near = get_close_matches(one.name, list(others), n=1)
    hint = f"Give it: {plan.name}({one.name}=...)."
    if near:
        hint = f"Did you mean {near[0]!r} where {reader.step} reads it? Or give it: {plan.name}({one.name}=...)."
    return PipelineError(
        f"The input {one.name} is missing; {reader.step} reads it.",
        reader.step,
        where=_where(plan, reader.step),
        hint=hint,
    )


def typed_inputs(plan: Plan, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``inputs`` with the types that those who read them ask for: what was typed into a form is text at first. Raises
    ``ValidationError`` with one entry for each field that does not fit; names that are not known are let be."""
    found, faults = dict(inputs), []
    for one in plan.inputs:
        if one.name not in inputs:
            if one.is_required:
                faults.append({"field": one.name, "message": "It is missing.", "input": None})
            continue
        try:
            for reader in reversed(one.readers):  # the first has the last word on the type
                found[one.name] = typed_value(reader, inputs[one.name])
        except ValidationError as error:
            faults.append({"field": one.name, "message": error.message, "input": inputs[one.name]})
    if faults:
        raise ValidationError(f"`{faults[0]['field']}`: {faults[0]['message']}", tuple(faults))
    return found


def typed_value(reader: Read, value: Any) -> Any:
    """``value`` with the type that ``reader`` asks for. Raises ``ValidationError`` whose message is for people."""
    if reader.signature is not None and reader.name in {item.name for item in reader.signature.inputs}:
        try:
            return reader.signature.validator.validate_field(reader.name, value)
        except ValidationError as error:
            raise ValidationError(str(error.errors[0]["message"]) if error.errors else error.message) from None
    if reader.annotation is Any or (adapter := _adapter_or_none(reader.annotation)) is None:
        return value
    try:
        return adapter.validate_python(value)
    except pydantic.ValidationError as error:
        raise ValidationError(f"{error.errors()[0]['msg']}.") from None


def _check_value(plan: Plan, one: PlanInput, reader: Read, value: Any) -> None:
    try:
        typed_value(reader, value)
    except ValidationError as error:
        raise PipelineError(
            f"The input {one.name} does not fit {reader.step}: {error.message}",
            reader.step,
            where=_where(plan, reader.step),
            hint=f"It takes {type_text(reader.annotation)}, and got {type(value).__name__}.",
        ) from None


def _adapter_or_none(annotation: Any) -> pydantic.TypeAdapter[Any] | None:
    try:
        return _adapter(annotation)
    except (TypeError, pydantic.errors.PydanticUserError, pydantic.errors.PydanticUndefinedAnnotation):
        return None  # what pydantic cannot check, the function itself will


@lru_cache(maxsize=256)
def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(annotation, config=_config(annotation))


def _config(annotation: Any) -> pydantic.ConfigDict | None:
    # Models and dataclasses bring a configuration of their own and take no other.
    is_own = isinstance(annotation, type) and (
        issubclass(annotation, pydantic.BaseModel) or hasattr(annotation, "__dataclass_fields__")
    )
    return None if is_own else pydantic.ConfigDict(arbitrary_types_allowed=True)


def _where(plan: Plan, step: str) -> str:
    return next((plan.source.where(one.path) for one in plan.block if one.name == step), "")


def _takes(known: Mapping[str, PlanInput], name: str) -> str:
    near = get_close_matches(name, known, n=1)
    takes = f"It takes {', '.join(known) or 'none'}."
    return f"Did you mean {near[0]!r}? {takes}" if near else takes
