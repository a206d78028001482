"""The functions that make steps: the vocabulary of a ``%%pipeline`` cell.

Each checks what it is given at once, so that an error points at its line. Nothing runs here.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from dspex_lab.calls import ANY_POOL, LmSpec, Needs
from dspex_lab.errors import ConfigurationError, PipelineError
from dspex_lab.errors.foreign import repr_of
from dspex_lab.pipelines.steps.asking import ask
from dspex_lab.pipelines.steps.conditions import fields_read
from dspex_lab.pipelines.steps.fallbacks import fallbacks, with_fitting_fallbacks
from dspex_lab.pipelines.steps.fields import Read, Write
from dspex_lab.pipelines.steps.predictors import signature_and_demos
from dspex_lab.pipelines.steps.step import Each, Leaf, Parallel, Step, When, as_step
from dspex_lab.router import CachePolicy, Operation, Options, RetryPolicy, cache_policy_of, needs_of
from dspex_lab.signatures import CompiledSignature, compile_signature

__all__ = [
    "CONSTRUCTORS",
    "StepOptions",
    "chain_of_thought",
    "each",
    "module",
    "native",
    "option_values",
    "parallel",
    "predict",
    "program_of_thought",
    "react",
    "template",
    "when",
]


class StepOptions(typing.TypedDict, total=False):
    """The options that every step takes. ``needs`` (``gpu``, ``memory_mb``, ``labels``) has a fitting pool picked;
    ``fallback`` is a model, a pool's name, another step, or several of these; ``cache`` (True, or a CachePolicy) keeps
    its outputs; ``overwrite=True`` lets it write a field that is there already; ``optional=True`` lets the run go on
    without it when it fails: its fields are None then."""

    pool: str | None
    needs: Needs | Mapping[str, Any] | None
    lm: LmSpec | str | None
    timeout_s: float | None
    retry: RetryPolicy | int | None
    stream: bool | None
    route: str | None
    output_retries: int
    fallback: Any
    cache: CachePolicy | bool | None
    overwrite: bool
    optional: bool


def predict(
    signature: Any,
    *,
    namespace: Mapping[str, Any] | None = None,
    demos: Sequence[Mapping[str, Any]] = (),
    adapter: str | None = None,
    instructions: str | None = None,
    **options: typing.Unpack[StepOptions],
) -> Leaf:
    """Ask a language model for the outputs of ``signature``. Raises ``SignatureError``.

    ``signature`` may be an optimized ``dspy.Predict``, whose instructions and demos are kept. ``demos`` are solved
    examples, ``adapter`` is "auto", "chat" or "json", ``instructions`` replace the signature's.
    """
    signature, demos = signature_and_demos(signature, demos)
    compiled = compile_signature(signature, namespace=namespace)
    settings = _settings(demos=list(demos), adapter=adapter, instructions=instructions)
    return _asking("predict", compiled, compiled, settings, options)


def chain_of_thought(
    signature: Any,
    *,
    namespace: Mapping[str, Any] | None = None,
    demos: Sequence[Mapping[str, Any]] = (),
    adapter: str | None = None,
    instructions: str | None = None,
    **options: typing.Unpack[StepOptions],
) -> Leaf:
    """Like :func:`predict`, with the model's ``reasoning`` first; the run's result keeps it in the step's record."""
    signature, demos = signature_and_demos(signature, demos)
    compiled = compile_signature(signature, namespace=namespace)
    settings = _settings(demos=list(demos), adapter=adapter, instructions=instructions)
    return _asking("chain_of_thought", compiled, compiled.with_reasoning(), settings, options)


def react(
    signature: Any,
    *,
    tools: Sequence[Callable[..., Any]],
    namespace: Mapping[str, Any] | None = None,
    max_iters: int | None = None,
    **options: typing.Unpack[StepOptions],
) -> Leaf:
    """Let a language model use ``tools`` (plain functions, sent to a worker) until it knows the outputs."""
    compiled = compile_signature(signature, namespace=namespace)
    given: object = tools
    if not isinstance(given, Sequence) or not all(map(callable, given)):
        raise ConfigurationError(
            "The tools of react are a list of functions.",
            "tools",
            "functions",
            repr_of(tools),
            hint="Write tools=[find].",
        )
    return _asking("react", compiled, compiled, _settings(max_iters=max_iters), options, tools=tuple(tools))


def program_of_thought(
    signature: Any,
    *,
    namespace: Mapping[str, Any] | None = None,
    max_iters: int | None = None,
    **options: typing.Unpack[StepOptions],
) -> Leaf:
    """Let a language model write code whose run gives the outputs."""
    compiled = compile_signature(signature, namespace=namespace)
    return _asking("program_of_thought", compiled, compiled, _settings(max_iters=max_iters), options)


