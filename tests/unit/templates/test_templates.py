"""Templates: what they render, which variables they read, and errors with the line."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import decimal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.errors import TemplateError
from dspex_lab.templates import TemplateLimits, compile_template, render_template


@dataclasses.dataclass
class Ticket:
    """A user's value."""

    text: str

    def close(self) -> str:
        return "closed"


TREE = [{"n": 1, "c": [{"n": 2, "c": []}]}]


@pytest.mark.parametrize(
    ("text", "context", "rendered"),
    [
        ("Hello {{ name }}!", {"name": "Ada"}, "Hello Ada!"),
        ("{% for x in xs %}{{ loop.index }}:{{ x }}{{ ', ' if not loop.last }}{% endfor %}", {"xs": "ab"}, "1:a, 2:b"),
        ("{% if a is defined %}yes{% else %}no{% endif %}", {}, "no"),
        ("{{ d.items()|list }}", {"d": {"a": 1}}, "[('a', 1)]"),
        ("{{ t.text|upper }}", {"t": Ticket("hi")}, "HI"),
        ("{{ when.isoformat() }}", {"when": datetime.date(2026, 1, 2)}, "2026-01-02"),
        ("{{ price.quantize(one) }}", {"price": decimal.Decimal("1.5"), "one": decimal.Decimal("0.01")}, "1.50"),
        ("{{ f(2) }}", {"f": lambda x: x + 1}, "3"),
        ("{{ 'a' ~ 1 ~ none }}", {}, "a1None"),
        ("{{ '%s-%03d' % ('a', 7) }} {{ '{:>4}'.format(x) }}", {"x": "b"}, "a-007    b"),
        ("{{ ', '.join(xs) }} {{ xs|join('; ') }}", {"xs": ["a", "b"]}, "a, b a; b"),
        ("{{ [1, 2] + [3] }} {{ 'ab' * 2 }} {{ 2 ** 10 }}", {}, "[1, 2, 3] abab 1024"),
        ("{{ x|tojson(indent=2) }}", {"x": {"a": 1}}, '{\n  "a": 1\n}'),
        ("{% macro q(x) %}<{{ x }}>{% endmacro %}{{ q('a') }}{{ q('b') }}", {}, "<a><b>"),
        ("{% set s = namespace(n=0) %}{% for i in range(4) %}{% set s.n = s.n + i %}{% endfor %}{{ s.n }}", {}, "6"),
        ("{% for k in t recursive %}{{ k.n }}{{ loop(k.c) }}{% endfor %}", {"t": TREE}, "12"),
        ("{{ xs|map(attribute='n')|map('default', '-')|join }}", {"xs": [{"n": 1}, {}]}, "1-"),
        ("{% set x %}a{{ 1 }}b{% endset %}{{ x }}", {}, "a1b"),
        ("<b>{{ x }}</b>", {"x": "<i>"}, "<b><i></b>"),
        ("{% for a, b in xs if a > 1 %}{{ b }}{% else %}none{% endfor %}", {"xs": [(1, "x")]}, "none"),
    ],
)  # fmt: skip
def test_what_templates_render(text: str, context: dict[str, Any], rendered: str) -> None:
    """Jinja2 as people know it; nothing is escaped, for prompts are no web pages."""
    assert render_template(text, context) == rendered


@given(st.text(alphabet=st.characters(exclude_characters="{}#%\r", exclude_categories=["Cs"])))
def test_text_without_marks_is_itself(text: str) -> None:
    """Only a last line break is dropped, as Jinja does."""
    assert render_template(text) == text.removesuffix("\n")


@given(st.text())
def test_a_value_is_put_in_as_it_is(value: str) -> None:
    """Whatever stands in a value, marks of templates too, is text."""
    assert render_template("{{ value }}", {"value": value}) == value


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("{{ a }} {{ b.c }} {{ d['e'] }}", {"a", "b", "d"}),
        ("{% for x in xs %}{{ x }}{{ y }}{{ range(3) }}{{ loop.index }}{% endfor %}", {"xs", "y"}),
        ("{% set a = 1 %}{{ a }}", set()),
        ("{% macro m(x) %}{{ x }}{{ y }}{% endmacro %}{{ m(z) }}", {"y", "z"}),
        ("plain", set()),
    ],
)
def test_the_variables_that_a_template_reads(text: str, variables: set[str]) -> None:
    """Names from the context only: not what the template makes, nor Jinja's own."""
    assert compile_template(text).variables == variables


