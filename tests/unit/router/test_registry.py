"""The registries' promises."""

from __future__ import annotations

import pytest

from dspex_lab.errors import ConfigurationError
from dspex_lab.router import Registry


def test_what_was_registered_is_found() -> None:
    """A name gives back its own entry, and shows in iteration and repr."""
    registry = Registry("strategy", {"auto": 1})
    registry.register("mine", 2)
    assert (registry.find("mine"), list(registry), "mine" in registry) == (2, ["auto", "mine"], True)
    assert repr(registry) == "<Registry [strategy: auto, mine]>"


def test_an_unknown_name_names_its_neighbour() -> None:
    """A slip of the keyboard is answered with the nearest name."""
    with pytest.raises(ConfigurationError) as caught:
        Registry("strategy", {"native": 1}).find("natve")
    assert caught.value.hint == "Did you mean 'native'?"


def test_a_taken_name_is_refused() -> None:
    """Nothing is replaced in silence."""
    with pytest.raises(ConfigurationError):
        Registry("strategy", {"auto": 1}).register("auto", 2)
