"""``%lab panel``: which panels there are, and what is said of others."""

from __future__ import annotations

from typing import Any

import pytest

from dspex_lab.errors import ConfigurationError
from dspex_lab.magics import panel_commands
from dspex_lab.magics.completion import complete
from dspex_lab.magics.lab_magic import run_command


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was shown, in place of showing it."""
    shown: list[tuple[Any, ...]] = []
    panels = {name: lambda name=name: shown.append((name,)) for name in panel_commands.PANELS}
    monkeypatch.setattr(panel_commands, "PANELS", panels)
    monkeypatch.setattr(panel_commands, "show_trace", lambda *given: shown.append(("trace", *given)))
    return shown


@pytest.mark.parametrize("line", ["pools", "metrics", "trace", "trace 3f2a"])
def test_a_panel_is_shown_by_its_name(shown: list[tuple[Any, ...]], line: str) -> None:
    """The line shows the panel, and has no value of its own."""
    assert run_command(f"panel {line}") is None
    assert shown == [tuple(line.split())]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("panel", "Which panel"),
        ("panel pool", "Did you mean %lab panel pools"),
        ("panel pools 3", "There is no panel 'pools 3'"),
    ],
)
def test_what_is_no_panel_is_refused(shown: list[tuple[Any, ...]], line: str, said: str) -> None:
    """The error names what there is."""
    with pytest.raises(ConfigurationError) as caught:
        run_command(line)
    assert said in f"{caught.value.message} {caught.value.hint}"
    assert shown == []


def test_panels_are_offered() -> None:
    """Tab knows their names."""
    line = "%lab panel "
    assert complete(line, len(line), {}).words == ("pools", "metrics", "trace")