def module(
    program: Any,
    *,
    signature: Any = None,
    namespace: Mapping[str, Any] | None = None,
    **options: typing.Unpack[StepOptions],
) -> Leaf:
    """A ``dspy.Module`` of the user's own (sent by value) or its dotted name. ``signature`` says what goes in and
    comes out; it may be left out where the module has exactly one predictor."""
    compiled = compile_signature(_module_signature(program) if signature is None else signature, namespace=namespace)
    return _asking("module", compiled, compiled, {}, options, module=program)


def native(
    function: Callable[..., Any] | str,
    *,
    reads: Sequence[str] | None = None,
    writes: Sequence[str] | str | None = None,
    **options: typing.Unpack[StepOptions],
) -> Leaf:
    """A function in the notebook process, plain or asynchronous; with ``pool=`` in a worker. A text is the name of a
    function that was registered with the router.

    Its parameters are the fields that it reads (or ``reads``, handed over by position); what it returns becomes the
    field called like the step, or ``writes`` (several: it returns a mapping or a tuple).
    """
    names = (writes,) if isinstance(writes, str) else None if writes is None else tuple(writes)
    if isinstance(function, str):
        operation = Operation("native", function, names or (), native_name=function)
        found, returns = tuple(Read(name) for name in reads or ()), Any
    else:
        hints = _hints(function)
        found = tuple(map(Read, reads)) if reads is not None else _parameters(function, hints)
        called = function if reads is None else _ByPosition(function, tuple(reads))
        operation = Operation("native", _name_of(function), names or (), function=called)
        returns = hints.get("return", Any)
    overwrites = options.get("overwrite", False)
    written = _function_writes(names, returns, overwrites=overwrites)
    return _made(Leaf(operation, _options(options), found, written, overwrites, returns), options)


def template(text: Any, *, writes: str | None = None, **options: typing.Unpack[StepOptions]) -> Leaf:
    """Render a template; its variables are the fields that it reads. Raises ``TemplateError``."""
    from dspex_lab.templates import compile_template

    compiled = compile_template(text) if isinstance(text, str) else text
    names = None if writes is None else (writes,)
    operation = Operation("template", "template", names or (), function=_Render(compiled))
    overwrites = options.get("overwrite", False)
    reads = tuple(Read(name) for name in sorted(compiled.variables))
    written = _function_writes(names, str, overwrites=overwrites)
    return _made(Leaf(operation, _options(options), reads, written, overwrites, str), options)


def parallel(*, optional: bool = False, **steps: Any) -> Parallel:
    """Steps that run at the same time; each writes its fields as if it stood alone. Where one fails, an optional
    parallel leaves None in the fields of all."""
    if not isinstance(optional, bool):
        raise PipelineError("No step is called optional in parallel: that is True or False.", "optional")
    if not steps:
        raise PipelineError("parallel has no steps.", hint="Name each: parallel(summary=..., mood=...).")
    return Parallel({name: as_step(value, name) for name, value in steps.items()}, optional)


def when(condition: Callable[[Any], Any], *, then: Any, otherwise: Any = None, optional: bool = False) -> When:
    """``then`` if ``condition(fields)`` is true, else ``otherwise``; what the branch does not write is None, and all of
    it where an optional one fails."""
    if not callable(condition):
        raise PipelineError(
            f"The condition is no function but a {type(condition).__name__}.",
            hint="Write it as when(lambda s: s.urgency >= 4, then=...).",
        )
    other = None if otherwise is None else as_step(otherwise, "otherwise")
    return When(condition, fields_read(condition), as_step(then, "then"), other, optional)


def each(step: Any, *, over: str, item: str | None = None, concurrency: int = 8, optional: bool = False) -> Each:
    """``step`` for every item of the list in the field ``over``; the item is the step's field ``item`` (the only one
    that it reads, or ``over`` without its plural s, unless it is named). Where one fails, an optional each leaves None;
    an optional step inside it leaves None for that item only."""
    inner = as_step(step, "step")
    if concurrency < 1:
        raise ConfigurationError("concurrency is at least 1.", "concurrency", "1 or more", str(concurrency))
    return Each(inner, over, item or _item_name(inner, over), concurrency, optional)


#: Every word of a ``%%pipeline`` cell.
CONSTRUCTORS: Mapping[str, Callable[..., Step]] = {
    function.__name__: function
    for function in (
        ask,
        chain_of_thought,
        each,
        module,
        native,
        parallel,
        predict,
        program_of_thought,
        react,
        template,
        when,
    )
}


