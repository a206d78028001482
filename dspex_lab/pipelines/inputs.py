"""What a pipeline is given, checked before anything runs: missing, unknown and mistyped inputs.

Pure; the checks are those of the signatures and functions that read the inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import pydantic

from dspex_lab.errors import PipelineError, ValidationError
from dspex_lab.pipelines.fields import Read, type_text
from dspex_lab.pipelines.plan import Plan, PlanInput

__all__ = ["check_inputs"]


def check_inputs(plan: Plan, inputs: Mapping[str, Any]) -> None:
    """Raise ``PipelineError`` for the first input that is missing, not known, or of the wrong type."""
    known = {one.name: one for one in plan.inputs}
    for name in inputs:
        if name not in known:
            raise PipelineError(f"{plan.name} has no input {name}.", hint=_takes(known, name))
    for one in plan.inputs:
        if one.name in inputs:
            for reader in one.readers:
                _check_value(plan, one, reader, inputs[one.name])
        elif one.is_required:
            written = {name for step in plan.block.steps for name in step.write_names}
            raise _missing(plan, one, (*inputs, *written))


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


def _check_value(plan: Plan, one: PlanInput, reader: Read, value: Any) -> None:
    fault: str | None = None
    if reader.signature is not None and reader.name in {item.name for item in reader.signature.inputs}:
        try:
            reader.signature.validator.validate_field(reader.name, value)
        except ValidationError as error:
            fault = str(error.errors[0]["message"]) if error.errors else error.message
    elif reader.annotation is not Any:
        fault = _fault(reader.annotation, value)
    if fault is not None:
        raise PipelineError(
            f"The input {one.name} does not fit {reader.step}: {fault}",
            reader.step,
            where=_where(plan, reader.step),
            hint=f"It takes {type_text(reader.annotation)}, and got {type(value).__name__}.",
        )


def _fault(annotation: Any, value: Any) -> str | None:
    try:
        adapter = _adapter(annotation)
    except (TypeError, pydantic.errors.PydanticUserError, pydantic.errors.PydanticUndefinedAnnotation):
        return None  # what pydantic cannot check, the function itself will
    try:
        adapter.validate_python(value)
    except pydantic.ValidationError as error:
        return f"{error.errors()[0]['msg']}."
    return None


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
