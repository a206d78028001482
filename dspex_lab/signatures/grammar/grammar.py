"""Reads a signature: DSPy's string form and the ``%%signature`` cell form are one grammar.

    signature := [docstring] fields "->" fields
    fields    := field { ("," | NEWLINE) field }
    field     := NAME [":" type] ["=" default | "=" Field(...)] ["#" description]

A new line ends a field unless a bracket is open or one of the two lines plainly goes on (``,`` ``:`` ``=`` ``|`` ``->``
at its end or at the start of the next). Linear in the text; the only exception is SignatureError.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from keyword import iskeyword
from types import MappingProxyType
from typing import Any

from dspex_lab.errors import SignatureError
from dspex_lab.signatures.grammar.expressions import MAX_OPERATORS, parse_expression
from dspex_lab.signatures.grammar.layout import Item, Layout, lay_out
from dspex_lab.signatures.grammar.tokens import Source, Token, open_source, tokenize
from dspex_lab.signatures.types.annotations import Resolver
from dspex_lab.signatures.types.constraints import constraint_sentence, field_info
from dspex_lab.signatures.types.field import MISSING, Field, Signature, default_instructions
from dspex_lab.signatures.types.known_types import BUILTIN_TYPES
from dspex_lab.signatures.types.names import Fault, NameTable
from dspex_lab.signatures.types.rebuild import annotate

__all__ = ["lint", "parse_signature"]

#: Names of members of ``dspy.Signature`` that it breaks without, and of arguments that ``dspy.Predict`` takes away.
_NOT_FOR_DSPY = frozenset(
    {
        "fields",
        "input_fields",
        "instructions",
        "model_config",
        "model_dump",
        "model_dump_json",
        "model_validate",
        "model_validate_json",
        "model_validate_strings",
        "output_fields",
        "signature",
    }
)
_NOT_FOR_PREDICT = frozenset({"config", "demos", "lm", "new_signature"})


def parse_signature(text: str, *, name: str = "Signature", namespace: Mapping[str, Any] | None = None) -> Signature:
    """The signature that ``text`` says, in the string form or in the cell form.

    Types are looked up among Python's, the white list and ``namespace``; nothing is evaluated.
    Raises SignatureError with line, column and a hint.
    """
    if not isinstance(text, str):
        raise SignatureError(
            f"A signature is text, not {type(text).__name__}.", hint='Write it as "question -> answer".'
        )
    source = open_source(text)
    return _Reader(source, tokenize(source), NameTable(namespace)).signature(name)


def lint(text: str, *, namespace: Mapping[str, Any] | None = None) -> list[SignatureError]:
    """All that is wrong with ``text``, one error for each field at most; empty when it can be read.

    A fault in the whole (a bracket that is not closed, no arrow) hides the faults of single fields.
    """
    try:
        source = open_source(text)
        reader = _Reader(source, tokenize(source), NameTable(namespace))
        return reader.faults()
    except SignatureError as error:
        return [error]


class _Reader:
    """One reading of one text."""

    def __init__(self, source: Source, tokens: list[Token], names: NameTable) -> None:
        self._source = source
        self._tokens = tokens
        self._names = names
        self._resolver = Resolver(names)
        self._seen: dict[str, Field] = {}

    def signature(self, name: str) -> Signature:
        """The whole signature; SignatureError for its first fault."""
        layout = self._layout()
        inputs = tuple(self._field(item, layout, is_input=True) for item in layout.inputs)
        outputs = tuple(self._field(item, layout, is_input=False) for item in layout.outputs)
        return Signature(
            name=name,
            instructions=layout.docstring or default_instructions(inputs, outputs),
            inputs=inputs,
            outputs=outputs,
            text=self._source.text,
            namespace=MappingProxyType(dict(self._names.used)),
            name_roots=frozenset(self._names.roots),
            form="string" if layout.is_string_form else "cell",
        )

    def faults(self) -> list[SignatureError]:
        """The first fault of each field."""
        layout = self._layout()
        found: list[SignatureError] = []
        for items, is_input in ((layout.inputs, True), (layout.outputs, False)):
            for item in items:
                try:
                    self._field(item, layout, is_input=is_input)
                except SignatureError as error:
                    found.append(error)
        return found

    def _layout(self) -> Layout:
        layout = lay_out(self._source, self._tokens)
        for items, side, hint in (
            (layout.inputs, "input", "Name what goes in before the `->`."),
            (layout.outputs, "output", "Name what comes out after the `->`."),
        ):
            if not items:
                raise self._source.error(f"The signature has no {side} field.", layout.arrow.start, hint=hint)
        return layout

    def _field(self, item: Item, layout: Layout, *, is_input: bool) -> Field:
        tokens = item.tokens
        name = self._name(tokens[0], is_input=is_input)
        colon, equals = self._marks(tokens, name)
        line, column = self._source.place(tokens[0].start)
        annotation_end = tokens[-1].end if equals is None else tokens[equals - 1].end
        annotation: Any = str
        text = ""
        self._resolver.options = {}
        if colon is not None:
            start = tokens[colon].end
            text = self._source.text[start:annotation_end].strip()
            annotation = self._annotation(tokens[colon + 1 : equals], tokens[colon], name)
        options = dict(self._resolver.options)
        default = options.pop("default", MISSING)
        if equals is not None:
            annotation, default, more = self._right_side(tokens, equals, name, annotation)
            options.update(more)
        if default is not MISSING and not is_input:
            raise self._source.error(
                f"The output `{name}` cannot have a default.",
                tokens[equals if equals is not None else 0].start,
                field=name,
                hint="An output that the model may leave out is `type | None`.",
            )
        said = options.pop("desc", None) or options.pop("description", None) or " ".join(filter(None, item.comments))
        options.pop("description", None)
        found = Field(
            name, annotation, text, said, is_input, default, line, column,
            "" if layout.is_string_form else constraint_sentence(options),
        )  # fmt: skip
        self._remember(found, tokens[0])
        return found

    def _name(self, token: Token, *, is_input: bool) -> str:
        """The field's name, normalised as Python does it."""
        hint = None
        if token.kind == "string":
            message = "A string cannot stand here."
            hint = "Instructions come first, before all fields; words about a field go behind a `#`."
        elif token.text == "*":
            message, hint = "A signature has no `*`.", "Name each field."
        elif token.kind != "word":
            message, hint = f"A field cannot begin with `{token.text}`.", "Begin with its name: `question: str`."
        elif not token.text.isidentifier():
            message, hint = f"`{token.text}` is no name.", "Use letters, digits and `_`, and no digit at the start."
        elif iskeyword(token.text):
            message, hint = f"`{token.text}` is a word of Python.", f"Call it `{token.text}_`."
        elif token.text.startswith("_"):
            message, hint = "A field's name cannot begin with `_`.", f"Call it `{token.text.lstrip('_') or 'field'}`."
        elif token.text in _NOT_FOR_DSPY or (is_input and token.text in _NOT_FOR_PREDICT):
            message, hint = f"DSPy keeps the name `{token.text}` for itself.", f"Call it `{token.text}_`."
        else:
            return token.text if token.text.isascii() else unicodedata.normalize("NFKC", token.text)
        raise self._source.error(message, token.start, hint=hint)

    def _marks(self, tokens: list[Token], name: str) -> tuple[int | None, int | None]:
        """Where the field's colon and its equals sign are."""
        colon = equals = None
        operators = 0
        for index, token in enumerate(tokens[1:], start=1):
            operators += token.kind == "other"
            if token.depth:
                continue
            if token.kind == "colon" and colon is None and equals is None:
                colon = index
            elif token.kind == "equals" and equals is None:
                equals = index
        if operators > MAX_OPERATORS:
            raise self._source.error(f"The type of `{name}` is too long to be read.", tokens[0].start, field=name)
        if len(tokens) > 1 and colon != 1 and equals != 1:
            raise self._misplaced(tokens, name)
        return colon, equals

    def _misplaced(self, tokens: list[Token], name: str) -> SignatureError:
        token = tokens[1]
        if token.kind == "word":
            hint = f"Put a comma or a new line between two fields, `:` before a type: `{name}: {token.text}`."
        elif token.text == "-":
            hint = f"A name has no hyphen: `{name}_…`."
        elif token.kind == "open":
            hint = "A type goes behind a colon: `name: list[str]`."
        else:
            hint = "A field is `name`, or `name: type`."
        return self._source.error(
            f"`{token.text}` cannot follow the name `{name}`.", token.start, field=name, hint=hint
        )

    def _annotation(self, tokens: list[Token], colon: Token, name: str) -> Any:
        if not tokens:
            raise self._source.error(
                f"The type of `{name}` is missing.",
                colon.start,
                field=name,
                hint=f"Write `{name}: str`, or drop the `:`.",
            )
        if len(tokens) == 1 and tokens[0].text in BUILTIN_TYPES:
            return BUILTIN_TYPES[tokens[0].text]
        expression = parse_expression(self._source, tokens[0].start, tokens[-1].end, name)
        try:
            return self._resolver.annotation(expression.node)
        except Fault as fault:
            raise expression.error(fault, name) from None
        except RecursionError:
            raise self._source.error(f"The type of `{name}` is nested too deep.", colon.start, field=name) from None

    def _right_side(
        self, tokens: list[Token], equals: int, name: str, annotation: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """What ``= value`` or ``= Field(...)`` says: the annotation with it, the default, and the options."""
        mark = tokens[equals]
        if equals + 1 >= len(tokens):
            raise self._source.error(f"The default of `{name}` is missing.", mark.start, field=name)
        expression = parse_expression(self._source, tokens[equals + 1].start, tokens[-1].end, name)
        try:
            if not self._resolver.is_field_call(expression.node):
                return annotation, self._resolver.value(expression.node), {}
            options = self._resolver.field_options(expression.node)
            self._resolver.fits(expression.node, annotation, options)
        except Fault as fault:
            raise expression.error(fault, name) from None
        default = options.pop("default", MISSING)
        info = field_info(options)
        return annotation if info is None else annotate(annotation, (info,)), default, options

    def _remember(self, found: Field, token: Token) -> None:
        earlier = self._seen.get(found.name)
        if earlier is not None:
            is_both = earlier.is_input != found.is_input
            message = f"`{found.name}` is on both sides." if is_both else f"`{found.name}` is there twice."
            hint = f"Give one of them another name, such as `{'new_' if is_both else 'other_'}{found.name}`."
            raise self._source.error(message, token.start, field=found.name, hint=hint)
        self._seen[found.name] = found
