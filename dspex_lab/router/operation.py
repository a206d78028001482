"""What the router is asked to do, and what it answers: frozen values, and nothing that acts.

Knows nothing of pipelines; a step is an :class:`Operation` with its :class:`Options` to this room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from dspex_lab.calls import LmSpec, Needs, Priority, TraceContext, Usage, is_model_name
from dspex_lab.errors import ConfigurationError
from dspex_lab.errors.foreign import repr_of
from dspex_lab.router.budget import Account
from dspex_lab.router.cache_policy import CachePolicy
from dspex_lab.router.retry import RetryPolicy
from dspex_lab.signatures import CompiledSignature

__all__ = ["EmitEvent", "Implementation", "Operation", "Options", "Outcome", "RunContext", "needs_of", "outputs_of"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do. ``kind`` is a name in one of the registries (``"native"``, ``"predict"``, ...), ``name`` what
    people read in events and errors.

    ``signature`` says what a language model is asked; ``checked`` is what its outputs must obey (with ``reasoning``
    for a chain of thought). ``function`` is a native function, ``module`` a ``dspy.Module`` or its dotted name.
    ``writes`` names the outputs. ``settings`` are the kind's own (``max_iters``, ``adapter``, ``demos``, ...).
    """

    kind: str
    name: str
    writes: tuple[str, ...]
    signature: CompiledSignature | None = None
    checked: CompiledSignature | None = None
    function: Callable[..., Any] | None = None
    native_name: str = ""
    module: Any = None
    tools: tuple[Callable[..., Any], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_idempotent: bool = False

    def writing(self, *names: str) -> Operation:
        """The same with outputs of these names. Written out: a plan asks it of every function, and ``replace`` takes
        twice as long."""
        return Operation(
            self.kind,
            self.name,
            names,
            self.signature,
            self.checked,
            self.function,
            self.native_name,
            self.module,
            self.tools,
            self.settings,
            self.is_idempotent,
        )


@dataclass(frozen=True, slots=True)
class Options:
    """How an operation is to be run; None everywhere means the default.

    ``timeout_s`` bounds the whole step, its retries and its time in the queue included. ``route`` is the name of a
    strategy. ``output_retries`` is how often a language model may try again when its output breaks the signature.
    ``needs`` says what the worker must have; with the pool "any" one is picked by it. ``fallback`` names the models
    (``provider/name``), pools or implementations to use instead, one after the other, when all tries have failed.
    ``cache`` keeps the outputs and gives them back for the same content.
    """

    pool: str | None = None
    needs: Needs | None = None
    lm: LmSpec | str | None = None
    timeout_s: float | None = None
    retry: RetryPolicy | int | None = None
    stream: bool | None = None
    route: str | None = None
    output_retries: int = 2
    fallback: tuple[LmSpec | str | Implementation, ...] = ()
    cache: CachePolicy | None = None

    def __post_init__(self) -> None:
        if self.timeout_s is not None and not (_is_number(self.timeout_s) and self.timeout_s > 0):
            raise _wrong("timeout_s", "a number of seconds, more than zero", self.timeout_s)
        if not (self.retry is None or isinstance(self.retry, RetryPolicy) or _is_count(self.retry)):
            raise _wrong("retry", "how many retries, 0 or more, or a RetryPolicy", self.retry)
        if not _is_count(self.output_retries):
            raise _wrong("output_retries", "how many retries, 0 or more", self.output_retries)
        if self.lm is not None and not _is_model(self.lm):
            raise _wrong("lm", "provider/name, for example openai/gpt-4o-mini, or an LmSpec", self.lm)

    @property
    def retry_policy(self) -> RetryPolicy:
        if isinstance(self.retry, RetryPolicy):
            return self.retry
        return RetryPolicy() if self.retry is None else RetryPolicy(retries=self.retry)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_model(value: object) -> bool:
    return isinstance(value, LmSpec) or (isinstance(value, str) and is_model_name(value))


def _wrong(option: str, expected: str, actual: object) -> ConfigurationError:
    shown = repr_of(actual)
    return ConfigurationError(f"{option}={shown} is not {expected}.", option, expected, shown)


@dataclass(frozen=True, slots=True)
class Implementation:
    """Another operation that can stand in for one. ``takes`` names the inputs that it wants (None: all of them),
    ``requires`` those that it cannot do without. Without ``writes`` of its own it writes what the other does."""

    operation: Operation
    options: Options = field(default_factory=Options)
    takes: tuple[str, ...] | None = None
    requires: tuple[str, ...] = ()


class EmitEvent(Protocol):
    """How an event is told: ``EventHub.emit``, or a run's own way to it."""

    def __call__(self, name: str, /, trace: TraceContext | None = None, **attributes: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class RunContext:
    """To which run and step the events of an execution belong, how to tell them, and who pays."""

    send: EmitEvent
    run_id: str = ""
    step: str = ""
    trace: TraceContext | None = None
    is_streaming: bool = False
    account: Account | None = None
    #: Whether its calls are somebody's who waits, or go behind those.
    priority: Priority = "interactive"

    def emit(self, name: str, /, **attributes: Any) -> None:
        self.send(name, self.trace, run_id=self.run_id, step=self.step, **attributes)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out: the outputs by name, and how they came to be. Times in seconds; ``retries`` counts every try
    after the first, ``first_token_s`` runs from the start of the execution."""

    outputs: Mapping[str, Any]
    route: str
    target: str
    usage: Usage = field(default_factory=Usage)
    worker: str = ""
    queue_s: float = 0.0
    run_s: float = 0.0
    retries: int = 0
    cached: bool = False
    first_token_s: float | None = None


def needs_of(given: Needs | Mapping[str, Any]) -> Needs:
    """What a user says a step needs. Raises ``ConfigurationError`` for what no pool can have."""
    if isinstance(given, Needs):
        return given
    types: dict[str, tuple[type, ...]] = {"gpu": (bool,), "memory_mb": (int,), "labels": (str, list, tuple)}
    for name, value in given.items():
        if not isinstance(value, types.get(name, ())):
            raise ConfigurationError(
                f"A step cannot need {name}={value!r}.",
                "needs",
                "gpu=True, memory_mb=4000 or labels=[...]",
                f"{name}={value!r}",
                hint="For example needs={'gpu': True, 'memory_mb': 4000}.",
            )
    values = dict(given)
    labels = values.pop("labels", ())
    return Needs(**values, labels=(labels,) if isinstance(labels, str) else tuple(map(str, labels)))


def outputs_of(operation: Operation, value: Any) -> Mapping[str, Any]:
    """A function's value under the names that the operation writes: one name takes the whole value, several take a
    mapping with those keys, or a tuple (from a worker: a list) of that length. Raises ``TypeError`` when the value does
    not fit."""
    names = operation.writes
    if len(names) == 1:
        return {names[0]: value}
    if isinstance(value, Mapping) and all(name in value for name in names):
        return {name: value[name] for name in names}
    if isinstance(value, tuple | list) and len(value) == len(names):
        return dict(zip(names, value, strict=True))
    expected = ", ".join(names) or "nothing"
    if not names and value is None:
        return {}
    raise TypeError(f"{operation.name} should return {expected}, and returned {type(value).__name__}")
