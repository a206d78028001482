"""What a run looks like to people: one frozen :class:`RunView`, moved on by events, and its text and HTML forms."""

from dspex_lab.telemetry.run_view.html import render_html, render_questions_html
from dspex_lab.telemetry.run_view.reducer import RunView
from dspex_lab.telemetry.run_view.steps import StepStatus, StepView, StreamedText
from dspex_lab.telemetry.run_view.text import render_questions_text, render_text

__all__ = [
    "RunView",
    "StepStatus",
    "StepView",
    "StreamedText",
    "render_html",
    "render_questions_html",
    "render_questions_text",
    "render_text",
]
