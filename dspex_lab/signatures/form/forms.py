"""From the fields of a signature to those of a form, and from what a form gives back to values. Pure.

What a form gives is what people typed: the signature's validator has the last word.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dspex_lab.errors import ValidationError
from dspex_lab.signatures.form.controls import control_for
from dspex_lab.signatures.form.files import frame_of_rows, value_of_file
from dspex_lab.signatures.form.form_field import Control, FormField, Uploaded
from dspex_lab.signatures.grammar.writing import annotation_text
from dspex_lab.signatures.types.field import Field
from dspex_lab.signatures.types.rebuild import without_metadata
from dspex_lab.signatures.values.wire_types import to_plain

__all__ = ["form_fields", "values_of_form"]

_Fault = dict[str, Any]
#: A value that is longer as JSON is held in Python: nobody edits it by hand.
_MOST_SHOWN_CHARS = 20_000


def form_fields(fields: Iterable[Field], default: Mapping[str, Any] | None = None) -> tuple[FormField, ...]:
    """How each of ``fields`` is asked for; ``default`` stands in the form at first."""
    return tuple(_form_field(one, default or {}) for one in fields)


def values_of_form(fields: Sequence[FormField], raw: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed into a form, as values for the validator. An empty field that may be left out is left out.
    Raises ``ValidationError``, with an entry for each field, for JSON that is none and files that cannot be read."""
    values: dict[str, Any] = {}
    faults: list[_Fault] = []
    for one in fields:
        if one.name not in raw:
            continue
        value = raw[one.name]
        is_blank = isinstance(value, str) and not value
        # An empty text is a text, unless the field may be left out and had none.
        is_text = one.kind == "text" and not one.allows_none and (one.is_required or one.default is not None)
        if value is None or (is_blank and not is_text):
            if one.allows_none:
                values[one.name] = None
            continue
        try:
            values[one.name] = _read(one, value)
        except ValueError as error:
            faults.append({"field": one.name, "message": f"{str(error).rstrip('.')}.", "input": None})
    if faults:
        first = faults[0]
        raise ValidationError(f"`{first['field']}`: {first['message']}", tuple(faults))
    # What the form does not know is the validator's to refuse.
    known = {one.name for one in fields}
    return values | {name: value for name, value in raw.items() if name not in known}


def _read(one: FormField, value: Any) -> Any:
    """The value that was typed or uploaded. Raises ``ValueError`` with a sentence for people."""
    if isinstance(value, Uploaded):
        return value_of_file(one.file_form, value)
    if not isinstance(value, str):
        return value
    if one.kind == "lines":
        return [line.strip() for line in value.splitlines() if line.strip()]
    if one.kind in ("json", "table"):
        try:
            found = json.loads(value)
        except ValueError as error:
            raise ValueError(f"It is no JSON: {error}") from None
        return frame_of_rows(found) if one.file_form == "frame" else found
    if one.file_form == "bytes":
        return value.encode()
    return value


def _form_field(one: Field, default: Mapping[str, Any]) -> FormField:
    control = control_for(one.annotation)
    start, held = _start(control, default.get(one.name, one.default if one.has_default else None))
    return FormField(
        **{part.name: getattr(control, part.name) for part in dataclasses.fields(control)},
        name=one.name,
        type_text=_type_text(one),
        description=one.description,
        constraints=one.constraints,
        is_required=not (one.has_default or control.allows_none),
        default=start,
        held=held,
    )


def _start(control: Control, value: Any) -> tuple[Any, str]:
    """What stands in the form at first, as plain data, and what is said of a value that does not stand in it."""
    if control.kind == "file":
        url = value if isinstance(value, str) else getattr(value, "url", None)
        is_shown = isinstance(url, str) and len(url) < _MOST_SHOWN_CHARS
        return (url, "") if is_shown or value is None else (None, f"{type(value).__name__}, given in Python")
    if control.file_form == "frame" and value is not None:
        return None, f"{type(value).__name__}, {' × '.join(map(str, getattr(value, 'shape', ())))}"
    shown = to_plain(value)
    try:
        is_small = len(json.dumps(shown)) < _MOST_SHOWN_CHARS
    except (TypeError, ValueError):
        return None, f"{type(value).__name__}, given in Python"
    if is_small or isinstance(shown, str):
        return shown, ""
    length = f" of {len(value)}" if hasattr(value, "__len__") else ""
    return None, f"{type(value).__name__}{length}, given in Python"


def _type_text(one: Field) -> str:
    """The type as it was written; what ``Annotated`` adds is said by the constraints."""
    if one.constraints or not one.annotation_text:
        return annotation_text(without_metadata(one.annotation), {})
    return " ".join(one.annotation_text.split())
