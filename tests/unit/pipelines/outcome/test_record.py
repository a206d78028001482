"""The read-only record."""

from __future__ import annotations

import pickle

import pytest

from dspex_lab.pipelines import Record

RECORD = Record({"category": "billing", "urgency": 5})


def test_a_field_is_reached_by_attribute_and_item() -> None:
    """Both ways lead to the same value; it is a mapping too."""
    assert (RECORD.category, RECORD["urgency"]) == ("billing", 5)
    assert RECORD == {"category": "billing", "urgency": 5}


def test_nothing_can_be_set() -> None:
    """A record is read-only."""
    with pytest.raises(AttributeError, match="read-only"):
        RECORD.category = "bug"
    with pytest.raises(AttributeError, match="read-only"):
        del RECORD.category


def test_a_missing_field_names_its_neighbour() -> None:
    """A slip is answered with the nearest field."""
    with pytest.raises(AttributeError, match="Did you mean 'urgency'"):
        _ = RECORD.urgenc
    with pytest.raises(KeyError, match="Did you mean 'category'"):
        _ = RECORD["categry"]


def test_the_text_is_aligned() -> None:
    """One line for each field, the values under one another."""
    assert repr(RECORD) == "category = 'billing'\nurgency  = 5"


def test_html_is_escaped() -> None:
    """What a model wrote is shown, never interpreted."""
    shown = Record({"reply": "<script>alert(1)</script>"})._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_a_record_survives_pickling() -> None:
    """Copies are equal and still read-only."""
    assert pickle.loads(pickle.dumps(RECORD)) == RECORD
