"""What installed packages add by entry point, found by its metadata and loaded when it is first used.

A package offers ``NAME = "package.module:function"`` in a group (``dspex_lab.native``, ``dspex_lab.strategies``). One
that cannot be loaded is told when it is asked for, and is in nobody else's way.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from dspex_lab.errors import ConfigurationError

__all__ = ["NATIVE_GROUP", "STRATEGIES_GROUP", "extension_names", "load_extension"]

NATIVE_GROUP = "dspex_lab.native"
STRATEGIES_GROUP = "dspex_lab.strategies"


def extension_names(group: str) -> tuple[str, ...]:
    """What installed packages offer in ``group``; nothing is loaded."""
    return tuple(dict.fromkeys(one.name for one in entry_points(group=group)))


def load_extension(group: str, name: str) -> Any:
    """The function that is offered as ``name``; None when none is. Raises ``ConfigurationError`` when it cannot be
    loaded, is no function, or is offered by two packages."""
    found = {(one.value, _package(one)): one for one in entry_points(group=group, name=name)}
    if len(found) > 1:
        packages = ", ".join(sorted(_package(one) for one in found.values()))
        raise ConfigurationError(
            f"Several packages offer {name!r} in {group}: {packages}.",
            group,
            "one package",
            packages,
            hint="Uninstall all but one, or register the one that you mean under a name of your own.",
        )
    for one in found.values():
        return _loaded(one)
    return None


def _loaded(one: EntryPoint) -> Any:
    try:
        value = one.load()
    except Exception as error:  # whatever a package's import raises
        raise ConfigurationError(
            f"{one.name!r} of {_package(one)} cannot be loaded: {type(error).__name__}: {error}.",
            one.group,
            one.value,
            hint=f"Mend or uninstall {_package(one)}; everything else goes on without it.",
        ) from error
    if not callable(value):
        raise ConfigurationError(
            f"{one.name!r} of {_package(one)} is no function, but of type {type(value).__name__}.",
            one.group,
            "a function",
            one.value,
            hint=f"The entry point names {one.value}.",
        )
    return value


def _package(one: EntryPoint) -> str:
    return one.dist.name if one.dist is not None else one.value
