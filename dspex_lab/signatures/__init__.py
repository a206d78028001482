"""Signatures: grammar, types, validation, prompts and the compile cache. Builds DSPy signatures only when asked to."""

from dspex_lab.signatures.cache import compile_signature
from dspex_lab.signatures.compiled import CompiledSignature, SignatureSource
from dspex_lab.signatures.completion import completions
from dspex_lab.signatures.field import MISSING, Field, Signature
from dspex_lab.signatures.grammar import parse_signature
from dspex_lab.signatures.stream import FieldStream

__all__ = [
    "MISSING",
    "CompiledSignature",
    "Field",
    "FieldStream",
    "Signature",
    "SignatureSource",
    "compile_signature",
    "completions",
    "parse_signature",
]