def test_the_same_text_is_compiled_once() -> None:
    """Compiling is cached by content."""
    assert compile_template("x {{ y }}") is compile_template("x {{ y }}")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\n{{ missing }}", 2, "'missing' is undefined"),
        ("a\n\n{{ t.absent }}", 3, "has no attribute 'absent'"),
        ("{% for x in [1] %}\n{{ x / 0 }}\n{% endfor %}", 2, "ZeroDivisionError"),
        ("a\n{% macro m() %}\n{{ nothing }}{% endmacro %}\n{{ m() }}", 3, "'nothing' is undefined"),
        ("a\n{% if %}", 2, "Expected an expression"),
        ("a\n{{ x", 2, "unexpected end of template"),
        ("a\n{{ x|absent }}", 2, "No filter named 'absent'"),
        ("a\n{% for x in y %}", 2, "Unexpected end of template"),
        ("\n\n{% include 'other' %}", 3, "no include here"),
        ("\n{% import 'other' as o %}", 2, "no import here"),
        ("\n{% extends 'other' %}", 2, "no extends here"),
        ("\n{{ t.close() }}", 2, "Not allowed"),
        ("\n{{ [absent] }}", 2, "'absent' is undefined"),
        ("\n{{ [t]|map(attribute='absent')|list }}", 2, "has no attribute 'absent'"),
    ],
)
def test_errors_tell_the_line(text: str, line: int, message: str) -> None:
    """Every fault, when compiling or rendering, is a TemplateError with the template's own line."""
    with pytest.raises(TemplateError, match=message) as caught:
        render_template(text, {"t": Ticket("x")})
    assert caught.value.line == line
    assert f"\n  line {line}: {text.splitlines()[line - 1]}" in str(caught.value)


@pytest.mark.parametrize(
    ("template", "context", "message"),
    [(5, {}, "a text, not a int"), (["{{ a }}"], {}, "a text, not a list"), ("{{ a }}", "b", "a mapping of names")],
)
def test_what_is_no_template_and_no_context_is_told(template: Any, context: Any, message: str) -> None:
    """With an example."""
    with pytest.raises(TemplateError, match=message) as caught:
        render_template(template, context)
    assert caught.value.hint


def test_a_missing_variable_gets_a_hint() -> None:
    """The nearest name of the context, or what the context has."""
    with pytest.raises(TemplateError) as near:
        render_template("{{ quesion }}", {"question": "?"})
    with pytest.raises(TemplateError) as far:
        render_template("{{ x }}", {"question": "?"})
    assert (near.value.hint, far.value.hint) == ("Did you mean 'question'?", "The context has question.")


def test_a_users_function_that_fails_is_told_with_its_line() -> None:
    """Whatever it raises is mapped, with the original as the cause."""

    def broken() -> str:
        raise LookupError("nothing found")

    with pytest.raises(TemplateError, match="LookupError: nothing found") as caught:
        render_template("\n{{ f() }}", {"f": broken})
    assert (caught.value.line, type(caught.value.__cause__)) == (2, LookupError)


@given(st.text(alphabet="{}%#|.()[]'\"ab1 ~-\nforifinset", max_size=40))
def test_no_text_raises_anything_else(text: str) -> None:
    """Whatever stands in a template: it renders, or it is a TemplateError."""
    with contextlib.suppress(TemplateError):
        render_template(text, {"a": 1, "b": "x"}, limits=TemplateLimits(timeout_s=1))


@pytest.mark.parametrize(
    "text",
    [
        "{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}",
        "{% if 1 %}" * 3_000 + "{% endif %}" * 3_000,
        "{% for x in [1] %}" * 30 + "{% endfor %}" * 30,
    ],
)
def test_deep_nesting_is_an_error_and_no_crash(text: str) -> None:
    """The parser's depth is the limit."""
    with pytest.raises(TemplateError, match="nested too deeply"):
        compile_template(text)


def test_a_template_may_be_rendered_by_many_threads() -> None:
    """Each rendering has its own budget and its own values."""
    template = compile_template("{% for i in range(50) %}{{ x }}{% endfor %}")
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x: template.render({"x": x}), map(str, range(100))))
    assert results == [str(x) * 50 for x in range(100)]


def test_importing_the_package_root_does_not_load_jinja() -> None:
    """Only this room does."""
    code = "import sys, dspex_lab; assert 'jinja2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
