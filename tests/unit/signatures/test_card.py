"""How a signature looks."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from dspex_lab.signatures import compile_signature

CELL = '''"""Sort <b>it</b>."""
text: str = "a & b"     # the <words>
->
stars: Annotated[int, Field(ge=1)]
'''


class Balance(HTMLParser):
    """Counts what is open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_one_line() -> None:
    """The repr is a line that says name, inputs and outputs."""
    assert repr(compile_signature(CELL, name="Rate")) == "<Rate: text -> stars>"


def test_text_has_a_line_for_each_field() -> None:
    """A terminal sees instructions, types, defaults, descriptions and constraints."""
    assert str(compile_signature(CELL, name="Rate")).split("\n") == [
        "Rate",
        "  Sort <b>it</b>.",
        "   in  text   str = 'a & b'  the <words>",
        "  out  stars  int            greater than or equal to: 1",
    ]


def test_html_is_balanced_and_escaped() -> None:
    """What the user wrote is text in the card, never markup."""
    card = compile_signature(CELL, name="<i>Rate</i>")._repr_html_()
    parser = Balance()
    parser.feed(card)
    assert parser.open == []
    assert "<b>" not in card
    assert "<i>" not in card
    assert "the &lt;words&gt;" in card


def test_html_fixes_no_colours() -> None:
    """The card takes the colours of the page around it, light or dark."""
    card = compile_signature(CELL)._repr_html_()
    assert "currentColor" in card
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgb\(", card)
