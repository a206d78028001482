"""The sandbox: the known ways out are shut, and nothing that a template does takes more than its limits."""

from __future__ import annotations

import itertools
import pathlib
import time
from typing import Any

import pytest

from dspex_lab.errors import TemplateError
from dspex_lab.templates import TemplateLimits, render_template
from dspex_lab.testing import FakeClock


class Thing:
    """A user's object with a method and a function that reaches far."""

    shared: list[int] = []  # noqa: RUF012 - what a template must not change

    def method(self) -> str:
        return "ran"


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('__cl' ~ 'ass__') }}",
    "{{ ''|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ [''] |map(attribute='__class__')|list }}",
    "{{ ['']|map('attr', '__class__')|list }}",
    "{{ ['']|groupby('__class__') }}",
    "{{ ['']|sort(attribute='__class__.__name__') }}",
    "{{ ['']|selectattr('__class__')|list }}",
    "{{ ['']|sum(attribute='__class__') }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0.__class__.__init__}'.format_map({'0': 1}) }}",
    "{{ ('{0.__class__}'|attr('format'))(1) }}",
    "{{ '{x.__class__}'|attr('format_map')({'x': 1}) }}",
    "{{ [1]|map('attr', 'real.__class__')|list }}",
    "{{ ['{0.__class__}']|map('format', 1)|list if false else '{0.__class__}'.format(thing) }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ range.__class__ }}",
    "{{ dict.__base__ }}",
    "{{ dict.mro() }}",
    "{{ f.__globals__ }}",
    "{{ f.__code__.co_consts }}",
    "{{ f.func_globals }}",
    "{{ generator.gi_frame }}",
    "{{ generator.gi_code }}",
    "{{ thing.method.__func__ }}",
    "{{ thing.method() }}",
    "{{ thing.shared.append(1) }}",
    "{{ items.append(1) }}",
    "{{ items.pop() }}",
    "{{ items.clear() }}",
    "{{ mapping.update({'a': 1}) }}",
    "{{ mapping.setdefault('z', 1) }}",
    "{{ mapping.pop('a') }}",
    "{{ path.unlink() }}",
    "{{ path.read_text() }}",
    "{{ path.parent.iterdir() }}",
    "{{ kind() }}{{ kind.mro() }}",
    "{{ ''.encode().__class__ }}",
    "{{ (1).to_bytes(1000000000, 'big') }}",
    "{{ 'x'.translate({120: 'y'}) }}",
    "{% set thing.shared = 1 %}",
    "{% set x = mapping.__setitem__ %}{{ x }}",
    "{{ url_for.__globals__ }}",
    "{{ config }}",
    "{{ request }}",
    "{{ ().__class__.__bases__[0] }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "{{ joiner|attr('__init__')|attr('__globals__') }}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% macro m() %}{% endmacro %}{{ m._environment }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "{% for x in [1] %}{{ loop._iterator.gi_frame }}{% endfor %}",
    "{{ environment.filters }}",
    "{{ context.environment }}",
    "{{ __import__('os') }}",
]  # fmt: skip


