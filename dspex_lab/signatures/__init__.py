"""Signatures: grammar, types, validation, prompts and the compile cache. Builds DSPy signatures only when asked to."""

from dspex_lab.signatures.cache import compile_signature
from dspex_lab.signatures.compiled import CompiledSignature, SignatureSource
from dspex_lab.signatures.completion import completions
from dspex_lab.signatures.form.files import describe_file
from dspex_lab.signatures.form.form_field import FieldKind, FormField, Uploaded
from dspex_lab.signatures.form.forms import form_fields, values_of_form
from dspex_lab.signatures.grammar.grammar import lint, parse_signature
from dspex_lab.signatures.stream import FieldStream
from dspex_lab.signatures.types.assumed import ASSUMED_VALUE, Assumed
from dspex_lab.signatures.types.field import MISSING, Field, Signature
from dspex_lab.signatures.values.wire_types import Serializable, from_wire, register_wire_type, to_plain, to_wire

__all__ = [
    "ASSUMED_VALUE",
    "MISSING",
    "Assumed",
    "CompiledSignature",
    "Field",
    "FieldKind",
    "FieldStream",
    "FormField",
    "Serializable",
    "Signature",
    "SignatureSource",
    "Uploaded",
    "compile_signature",
    "completions",
    "describe_file",
    "form_fields",
    "from_wire",
    "lint",
    "parse_signature",
    "register_wire_type",
    "to_plain",
    "to_wire",
    "values_of_form",
]
