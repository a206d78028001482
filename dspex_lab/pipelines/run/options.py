"""How a whole run is to go: frozen options, checked as they are given, and kept apart from a pipeline's inputs.

Values only; what the options of a step mean to a plan is ``overrides``' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from dspex_lab.errors import ConfigurationError
from dspex_lab.router import Budget, checked_budget

__all__ = ["RunOptions", "options_from_plain", "options_to_plain"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of a run. ``timeout_s`` bounds the whole of it, in seconds; None: no limit. ``budget`` says what its
    language models may use.

    ``continue_on_error`` records the errors of steps and gives what could be had. ``stream`` asks for tokens.
    ``steps`` holds options for single steps by their names, dotted where they stand inside others:
    ``{"triage": {"lm": "openai/x", "timeout_s": 5}, "reply.then": {"retry": 0}}``; those of a step that holds others
    go to all inside it. With ``journal=False`` nothing of the run is written down, and it cannot be resumed.
    """

    timeout_s: float | None = None
    budget: Budget | None = None
    continue_on_error: bool = False
    stream: bool = True
    journal: bool = True
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise ConfigurationError("timeout_s is more than zero.", "timeout_s", "seconds", str(self.timeout_s))
        checked_budget(self.budget)
        for name, given in self.steps.items():
            if not isinstance(given, Mapping):
                raise ConfigurationError(
                    f"The options of the step {name} are no mapping but a {type(given).__name__}.",
                    "steps",
                    "options by name",
                    type(given).__name__,
                    hint=f"For example steps={{{name!r}: {{'timeout_s': 5}}}}.",
                )

    def updated(self, **values: Any) -> RunOptions:
        """These options with others in place of some. Raises ``ConfigurationError`` for one that is not known."""
        known = [one.name for one in fields(self)]
        for name in values:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                guess = f"Did you mean {near[0]!r}? " if near else ""
                raise ConfigurationError(
                    f"A run has no option {name!r}.",
                    name,
                    f"one of {', '.join(known)}",
                    name,
                    hint=f"{guess}A run takes {', '.join(known)}.",
                )
        return replace(self, **values)


def options_to_plain(options: RunOptions) -> dict[str, Any]:
    """The options as JSON has them, to be written down. What is no plain value is left out: a language model with a
    key never gets into a file."""
    plain = {one.name: getattr(options, one.name) for one in fields(options)}
    steps = {name: _only_plain(given) for name, given in options.steps.items()}
    budget = None if options.budget is None else asdict(options.budget)
    return {**_only_plain(plain), "budget": budget, "steps": {name: given for name, given in steps.items() if given}}


def options_from_plain(data: Mapping[str, Any]) -> RunOptions:
    """The inverse of :func:`options_to_plain`; options that are not known here are left out."""
    known = {one.name for one in fields(RunOptions)}
    values = {name: value for name, value in data.items() if name in known}
    budget = values.get("budget")
    return RunOptions(**{**values, "budget": None if budget is None else Budget(**budget)})


def _only_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is None or isinstance(value, str | int | float)}