@pytest.mark.parametrize("text", ESCAPES)
def test_known_escapes_are_shut(text: str, tmp_path: pathlib.Path) -> None:
    """Each raises a TemplateError, and neither changes nor shows anything."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    context: dict[str, Any] = {
        "f": lambda: None,
        "generator": (x for x in [1]),
        "thing": Thing(),
        "items": [1],
        "mapping": {"a": 1},
        "path": victim,
        "kind": Thing,
    }
    with pytest.raises(TemplateError):
        render_template(text, context)
    assert victim.read_text() == "precious"
    assert (context["items"], context["mapping"], Thing.shared) == ([1], {"a": 1}, [])


DOUBLE = "{{% set ns = namespace(s={start}) %}}{{% for i in range(200) %}}{{% set ns.s = {step} %}}{{% endfor %}}{use}"
BOMBS = [
    "{{ 'x' * 10**10 }}",
    "{{ 10**10 * 'x' }}",
    "{{ [1] * 10**10 }}",
    "{{ 2 ** (2 ** 40) }}",
    "{{ (2 ** 4000000) ** 4000000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{w}}'.format(1, w=10**9) }}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ 'x'.center(10**10) }}",
    "{{ 'x'.zfill(10**10) }}",
    "{{ 'x'.ljust(width) }}",
    "{{ 'x'|center(10**10) }}",
    "{{ 'x'|indent(10**10, true) }}",
    "{{ ('x\n' * 100000)|indent(1000000) }}",
    "{{ ('x' * 10000).replace('x', 'y' * 1000000) }}",
    "{{ ('x' * 10000)|replace('x', 'y' * 1000000) }}",
    "{{ ('y' * 1000000).join(range(100000)|map('string')) }}",
    "{{ range(100000)|join('y' * 1000000) }}",
    "{{ [1]|batch(10**10, 'x')|list }}",
    "{{ [1]|slice(10**10)|list }}",
    "{{ {'a': {'b': 1}}|tojson(indent=10**9) }}",
    "{{ ([range(100000)] * 1000)|map('list')|list }}",
    "{{ ([[1] * 10000] * 10000)|sum(start=[]) }}",
    "{{ ('a ' * 10000)|wordwrap(1, wrapstring='y' * 1000000) }}",
    "{{ range(10**12) }}",
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}",
    "{% for i in range(3) recursive %}{{ loop(range(3)) }}{% endfor %}",
    "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) ~ f(n - 1) }}x{% endif %}{% endmacro %}{{ f(60)|length }}",
    DOUBLE.format(start="'xxxx'", step="ns.s ~ ns.s", use="{{ ns.s|length }}"),
    DOUBLE.format(start="'xxxx'", step="ns.s + ns.s", use="{{ ns.s|length }}"),
    DOUBLE.format(start="'xxxx'", step="[ns.s, ns.s]|join", use="{{ ns.s|length }}"),
    DOUBLE.format(start="'xxxx'", step="'%s%s' % (ns.s, ns.s)", use="{{ ns.s|length }}"),
    DOUBLE.format(start="'xxxx'", step="'{0}{0}'.format(ns.s)", use="{{ ns.s|length }}"),
    DOUBLE.format(start="[1]", step="[ns.s, ns.s]", use="{{ ns.s }}"),
    DOUBLE.format(start="(1,)", step="(ns.s, ns.s)", use="{{ ns.s|tojson }}"),
    DOUBLE.format(start="{}", step="{'a': ns.s, 'b': ns.s}", use="{{ ns.s == ns.s }}"),
    DOUBLE.format(start="{}", step="dict(a=ns.s, b=ns.s)", use="{{ ns.s|string }}"),
    DOUBLE.format(start="9", step="ns.s * ns.s", use="{{ ns.s }}"),
    "{% set x %}{% for i in range(90000) %}{{ 'x' * 1000 }}{% endfor %}{% endset %}{{ x|length }}",
    "{% filter upper %}{% for i in range(90000) %}{{ 'x' * 1000 }}{% endfor %}{% endfilter %}",
    "{% call(x) m() %}{% endcall %}{% macro m() %}{{ caller(1) }}{{ m() }}{% endmacro %}",
]


@pytest.mark.parametrize("text", BOMBS)
def test_bombs_are_stopped_in_time(text: str) -> None:
    """Each ends with a TemplateError within the time limit and a little, and without much memory."""
    began = time.monotonic()
    with pytest.raises(TemplateError):
        render_template(text, {"width": 10**10}, limits=TemplateLimits(timeout_s=1.0))
    assert time.monotonic() - began < 5.0


def test_the_output_is_bounded() -> None:
    """One character over the limit is an error, the limit itself is none."""
    limits = TemplateLimits(max_output_chars=10)
    assert render_template("{{ x }}", {"x": "a" * 10}, limits=limits) == "a" * 10
    with pytest.raises(TemplateError, match="output is longer than 10 characters"):
        render_template("{{ x }}", {"x": "a" * 11}, limits=limits)


def test_the_turns_of_all_loops_together_are_bounded() -> None:
    """Loops inside loops count together."""
    limits = TemplateLimits(max_iterations=12)
    text = "{% for i in range(n) %}{% for j in range(3) %}.{% endfor %}{% endfor %}"
    assert render_template(text, {"n": 3}, limits=limits) == "." * 9
    with pytest.raises(TemplateError, match="loops turn more than 12 times"):
        render_template(text, {"n": 4}, limits=limits)


def test_an_endless_iterator_ends() -> None:
    """What the context holds may have no end; the loop does."""
    with pytest.raises(TemplateError, match="loops turn more"):
        render_template("{% for i in xs %}{% endfor %}", {"xs": itertools.count()})


def test_time_is_bounded() -> None:
    """A slow function of the user's is noticed as soon as it comes back."""
    clock = FakeClock()

    def slow() -> str:
        clock.advance(3)
        return "x"

    with pytest.raises(TemplateError, match="longer than 2 s") as caught:
        render_template("\n{{ f() }}{{ 'a' ~ 'b' }}", {"f": slow}, clock=clock)
    assert caught.value.line == 2
