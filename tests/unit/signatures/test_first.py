"""The first way through the room: text in, checked values and a schema out."""

from __future__ import annotations

from dspex_lab.signatures import compile_signature

TRIAGE = '''"""Route a support ticket to the right team."""
ticket: str                                    # the customer's words
language: str = "en"
->
category: Literal["billing", "bug", "feature"]
urgency: Annotated[int, Field(ge=1, le=5)]     # 5 is drop everything
reply: str | None
'''


def test_cell_form_compiles_to_schema_in_field_order() -> None:
    """The outputs' schema lists the properties in the order of the cell."""
    assert list(compile_signature(TRIAGE, name="Triage").json_schema["properties"]) == ["category", "urgency", "reply"]
