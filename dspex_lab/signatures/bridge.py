"""To DSPy and back: the only module of the room that imports DSPy, and only when one of its functions is called."""

from __future__ import annotations

import warnings
from typing import Any, get_args

from pydantic_core import PydanticUndefined

from dspex_lab.errors import SignatureError
from dspex_lab.signatures.grammar.writing import annotation_text, signature_text
from dspex_lab.signatures.types.dspy_types import real_annotation, stand_in_for
from dspex_lab.signatures.types.field import MISSING, Field, Signature
from dspex_lab.signatures.types.rebuild import annotate, rebuild

__all__ = ["from_dspy", "is_dspy_signature", "to_dspy"]

_UNTYPED = "IS_TYPE_UNDEFINED"


def is_dspy_signature(source: Any) -> bool:
    """Whether ``source`` is a class derived from ``dspy.Signature``; asks without importing DSPy."""
    return isinstance(source, type) and any(
        base.__name__ == "Signature" and base.__module__.startswith("dspy.") for base in source.__mro__
    )


def to_dspy(signature: Signature) -> Any:
    """The real ``dspy.Signature`` class for ``signature``: same fields, types, defaults, constraints, descriptions.

    A signature in the string form gives exactly what ``dspy.Signature(text)`` gives.
    """
    from dspy.signatures.signature import make_signature

    fields = {item.name: (real_annotation(item.annotation), _dspy_field(item, signature)) for item in signature.fields}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pydantic warns of names such as `schema`; DSPy lives with them
        try:
            return make_signature(fields, signature.instructions, signature_name=signature.name)
        except (NameError, TypeError, ValueError) as error:
            raise SignatureError(
                f"DSPy does not take this signature: {str(error).splitlines()[0]}",
                signature.text,
                hint="Give the field that is named in the message another name or type.",
            ) from error


def _dspy_field(item: Field, signature: Signature) -> Any:
    import dspy

    options: dict[str, Any] = {}
    if item.is_input:
        options[_UNTYPED] = not item.annotation_text
    if item.description and signature.form == "cell":
        options["desc"] = item.description
    if item.has_default:
        options["default"] = item.default
    made = (dspy.InputField if item.is_input else dspy.OutputField)(**options)
    if item.constraints:
        made.json_schema_extra["constraints"] = item.constraints
    return made


def from_dspy(source: Any) -> Signature:
    """The signature that a ``dspy.Signature`` class describes, with a text from which it can be read again."""
    namespace: dict[str, Any] = {}
    fields = [_field(name, info, namespace) for name, info in source.fields.items()]
    inputs = tuple(item for item in fields if item.is_input)
    outputs = tuple(item for item in fields if not item.is_input)
    if not inputs or not outputs:
        raise SignatureError(
            f"The signature {source.__name__} has no {'input' if not inputs else 'output'} field.", source.signature
        )
    return Signature(
        name=source.__name__,
        instructions=source.instructions,
        inputs=inputs,
        outputs=outputs,
        text=signature_text(source.instructions, inputs, outputs, form="cell"),
        namespace=namespace,
        name_roots=frozenset(namespace),
    )


def _field(name: str, info: Any, namespace: dict[str, Any]) -> Field:
    extra = info.json_schema_extra
    described = extra.get("desc") or ""
    bare = rebuild(info.annotation, stand_in_for)
    kept = [item for item in info.metadata if not get_args(item)]
    annotation = annotate(bare, (_constraint_info(kept),)) if kept else bare
    is_untyped = bool(extra.get(_UNTYPED))
    return Field(
        name=name,
        annotation=annotation,
        annotation_text="" if is_untyped else annotation_text(annotation, namespace),
        description="" if described == f"${{{name}}}" else described,
        is_input=extra["__dspy_field_type"] == "input",
        default=_default(info, is_input=extra["__dspy_field_type"] == "input"),
        constraints=extra.get("constraints") or "",
    )


def _default(info: Any, *, is_input: bool) -> Any:
    """The field's default as DSPy uses it: a factory counts for outputs only."""
    if info.default is not PydanticUndefined:
        return info.default
    return MISSING if is_input or info.default_factory is None else info.get_default(call_default_factory=True)


def _constraint_info(metadata: list[Any]) -> Any:
    """One FieldInfo with all that ``metadata`` says, when pydantic can put it back into options."""
    from pydantic import Field as PydanticField

    options: dict[str, Any] = {}
    for item in metadata:
        values = getattr(item, "__dict__", None) or {
            slot: getattr(item, slot) for slot in getattr(type(item), "__slots__", ())
        }
        options.update({key: value for key, value in values.items() if value is not None})
    return PydanticField(**options)
