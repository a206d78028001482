"""How a signature looks: one line, a few lines of text, or a small card of HTML that needs no style sheet."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from dspex_lab.signatures.grammar.writing import annotation_text
from dspex_lab.signatures.types.field import Field, Signature
from dspex_lab.signatures.types.rebuild import without_metadata

__all__ = ["html_card", "kind_text", "one_line", "text_card"]

_CELL = "padding:0.25em 0.9em 0.25em 0;text-align:left;vertical-align:top;border:0;background:none;white-space:normal"
_RULE = "border-top:1px solid color-mix(in srgb, currentColor 18%, transparent)"
_FONT = "font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:0.95em"
_CODE = f"{_FONT};padding:0;background:none;color:inherit"


def one_line(signature: Signature) -> str:
    """``<Triage: ticket, language -> category, urgency>``."""
    inputs = ", ".join(item.name for item in signature.inputs)
    outputs = ", ".join(item.name for item in signature.outputs)
    return f"<{signature.name}: {inputs} -> {outputs}>"


def text_card(signature: Signature) -> str:
    """Some lines for a terminal: the name, the instructions, and one line for each field."""
    names = max(len(item.name) for item in signature.fields)
    kinds = max(len(kind_text(item)) for item in signature.fields)
    lines = [signature.name, *(f"  {line}" for line in signature.instructions.splitlines())]
    for title, fields in (("in", signature.inputs), ("out", signature.outputs)):
        for item in fields:
            words = "; ".join(filter(None, (item.description, item.constraints)))
            lines.append(f"  {title:>3}  {item.name:<{names}}  {kind_text(item):<{kinds}}  {words}".rstrip())
    return "\n".join(lines)


def html_card(signature: Signature) -> str:
    """A table with inline styles, in the colours of the page around it."""
    rows = "".join(
        _rows(title, fields) for title, fields in (("Inputs", signature.inputs), ("Outputs", signature.outputs))
    )
    instructions = "<br>".join(escape(line) for line in signature.instructions.splitlines())
    return (
        '<div style="display:inline-block;max-width:56em;padding:0.7em 1em 0.5em;border-radius:6px;'
        'border:1px solid color-mix(in srgb, currentColor 25%, transparent)">'
        '<table style="border-collapse:collapse;min-width:24em;margin:0;border:0;color:inherit">'
        f'<caption style="caption-side:top;text-align:left;color:inherit;padding:0 0 0.5em">'
        f'<strong style="font-size:1.1em">{escape(signature.name)}</strong>'
        f'<div style="opacity:0.75;padding-top:0.15em">{instructions}</div></caption>'
        f"{rows}</table></div>"
    )


def _rows(title: str, fields: Iterable[Field]) -> str:
    head = (
        f'<tbody><tr style="background:none"><th scope="rowgroup" colspan="3" style="{_CELL};{_RULE};'
        f'opacity:0.6;font-weight:600;font-size:0.85em">{title}</th></tr>'
    )
    return head + "".join(map(_row, fields)) + "</tbody>"


def _row(item: Field) -> str:
    words = escape(item.description)
    if item.constraints:
        words += f'{"<br>" if words else ""}<small style="opacity:0.7">{escape(item.constraints)}</small>'
    return (
        f'<tr style="background:none"><th scope="row" style="{_CELL};font-weight:600">'
        f'<code style="{_CODE}">{escape(item.name)}</code></th>'
        f'<td style="{_CELL}"><code style="{_CODE};opacity:0.85">{escape(kind_text(item))}</code></td>'
        f'<td style="{_CELL}">{words}</td></tr>'
    )


def kind_text(item: Field) -> str:
    """The type as it was written; what ``Annotated`` adds is said in words beside it."""
    kind = " ".join((item.annotation_text or "str").split())
    if item.constraints:
        kind = annotation_text(without_metadata(item.annotation), {})
    return f"{kind} = {item.default!r}" if item.has_default else kind
