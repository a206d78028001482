"""Templates: compiled once, rendered often, always within limits.

Every fault, in the text or while rendering, is a ``TemplateError`` with the line. Knows nothing of pipelines; these
ask a template which variables it reads.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import jinja2
from jinja2 import meta, nodes

from dspex_lab.clock import Clock, SystemClock
from dspex_lab.errors import TemplateError
from dspex_lab.errors.nearest import did_you_mean
from dspex_lab.templates.budget import Budget, LimitReachedError, TemplateLimits, current_budget
from dspex_lab.templates.sandbox import Sandbox, limited

__all__ = ["Template", "compile_template", "render_template"]

_FILE_NAME = "<dspex_lab template>"
_MAX_TEXT = 1_000_000
_MAX_SHOWN = 100
_OTHER_TEMPLATES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template. ``variables`` are the names that it reads from its context."""

    text: str
    variables: frozenset[str]
    _compiled: jinja2.Template = field(repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return compile_template, (self.text,)

    def render(
        self,
        context: Any = None,
        *,
        limits: TemplateLimits | None = None,
        clock: Clock | None = None,
    ) -> str:
        """The text with ``context`` filled in.

        Raises ``TemplateError``, with the line, for a variable that is not there, for an operation that fails or is
        not allowed, and when a limit is reached.
        """
        if context is not None and not hasattr(context, "keys"):
            raise TemplateError(
                f"The context is a mapping of names to values, not a {type(context).__name__}.",
                hint='For example {"name": "Ada"}.',
            )
        values = dict(context or {})
        budget = Budget(limits or TemplateLimits(), (clock or SystemClock()).monotonic)
        token = current_budget.set(budget)
        try:
            pieces = []
            for piece in self._compiled.root_render_func(self._compiled.new_context(values)):
                budget.put_out(len(piece))
                pieces.append(piece)
            return "".join(pieces)
        except Exception as error:  # whatever a filter, an operator or a user's object raises
            raise _placed(_render_error(error, self._compiled, values), self.text) from error
        finally:
            current_budget.reset(token)


def compile_template(text: Any) -> Template:
    """Compile ``text`` (Jinja2); cached by content. Raises ``TemplateError`` with the line."""
    if not isinstance(text, str):
        raise TemplateError(
            f"A template is a text, not a {type(text).__name__}.", hint='For example "Hello {{ name }}".'
        )
    return _compiled_once(text)


@functools.lru_cache(maxsize=512)
def _compiled_once(text: str) -> Template:
    try:
        return _compile(text)
    except TemplateError as error:
        raise _placed(error, text) from error.__cause__


def _compile(text: str) -> Template:
    if len(text) > _MAX_TEXT:
        raise TemplateError(f"The template is longer than {_MAX_TEXT:,} characters.")
    sandbox = _sandbox()
    # Jinja evaluates constant expressions while it compiles: within limits, too.
    token = current_budget.set(Budget(TemplateLimits(), SystemClock().monotonic))
    try:
        tree = sandbox.parse(text)
        _refuse_other_templates(tree)
        variables = frozenset(meta.find_undeclared_variables(tree) - sandbox.globals.keys())
        code = sandbox.compile(limited(tree), filename=_FILE_NAME)
        compiled = jinja2.Template.from_code(sandbox, code, sandbox.globals)
    except TemplateError:
        raise
    except jinja2.TemplateSyntaxError as error:
        message = (error.message or "The template cannot be read").rstrip(".")
        raise TemplateError(f"{message}.", line=error.lineno, hint=_syntax_hint(message)) from error
    except (RecursionError, MemoryError, SyntaxError, LimitReachedError) as error:
        raise TemplateError("The template is nested too deeply.", hint="Split it into several.") from error
    except Exception as error:  # the compiler's own assertions about trees that no person writes
        raise TemplateError(f"The template cannot be compiled: {error}.") from error
    finally:
        current_budget.reset(token)
    return Template(text, variables, compiled)


def render_template(
    template: str | Template,
    context: Any = None,
    *,
    limits: TemplateLimits | None = None,
    clock: Clock | None = None,
) -> str:
    """Render a template, or the text of one, with ``context``, a mapping of names to values. Raises ``TemplateError``,
    as :meth:`Template.render` does."""
    compiled = template if isinstance(template, Template) else compile_template(template)
    return compiled.render(context, limits=limits, clock=clock)


@functools.cache
def _sandbox() -> Sandbox:
    return Sandbox()


def _refuse_other_templates(tree: nodes.Template) -> None:
    for node in tree.find_all(_OTHER_TEMPLATES):
        raise TemplateError(
            f"A template stands alone: there is no {type(node).__name__.lower()} here.",
            line=node.lineno,
            hint="Pass the text in as a variable, or define a macro.",
        )


def _syntax_hint(message: str) -> str | None:
    if "Unexpected end of template" in message:
        return "Close every {% if %}, {% for %} and {% macro %} with its {% end… %}."
    if "No filter named" in message:
        return "The filters are Jinja2's, but for random, urlize and xmlattr."
    return None


def _render_error(error: Exception, compiled: jinja2.Template, values: Mapping[str, Any]) -> TemplateError:
    line = _line_of(error.__traceback__, compiled)
    if isinstance(error, LimitReachedError):
        return TemplateError(str(error), line=line, hint="Make the template do less, or raise its limits.")
    if isinstance(error, jinja2.exceptions.SecurityError):
        return TemplateError(
            f"Not allowed in a template: {_sentence(error)}", line=line, hint="Pass the value itself in the context."
        )
    if isinstance(error, jinja2.UndefinedError):
        return TemplateError(f"A value is missing: {_sentence(error)}", line=line, hint=_name_hint(error, values))
    if isinstance(error, RecursionError):
        return TemplateError("The template calls itself too often.", line=line)
    return TemplateError(f"The template failed with {type(error).__name__}: {_sentence(error)}", line=line)


def _placed(error: TemplateError, text: str) -> TemplateError:
    """``error`` with the line of ``text`` that it names."""
    lines = text.splitlines()
    if error.line is not None and 0 < error.line <= len(lines):
        error.line_text = lines[error.line - 1][:_MAX_SHOWN]
    return error


def _sentence(error: Exception) -> str:
    text = str(error).strip() or "no reason given"
    return text if text.endswith(".") else f"{text}."


def _name_hint(error: Exception, values: Mapping[str, Any]) -> str | None:
    found = re.fullmatch(r"'(.+)' is undefined", str(error))
    if found is None:  # an attribute or an item of something that is there
        return None
    has = f"The context has {', '.join(sorted(map(str, values))[:10])}." if values else "The context is empty."
    return did_you_mean(found[1], values, has)


def _line_of(traceback: TracebackType | None, compiled: jinja2.Template) -> int | None:
    """The template's line at which the error came up, counted from 1."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == _FILE_NAME:
            line = compiled.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line