@dataclass(frozen=True, slots=True)
class _ByPosition:
    """Hands the named inputs to a function by position."""

    function: Callable[..., Any]
    names: tuple[str, ...]

    def __call__(self, **inputs: Any) -> Any:
        return self.function(*map(inputs.__getitem__, self.names))


@dataclass(frozen=True, slots=True)
class _Render:
    """A template as a function of its variables."""

    template: Any

    def __call__(self, **inputs: Any) -> str:
        return str(self.template.render(inputs))


def _asking(
    kind: str,
    signature: CompiledSignature,
    checked: CompiledSignature,
    settings: Mapping[str, Any],
    options: StepOptions,
    *,
    tools: tuple[Callable[..., Any], ...] = (),
    module: Any = None,
) -> Leaf:
    overwrites = options.get("overwrite", False)
    reads = tuple(
        Read(
            one.name,
            one.annotation if one.annotation_text else Any,
            not one.has_default and not _allows_none(one.annotation),
            signature=signature,
        )
        for one in signature.inputs
    )
    writes = tuple(Write(one.name, one.annotation, overwrites) for one in signature.outputs)
    operation = Operation(
        kind,
        f"{kind}({signature.name})",
        tuple(one.name for one in signature.outputs),
        signature=signature,
        checked=checked,
        module=module,
        tools=tools,
        settings=settings,
        is_idempotent=kind in ("predict", "chain_of_thought"),
    )
    return _made(Leaf(operation, _options(options), reads, writes, overwrites), options)


def _settings(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, [])}


def option_values(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a user gave to a step as fields of ``Options``. Raises ``ConfigurationError``."""
    known = sorted(StepOptions.__annotations__)
    for name in options:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            guess = f"Did you mean {near[0]!r}? " if near else ""
            raise ConfigurationError(
                f"There is no step option {name!r}.",
                str(name),
                f"one of {', '.join(known)}",
                str(name),
                hint=f"{guess}A step takes {', '.join(known)}.",
            )
    values: dict[str, Any] = {name: value for name, value in options.items() if name not in ("optional", "overwrite")}
    if (needs := values.get("needs")) is not None:
        values["needs"] = needs_of(needs)
        values["pool"] = values.get("pool") or ANY_POOL
    if "fallback" in values:
        values["fallback"] = fallbacks(values["fallback"])
    if "cache" in values:
        values["cache"] = cache_policy_of(values["cache"])
    return values


def _options(options: StepOptions) -> Options:
    return Options(**option_values(options))


def _made(leaf: Leaf, options: StepOptions) -> Leaf:
    if options.get("optional"):
        writes = leaf.writes and tuple(replace(write, is_certain=False) for write in leaf.writes)
        leaf = replace(leaf, is_optional=True, writes=writes)
    return with_fitting_fallbacks(leaf)


def _function_writes(names: tuple[str, ...] | None, returns: Any, *, overwrites: bool) -> tuple[Write, ...] | None:
    if names is None:
        return None
    if len(names) == 1:
        return (Write(names[0], returns, overwrites),)
    return tuple(Write(name, Any, overwrites) for name in names)


def _name_of(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", None)
    return str(name) if name else type(function).__name__


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError):
        return {}  # hints that mean nothing here promise nothing


def _parameters(function: Callable[..., Any], hints: Mapping[str, Any]) -> tuple[Read, ...]:
    name = _name_of(function)
    try:
        parameters: Iterable[inspect.Parameter] = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise PipelineError(
            f"The parameters of {name} are not known.", hint=f"Name the fields: native({name}, reads=[...])."
        ) from None
    reads = []
    for one in parameters:
        if one.kind in (one.POSITIONAL_ONLY, one.VAR_POSITIONAL):
            raise PipelineError(
                f"{name} takes {one.name} by position.", hint=f"Name the fields: native({name}, reads=[...])."
            )
        if one.kind is not one.VAR_KEYWORD:
            reads.append(Read(one.name, hints.get(one.name, Any), one.default is one.empty))
    return tuple(reads)


def _module_signature(program: Any) -> Any:
    predictors = program.predictors() if hasattr(program, "predictors") else []
    if len(predictors) == 1 and hasattr(predictors[0], "signature"):
        return predictors[0].signature
    raise PipelineError(
        "What the module reads and writes is not known.",
        hint='Say it: module(program, signature="question -> answer").',
    )


def _item_name(step: Step, over: str) -> str:
    if isinstance(step, Leaf):
        names = [one.name for one in step.reads]
        if len(names) == 1:
            return names[0]
        if over.endswith("s") and over[:-1] in names:
            return over[:-1]
    raise PipelineError(
        f"Which field of the step takes an item of {over} is not known.", hint="Say it with item='NAME'."
    )


def _allows_none(annotation: Any) -> bool:
    return annotation is None or type(None) in typing.get_args(annotation)
