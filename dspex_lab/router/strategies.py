"""Where an operation runs: pure functions of operation, options and statistics to a :class:`Decision`.

A strategy raises ``ConfigurationError`` when it knows no way. Strategies know nothing of backends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from dspex_lab.calls import LmSpec, Usage
from dspex_lab.errors import ConfigurationError
from dspex_lab.router.operation import Operation, Options
from dspex_lab.router.questions import HYBRID_KINDS, NEURAL_POOL, why_not_hybrid

__all__ = [
    "BUILT_IN",
    "DEFAULT_POOL",
    "NATIVE_KINDS",
    "NOTEBOOK",
    "Decision",
    "Route",
    "RouterStatistics",
    "Strategy",
    "WayStatistics",
    "auto",
    "hybrid",
    "native",
    "python",
]

#: The pool of the python and hybrid routes when none was asked for.
DEFAULT_POOL = "general"
#: The target of the native route.
NOTEBOOK = "notebook"
#: The kinds that a notebook process can run by itself.
NATIVE_KINDS = frozenset({"native", "template"})


class Route(StrEnum):
    """The ways an operation can take."""

    NATIVE = "native"
    HYBRID = "hybrid"
    PYTHON = "python"


@dataclass(frozen=True, slots=True)
class Decision:
    """Which way, why, and where to: the name of a pool, or ``"notebook"``."""

    route: Route
    reason: str
    target: str


@dataclass(frozen=True, slots=True)
class WayStatistics:
    """The calls that took one route to one target, and how they ended."""

    route: str
    target: str
    calls: int
    succeeded: int
    failed: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class RouterStatistics:
    """What a router did so far; ``by_target`` counts calls by pool (or ``"notebook"``), ``by_retry`` retries by the
    error before them, ``used`` is what models said they used."""

    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    retries: int = 0
    fallbacks: int = 0
    cache_hits: int = 0
    in_flight: int = 0
    by_route: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    by_target: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    by_retry: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    used: Usage = field(default_factory=Usage)
    ways: tuple[WayStatistics, ...] = ()


#: Decided so often that it is there already.
_NATIVELY: Mapping[str, Decision] = MappingProxyType(
    {kind: Decision(Route.NATIVE, f"{kind} runs in the notebook process", NOTEBOOK) for kind in sorted(NATIVE_KINDS)}
)

Strategy = Callable[[Operation, Options, RouterStatistics], Decision]


def auto(operation: Operation, options: Options, statistics: RouterStatistics) -> Decision:
    """Native where the notebook can do it and no pool was asked for, hybrid where only the model is elsewhere, else
    python."""
    if options.pool is None and operation.kind in NATIVE_KINDS:
        return _NATIVELY[operation.kind]
    if operation.kind in HYBRID_KINDS:
        why_not = why_not_hybrid(operation)
        if not why_not:
            reason = "prompt and reply are handled in the notebook process, only the model's call leaves it"
            return Decision(Route.HYBRID, reason, _model_pool(options))
        return Decision(Route.PYTHON, f"left to DSPy: {why_not}", options.pool or DEFAULT_POOL)
    if options.pool is not None:
        return Decision(Route.PYTHON, f"the pool {options.pool} was asked for", options.pool)
    return Decision(Route.PYTHON, f"{operation.kind} needs DSPy, which lives in the workers", DEFAULT_POOL)


def native(operation: Operation, options: Options, statistics: RouterStatistics) -> Decision:
    """The notebook process, or an error."""
    if operation.kind not in NATIVE_KINDS:
        raise ConfigurationError(
            f"{operation.name} cannot run in the notebook process.",
            "route",
            f"one of {', '.join(sorted(NATIVE_KINDS))}",
            operation.kind,
            hint="Leave route= out, or use route='python'.",
        )
    return Decision(Route.NATIVE, "the native route was asked for", NOTEBOOK)


def python(operation: Operation, options: Options, statistics: RouterStatistics) -> Decision:
    """A worker of the pool that was asked for, or of the general one."""
    return Decision(Route.PYTHON, "the python route was asked for", options.pool or DEFAULT_POOL)


def hybrid(operation: Operation, options: Options, statistics: RouterStatistics) -> Decision:
    """The prompt and the reply in the notebook process, or an error."""
    why_not = why_not_hybrid(operation)
    if why_not:
        raise ConfigurationError(
            f"{operation.name} cannot take the hybrid route: {why_not}.",
            "route",
            f"{' or '.join(sorted(HYBRID_KINDS))}, with types that need no DSPy",
            operation.kind,
            hint="Leave route= out, or use route='python'.",
        )
    return Decision(Route.HYBRID, "the hybrid route was asked for", _model_pool(options))


def _model_pool(options: Options) -> str:
    """Where the model is: local ones have a pool of their own."""
    model = options.lm.model if isinstance(options.lm, LmSpec) else options.lm or ""
    return NEURAL_POOL if model.startswith("local/") else options.pool or DEFAULT_POOL


#: The strategies of the house, none of which looks at the statistics.
BUILT_IN: frozenset[Strategy] = frozenset({auto, native, python, hybrid})
