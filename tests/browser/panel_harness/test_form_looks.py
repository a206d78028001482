"""The form and the run panel on a stage, without JupyterLab: how they look in both themes, with much and little room;
that axe-core finds no fault; that the keyboard goes everywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.panel_harness.looks import RUNS, form_of, support_graph, support_run, triage_run
from tests.browser.panel_harness.stage import SCREENSHOTS, axe_violations, open_stage, sticks_out

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

WIDTHS = {"wide": 960, "narrow": 360}
NAME_OF_FOCUSED = "() => document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent"
STYLES = ("tokens.css", "run_panel.css", "graph.css", "form.css")


def open_run(page: Page, status: str, *, theme: str = "light") -> None:
    made = f"new RunView(el, actions, signal, {json.dumps(support_graph())})"
    open_stage(page, "run_view.js", "RunView", STYLES, support_run(status), theme=theme, made=made)


def open_form(page: Page, name: str, state: dict[str, Any], *, theme: str = "light") -> None:
    made = f"new FormView(el, {json.dumps(form_of(name))}, actions, signal, {{}})"
    open_stage(page, "form_view.js", "FormView", STYLES, state, theme=theme, made=made)


def check_looks(page: Page, panel: str, name: str) -> None:
    """Pictures with much and little room; nothing sticks out, and axe-core finds nothing."""
    for width, pixels in WIDTHS.items():
        page.set_viewport_size({"width": pixels, "height": 1400})
        page.locator(panel).screenshot(path=SCREENSHOTS / f"{name}-{width}.png")
        assert sticks_out(page, panel) == []
    assert axe_violations(page, panel) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("status", RUNS)
def test_a_run_panel_has_no_fault_and_fits(page: Page, status: str, theme: str) -> None:
    """In every state that a run can be in."""
    open_run(page, status, theme=theme)
    if status == "failed":
        page.locator("summary:visible", has_text="Traceback").click()
    check_looks(page, ".dspex-run", f"run-{status}-{theme}")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("case", ["empty", "running", "succeeded", "failed", "everything", "faults"])
def test_a_form_has_no_fault_and_fits(page: Page, case: str, theme: str) -> None:
    """Empty, with an answer on its way, at its end, refused, and with every kind of field."""
    state = triage_run(case) if case in ("running", "succeeded", "failed") else {}
    open_form(page, "Everything" if case in ("everything", "faults") else "Triage", state, theme=theme)
    if case == "failed":
        page.locator("summary:visible", has_text="Traceback").click()
    if case == "faults":
        page.get_by_label("extras", exact=True).fill('{\n  "a": 1,\n  "b" 2\n}')
        expect(page.get_by_text("Line 3, column 7")).to_be_visible()
        faults = [{"field": "stars", "message": "Input should be less than or equal to 5."}]
        faults.append({"field": "", "message": "The circuit of local/tiny is open: 5 calls failed."})
        page.evaluate("(faults) => view.refuse('', faults)", faults)
    check_looks(page, ".dspex-form", f"form-{case}-{theme}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_a_theme_the_page_s_colours_are_taken(page: Page, scheme: str) -> None:
    """Where there is no JupyterLab, the colour scheme that the reader prefers."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    open_form(page, "Triage", triage_run("succeeded"), theme="")
    page.locator("main").screenshot(path=SCREENSHOTS / f"form-no-theme-{scheme}.png")
    assert axe_violations(page, ".dspex-form") == []


def test_every_control_is_reached_by_tab(page: Page) -> None:
    """In the order in which they stand, and each has a name."""
    open_form(page, "Everything", {})
    page.get_by_label("ticket", exact=True).focus()
    names = []
    for _ in range(40):
        names.append(page.evaluate(NAME_OF_FOCUSED))
        if names[-1] == "Run":
            break
        page.keyboard.press("Tab")
    wanted = ["ticket", "stars", "weight", "mood", "tags", "billing", "bugs", "sales", "urgent", "since", "extras"]
    assert [name for name in dict.fromkeys(names) if name in wanted] == wanted
    assert names[-1] == "Run"


def test_json_is_set_in_order_and_keeps_its_indent(page: Page) -> None:
    """By a button, and as one types; it can be undone."""
    open_form(page, "Everything", {})
    extras = page.get_by_label("extras", exact=True)
    extras.fill('{"a":1,"b":2}')
    extras.press("Alt+Shift+F")
    expect(extras).to_have_value('{\n  "a": 1,\n  "b": 2\n}')
    extras.press("Control+z")
    expect(extras).to_have_value('{"a":1,"b":2}')
    extras.fill("")
    page.keyboard.type('{\n"a": 1')
    expect(extras).to_have_value('{\n  "a": 1')
    extras.fill("{}")
    extras.press("ArrowLeft")
    extras.press("Enter")
    expect(extras).to_have_value("{\n  \n}")


def test_a_form_runs_once(page: Page) -> None:
    """However often one presses; what was filled in is handed over as it stands."""
    open_form(page, "Triage", {})
    page.get_by_label("ticket", exact=True).fill("help")
    for _ in range(3):
        page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Running…").click(force=True)
    ran = page.evaluate("() => ordered.filter(([name]) => name === 'run')")
    assert ran == [["run", {"ticket": "help", "language": "en"}]]
    page.evaluate("(faults) => view.refuse('', faults)", [{"field": "language", "message": "No such language."}])
    expect(page.get_by_label("language", exact=True)).to_be_focused()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_visible()
