"""A page with one view on it and no JupyterLab: the shared modules, JupyterLab's own themes, made-up data.

So that what a view shows can be looked at, measured and checked for accessibility within a second; how it talks to a
kernel is tried in JupyterLab itself.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from dspex_lab.widgets.modules import read_module

__all__ = ["SCREENSHOTS", "axe_violations", "open_stage", "sticks_out", "task_times_ms"]

ROOT = Path(__file__).parents[3]
SCREENSHOTS = ROOT / "build" / "screenshots"
STATIC = ROOT / "dspex_lab" / "widgets" / "static"
THEMES = Path(sys.prefix) / "share" / "jupyter" / "lab" / "themes" / "@jupyterlab"
#: What a view is given: orders are written down, and answered by what the test scripted.
ACTIONS = """
globalThis.ordered = [];
globalThis.answers = {};
const actions = new Proxy({}, { get: (_, name) => name === "then" ? undefined : async (...args) => {
  globalThis.ordered.push([name, ...args]);
  const answer = globalThis.answers[name];
  if (answer?.error) throw Object.assign(new Error(answer.error), { hint: answer.hint ?? "" });
  return answer;
} });
"""


def open_stage(
    page: Page,
    module: str,
    view: str,
    styles: tuple[str, ...],
    state: Mapping[str, Any],
    *,
    theme: str = "light",
    made: str = "",
) -> None:
    """Show ``view`` of ``module`` with ``state``; it is ``window.view`` then. ``made`` is how the page makes it, of
    ``el``, ``actions`` and ``signal``. Without a ``theme`` there is no JupyterLab, only the browser's own colours."""
    code = read_module(STATIC / module)
    css = "\n".join((STATIC / name).read_text() for name in styles)
    themed = (
        (THEMES / f"theme-{theme}-extension" / "index.css").read_text() if theme else ":root{color-scheme:light dark}"
    )
    told = json.dumps(state).replace("</", "<\\/")
    body = (
        "background: var(--jp-layout-color0, Canvas); margin: 0; padding: 12px; font-family: var(--jp-ui-font-family)"
    )
    page.set_content(
        f'<!doctype html><html lang="en"><head><title>Stage</title><style>{themed}\n{css}</style></head>'
        f'<body data-jp-theme-light="{str(theme == "light").lower()}" style="{body}">'
        f'<main id="stage"></main><script type="module">{code}\n{ACTIONS}\n'
        f'const el = document.querySelector("#stage"), {{ signal }} = new AbortController();\n'
        f"globalThis.view = {made or f'new {view}(el, actions, signal)'};\n"
        f"view.set({told});\n</script></body></html>"
    )
    page.wait_for_function("globalThis.view !== undefined")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def task_times_ms(page: Page, *scripts: str) -> list[float]:
    """How long each task of the page's main thread computed while ``scripts`` ran, the longest first: its own time on
    the processor, so that a machine that others use as well does not count."""
    browser = page.context.browser
    assert browser is not None
    browser.start_tracing(page=page, categories=["toplevel"])
    for script in scripts:
        page.evaluate(script)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    names = [one for one in events if one.get("name") == "thread_name" and one["args"]["name"] == "CrRendererMain"]
    mains = {(one["pid"], one["tid"]) for one in names}
    tasks = [one for one in events if "RunTask" in one.get("name", "") and (one["pid"], one["tid"]) in mains]
    return sorted((one.get("tdur", 0) / 1000 for one in tasks), reverse=True)


def axe_violations(page: Page, selector: str) -> list[str]:
    """What axe-core finds wrong below ``selector``: rule, what it says, and where."""
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    page.evaluate((Path(spec.origin).parent / "axe.min.js").read_text())
    found = page.evaluate("(selector) => axe.run(selector)", selector)
    return [
        f"{one['id']}: {one['help']}: {node['html'][:160]} {node['any'][0]['message'] if node['any'] else ''}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def sticks_out(page: Page, selector: str) -> list[str]:
    """What is wider than the panel ``selector``, but for what scrolls or is meant to be cut."""
    found: list[str] = page.evaluate(_STICKS_OUT, selector)
    return found


_STICKS_OUT = """(selector) => {
  const panel = document.querySelector(selector);
  const { right } = panel.getBoundingClientRect();
  const cuts = (node) => getComputedStyle(node).overflowX !== "visible";
  const isCut = (node) => node !== panel && (cuts(node) || isCut(node.parentElement));
  const isOut = (node) => node.getClientRects().length && node.getBoundingClientRect().right > right + 0.5;
  return [...panel.querySelectorAll("*")]
    .filter((node) => isOut(node) && !isCut(node.parentElement))
    .map((node) => `${node.tagName} ${node.className}`);
}"""
