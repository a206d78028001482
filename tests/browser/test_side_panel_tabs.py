"""The side panel and its tabs with no notebook open: questions are answered, steps run again, figures drawn; nothing is
wrong for screen readers, in both themes. The notebook that has the runs is this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Locator, Page, expect

from dspex_lab.errors import LabError
from dspex_lab.lab import Lab
from dspex_lab.pipelines import Pipeline, Run, ask, native, parallel
from dspex_lab.settings import Settings
from tests.browser.panel_harness.stage import SCREENSHOTS, axe_violations, sticks_out

if TYPE_CHECKING:
    from tests.browser.conftest import LabServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.usefixtures("ended_host")]

LIMIT_S = 30.0
LIMIT_MS = 60_000
ANSWER = "approved: bool, tone: Literal['calm', 'warm'] = 'calm', stars: Annotated[int, Field(ge=1, le=5)] = 3"
TAB = ".jp-MainAreaWidget:not(.lm-mod-hidden) > .dspex-tab"


class LabPage:
    """A JupyterLab without a notebook, in terms of the side panel and the tab that is seen."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.side = page.locator("#dspex-lab-side")
        self.tab = page.locator(TAB)

    def command(self, name: str, **arguments: Any) -> None:
        """Carry out one of JupyterLab's commands, to its end."""
        run = "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)"
        self.page.evaluate(run, [name, arguments])

    def row(self, kind: str, name: str) -> Locator:
        """The first row of a run or a trace."""
        return self.side.locator(f".dspex-side-{kind}", has_text=name).first

    def set_theme(self, name: str) -> None:
        self.command("apputils:change-theme", theme=f"JupyterLab {name}")
        self.page.wait_for_function(f"document.body.dataset.jpThemeName === 'JupyterLab {name}'")
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)

    def picture(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(400)  # the style sheets' fading, for the picture's sake
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def faults(self, selector: str) -> list[str]:
        """What is wrong for screen readers, and what is wider than the place it is in."""
        return axe_violations(self.page, selector) + sticks_out(self.page, selector)


@pytest.fixture
def lab_page(page: Page, lab_server: LabServer) -> LabPage:
    """Opened on the side panel, in the light theme."""
    page.goto(f"{lab_server.url}lab/workspaces/side?reset&token={lab_server.token}")
    page.wait_for_function("() => window.jupyterapp !== undefined", timeout=LIMIT_MS)
    page.evaluate("async () => { await window.jupyterapp.restored; }")
    made = LabPage(page)
    made.command("dspex-lab:show")
    expect(made.side).to_be_visible()
    made.set_theme("Light")
    return made


@pytest.fixture
def lab(ended_host: None) -> Iterator[Lab]:
    """A notebook's lab, on the host that the side panel looks at."""
    with Lab(Settings.create(preload=())) as lab:
        lab.start()
        yield lab


def _pipeline(lab: Lab, name: str, **steps: Any) -> Pipeline:
    return Pipeline(name, steps, start=lab.launcher.start, start_batch=lab.batches.begin)


def _review(lab: Lab) -> Run:
    """A run that asks."""
    return _pipeline(
        lab,
        "review",
        reply=native(lambda name: f"Dear {name}, we have refunded the second charge.", writes="reply"),
        check=ask("Is this reply all right?", shows=["reply"], answer=ANSWER),
        verdict=native(lambda approved, tone, stars: f"{approved} {tone} {stars}", writes="verdict"),
    ).submit(name="Ada")


def _content(lab: Lab) -> None:
    """Runs in every state, a trace with steps in steps, calls that failed."""
    _review(lab)
    both = parallel(summary=native(lambda text: text[:9]), mood=native(lambda text: "calm"))
    _pipeline(lab, "support", text=native(lambda ticket: ticket), both=both).submit(ticket="Charged twice").result(
        LIMIT_S
    )
    broken = native(lambda text: int(text), writes="number")
    runs = [_pipeline(lab, "numbers_of_last_weeks_orders_by_customer", number=broken).submit(text="no number " * 12)]
    runs.append(_review(lab))
    runs[-1].cancel()
    with lab.session() as session:
        for exponent in (1, 2, "no number"):
            with contextlib.suppress(LabError):
                session.call(pow, 2, exponent)
    for run in runs:
        with contextlib.suppress(LabError):
            run.result(LIMIT_S)


def test_a_run_is_answered_and_run_again_in_its_tab(lab_page: LabPage, lab: Lab) -> None:
    """A wrong answer is told at its field, the right one lets the run go on; a step of the run that is over is run
    again in a tab of its own; when the notebook is gone, nothing more is offered."""
    run = _review(lab)
    expect(lab_page.page.locator(".dspex-status")).to_contain_text("1 to answer", timeout=LIMIT_MS)
    lab_page.row("run", "review").get_by_role("button", name="Answer review").click()
    form = lab_page.tab.locator("form.dspex-question")
    expect(form.get_by_label("approved")).to_be_focused(timeout=LIMIT_MS)
    keyboard = lab_page.page.keyboard
    keyboard.press("Space")
    form.get_by_label("stars").fill("9")
    keyboard.press("Control+Enter")
    expect(form.get_by_role("alert").filter(has_text="less than or equal to 5")).to_be_visible(timeout=LIMIT_MS)
    expect(form.get_by_label("stars")).to_be_focused()
    lab_page.picture("side-panel-answer-refused")
    form.get_by_label("stars").fill("4")
    form.get_by_role("button", name="Answer").click()
    assert run.result(LIMIT_S)["verdict"] == "True calm 4"
    expect(lab_page.tab).to_contain_text("succeeded", timeout=LIMIT_MS)
    expect(form).to_have_count(0)
    lab_page.tab.get_by_role("button", name="Run again from verdict").click()
    expect(lab_page.page.locator(".lm-TabBar-tab", has_text="review")).to_have_count(2, timeout=LIMIT_MS)
    expect(lab_page.tab).to_contain_text("succeeded", timeout=LIMIT_MS)
    expect(lab_page.tab.locator(".dspex-step", has_text="check").first).to_contain_text("kept")
    lab_page.picture("side-panel-run-again")
    lab.close()
    lab_page.tab.get_by_role("button", name="Run again from verdict").click()
    expect(lab_page.tab).to_contain_text("has ended", timeout=LIMIT_MS)
    expect(lab_page.tab).to_contain_text(".resume() continues it")
    lab_page.picture("side-panel-owner-gone")


def test_the_metrics_are_drawn_without_a_kernel_and_a_network(lab_page: LabPage, lab_server: LabServer) -> None:
    """Without a host the tab says so; with one its charts are plotly's, which comes from the server itself."""
    asked: list[str] = []
    lab_page.page.on("request", lambda request: asked.append(request.url))
    lab_page.side.get_by_role("button", name="Show the metrics").click()
    expect(lab_page.tab.locator(".dspex-metrics")).to_contain_text("No pool host runs.", timeout=LIMIT_MS)
    lab_page.picture("side-panel-metrics-empty")
    with Lab(Settings.create(preload=())) as lab, lab.session() as session:
        session.call(pow, 2, 3)
        expect(lab_page.tab.locator(".dspex-mv-plot .main-svg").first).to_be_visible(timeout=LIMIT_MS)
        session.call(pow, 2, 4)
        calls = lab_page.tab.get_by_role("row", name="python.call").get_by_role("cell").nth(1)
        expect(calls).to_have_text("2", timeout=LIMIT_MS)
    assert [url for url in asked if not url.startswith((lab_server.url, "blob:", "data:"))] == []


def test_nothing_is_wrong_for_screen_readers(lab_page: LabPage, lab: Lab) -> None:
    """axe-core finds nothing in the side panel, which is as narrow as JupyterLab lets it be, nor in any tab, in both
    themes; nothing sticks out."""
    _content(lab)
    expect(lab_page.row("run", "support")).to_be_visible(timeout=LIMIT_MS)
    faults: dict[str, list[str]] = {}
    for theme in ("Light", "Dark"):
        lab_page.set_theme(theme)
        for name, open_tab in _tabs(lab_page).items():
            open_tab()
            expect(lab_page.tab.locator(".dspex-panel, .dspex-run").first).to_be_visible(timeout=LIMIT_MS)
            if name == "metrics":
                expect(lab_page.tab.locator(".main-svg").first).to_be_visible(timeout=LIMIT_MS)
            lab_page.picture(f"side-panel-tab-{name}-{theme.lower()}")
            faults[f"{name} {theme}"] = lab_page.faults(TAB)
        faults[f"side {theme}"] = lab_page.faults("#dspex-lab-side")
    lab_page.set_theme("Light")
    assert {place: found for place, found in faults.items() if found} == {}


def _tabs(lab_page: LabPage) -> dict[str, Callable[[], object]]:
    """How each kind of tab is opened."""
    return {
        "metrics": lambda: lab_page.command("dspex-lab:show-metrics"),
        "pools": lambda: lab_page.command("dspex-lab:open-pools"),
        "waiting": lambda: lab_page.row("run", "waiting").get_by_role("button", name="Answer").click(),
        "run": lambda: lab_page.row("run", "support").click(),
        "failed": lambda: lab_page.row("run", "numbers").click(),
        "trace": lambda: lab_page.row("trace", "support").click(),
    }
