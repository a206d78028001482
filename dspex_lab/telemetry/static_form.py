"""What the static forms of runs and panels are made of: HTML with inline styles only, and text.

It stays readable where styles are taken away; colours come from the JupyterLab theme where there is one, else from the
text's own colour. Every value is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

__all__ = [
    "DIGITS",
    "FRAME",
    "LINE",
    "NO_MATH",
    "TABLE",
    "box",
    "cells",
    "columns",
    "head",
    "no_math",
    "sparkline",
    "table",
]

#: Text of models and users is no formula: the classes that MathJax passes over, of its versions 2 and 3.
NO_MATH: Final = "tex2jax_ignore mathjax_ignore"
LINE: Final = "color-mix(in srgb, currentColor 14%, transparent)"
_FAINT = "opacity: 0.7"
#: JupyterLab lays tables out in equal columns, to the right, with stripes, if they do not say otherwise.
TABLE: Final = "width: 100%; table-layout: auto; border-collapse: collapse; margin: 0; border: 0; font-size: 13px"
_CELL = "padding: 3px 14px 3px 0; border: 0; background: none; vertical-align: top; line-height: 1.5"
DIGITS: Final = "font-variant-numeric: tabular-nums; white-space: nowrap"
FRAME: Final = (
    f"border: 1px solid {LINE}; border-radius: 8px; margin: 4px 0; padding-bottom: 6px; overflow: hidden; "
    "font: 13px/1.5 var(--jp-ui-font-family, system-ui, sans-serif)"
)
_BARS = "▁▂▃▄▅▆▇█"


def no_math(text: str) -> str:
    """``text`` for HTML; a dollar stands apart, so that two of them make no formula."""
    return escape(text).replace("$", "<span>$</span>")


def box(*parts: str) -> str:
    """A panel's frame around ``parts``, which are HTML."""
    return f'<div class="{NO_MATH}" style="{FRAME}">{"".join(parts)}</div>'


def head(title: str, about: str = "") -> str:
    """A panel's first line."""
    line = f"padding: 8px 14px; border-bottom: 1px solid {LINE}; margin-bottom: 4px"
    return (
        f'<div style="{line}"><strong style="font-size: 14px">{no_math(title)}</strong>&ensp;'
        f'<span style="{_FAINT}; {DIGITS}">{no_math(about)}</span></div>'
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, digits: Iterable[int] = ()) -> str:
    """A table of HTML cells; the columns in ``digits`` stand to the right."""
    right = set(digits)
    top = cells(headings, right, tag="th") if any(headings) else ""
    body = "".join(cells(row, right) for row in rows)
    thead = f"<thead>{top}</thead>" if top else ""
    return f'<div style="padding: 2px 0 2px 14px"><table style="{TABLE}">{thead}<tbody>{body}</tbody></table></div>'


def cells(row: Sequence[str], right: Iterable[int] = (), *, tag: str = "td") -> str:
    """One row of a table."""
    faint = f"; {_FAINT}; font-weight: 400; font-size: 12px" if tag == "th" else ""
    scope = ' scope="col"' if tag == "th" else ""
    made = []
    for place, cell in enumerate(row):
        side = "right" if place in right else "left"
        number = f"; {DIGITS}" if place in right else ""
        style = f"{_CELL}; text-align: {side}{number}{faint}"
        made.append(f'<{tag}{scope} align="{side}" style="{style}">{cell}</{tag}>')
    return f'<tr style="background: none">{"".join(made)}</tr>'


def columns(rows: Iterable[Sequence[str]], *, right: Iterable[int] = (), gap: str = "  ") -> str:
    """Rows of plain text in columns, for terminals."""
    kept, to_right = [tuple(row) for row in rows], set(right)
    widths = [max(map(len, column), default=0) for column in zip(*kept, strict=True)]
    lines = []
    for row in kept:
        parts = [
            cell.rjust(width) if place in to_right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(gap.join(parts).rstrip())
    return "\n".join(lines)


def sparkline(values: Sequence[float], *, width: int = 40) -> str:
    """``▁▂▅█``: the values from the oldest on, at most ``width`` bars, each the mean of its share; "" without any."""
    if not values:
        return ""
    share = max(1.0, len(values) / width)
    bars = [
        values[int(place * share) : max(int(place * share) + 1, int((place + 1) * share))] for place in range(width)
    ]
    means = [sum(one) / len(one) for one in bars if one]
    top = max(means)
    return "".join(_BARS[round((len(_BARS) - 1) * max(0.0, one) / top)] if top > 0 else _BARS[0] for one in means)
