"""Sandboxed Jinja2 templates, within limits. Jinja2 is loaded with the first use of this room."""

from __future__ import annotations

from dspex_lab.templates.budget import TemplateLimits
from dspex_lab.templates.template import Template, compile_template, render_template

__all__ = ["Template", "TemplateLimits", "compile_template", "render_template"]
