"""What installed packages add: found by name, loaded when it is used, and in nobody's way when it is broken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dspex_lab.errors import ConfigurationError
from dspex_lab.pipelines import native, predict
from dspex_lab.router import Registry
from dspex_lab.router.extensions import NATIVE_GROUP, extension_names

from .conftest import Scripted

MODULE = """
from dspex_lab.router import Decision, Route

def shout(q):
    return q.upper()

def to_spare(operation, options, statistics):
    return Decision(Route.HYBRID, "the package says so", "spare")

number = 3
"""
POINTS = """
[dspex_lab.native]
shout = mine_extra:shout
number = mine_extra:number
missing = mine_extra:nothing
broken = mine_broken:shout

[dspex_lab.strategies]
to_spare = mine_extra:to_spare
"""

Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package of that name with everything above."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine_extra.py").write_text(MODULE)
    (tmp_path / "mine_broken.py").write_text("raise OSError('no licence')")

    def add(name: str) -> None:
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(POINTS)

    yield add
    for name in ("mine_extra", "mine_broken"):
        sys.modules.pop(name, None)


async def test_a_function_of_a_package_runs_by_its_name(scripted: Scripted, install: Install) -> None:
    """``native("shout")`` finds what a package offers, without anybody's registering it."""
    install("mine")
    outcome = await scripted.run(native("shout", reads=["q"], writes="loud"), {"q": "a"})
    assert outcome.outputs == {"loud": "A"}


async def test_a_strategy_of_a_package_decides(scripted: Scripted, install: Install) -> None:
    """``route=`` takes its name, and so does the router for all."""
    install("mine")
    await scripted.run(predict("q -> answer", route="to_spare"))
    scripted.router.strategy = "to_spare"
    await scripted.run(predict("q -> answer"))
    assert [call.pool for call in scripted.backend.calls] == ["spare", "spare"]
    assert scripted.named("router.route")[0]["reason"] == "the package says so"


def test_nothing_is_loaded_before_it_is_used(install: Install) -> None:
    """Names come from the metadata."""
    install("mine")
    registry: Registry[object] = Registry("native function", group=NATIVE_GROUP)
    assert extension_names(NATIVE_GROUP) == ("shout", "number", "missing", "broken")
    assert "shout" in registry
    assert "mine_extra" not in sys.modules
    registry.find("shout")
    assert "mine_extra" in sys.modules


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("broken", "'broken' of mine cannot be loaded: OSError: no licence."),
        ("missing", "'missing' of mine cannot be loaded: AttributeError"),
        ("number", "'number' of mine is no function, but of type int."),
    ],
)
def test_what_cannot_be_loaded_is_told_and_breaks_nothing_else(install: Install, name: str, fault: str) -> None:
    """The package is named, and its other functions are there."""
    install("mine")
    registry: Registry[Callable[..., object]] = Registry("native function", group=NATIVE_GROUP)
    with pytest.raises(ConfigurationError, match=fault):
        registry.find(name)
    assert registry.find("shout")("a") == "A"


def test_two_packages_with_one_name_are_an_error(install: Install) -> None:
    """Nobody guesses which one is meant."""
    install("mine")
    install("other")
    with pytest.raises(ConfigurationError, match=r"Several packages offer 'shout' in dspex_lab.native: mine, other"):
        Registry("native function", group=NATIVE_GROUP).find("shout")


def test_what_was_registered_goes_before_a_package(install: Install) -> None:
    """A function of the user's own keeps its name."""
    install("mine")
    registry: Registry[object] = Registry("native function", {"shout": 1}, group=NATIVE_GROUP)
    assert registry.find("shout") == 1


def test_a_slip_finds_the_names_of_packages_too(install: Install) -> None:
    """The nearest name may be an extension's."""
    install("mine")
    with pytest.raises(ConfigurationError, match="Did you mean 'shout'"):
        Registry("native function", group=NATIVE_GROUP).find("shuot")
