"""What a saved notebook shows of a live panel, without a kernel: as nbconvert writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbconvert import HTMLExporter, MarkdownExporter

from dspex_lab.telemetry.spans import Span
from dspex_lab.widgets.live_panel import LivePanel
from dspex_lab.widgets.trace_panel import trace_subject

if TYPE_CHECKING:
    from tests.unit.widgets.conftest import Front


@pytest.fixture
def notebook(front: Front) -> Any:
    """A notebook with what a trace's panel put into its cell."""
    spans = [Span("a" * 32, "b" * 16, None, "answer <b>", 1.0, 2.0, "ok", {"dspex.outputs": {"answer": 42}})]
    panel = LivePanel(trace_subject(lambda: (spans, False)))
    panel.display()
    bundles = [front.next_shown()[0] for _ in range(2)]
    panel.close()
    outputs = [{"output_type": "display_data", "metadata": {}, "data": bundle} for bundle in bundles]
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": 1, "source": "", "outputs": outputs}
    return nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]})  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("exporter", [HTMLExporter, MarkdownExporter])
def test_the_static_form_is_what_is_exported(notebook: Any, exporter: Callable[[], Any]) -> None:
    """The table is there, escaped; of the widget nothing is seen."""
    page, _ = exporter().from_notebook_node(notebook)
    assert "answer &lt;b&gt;" in page
    assert "42" in page
    assert "model_id" not in page


def test_the_form_is_small(notebook: Any) -> None:
    """A saved notebook holds no script and no state of widgets."""
    assert len(json.dumps(notebook)) < 6_000
