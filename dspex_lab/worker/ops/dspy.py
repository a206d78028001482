"""DSPy programs: the built-in kinds by name, and any ``dspy.Module`` of the user's."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dspex_lab.calls import LmSpec
from dspex_lab.errors import ConfigurationError, ProtocolError
from dspex_lab.signatures import compile_signature
from dspex_lab.worker.context import OpContext
from dspex_lab.worker.ops.base import operation
from dspex_lab.worker.ops.python import named_object

__all__ = ["PROGRAM_KINDS", "build_program", "plain_data", "prediction_data", "run"]


@operation("dspy.run")
def run(
    context: OpContext,
    *,
    kind: str,
    inputs: Mapping[str, Any],
    lm: Mapping[str, Any],
    signature: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Run one program over ``inputs``; the value holds all fields of its prediction as plain data.

    A program that can run asynchronously goes on as a task; another runs here, where an interrupt reaches it.
    ``options``: ``tools``, ``max_iters``, ``adapter`` ("auto", "json", "chat"), ``demos``, ``instructions``,
    ``module`` (a module, its class or its dotted name).
    """
    import dspy

    from dspex_lab.worker.dspy_spans import SpanCallback
    from dspex_lab.worker.interpreter import InterpreterFactory
    from dspex_lab.worker.lm import SignatureWatch, build_lm

    chosen = dict(options or {})
    spec = msgspec.convert(lm, LmSpec)
    program = build_program(kind, signature, chosen)
    settings = {
        "lm": build_lm(spec),
        "adapter": _adapter(chosen.get("adapter", "auto"), spec),
        "callbacks": [SignatureWatch(), *([SpanCallback(context)] if context.trace else [])],
        "interpreter_factory": InterpreterFactory(context),
    }
    if hasattr(program, "aforward"):
        return _arun(program, inputs, settings)
    with dspy.context(**settings):
        return prediction_data(program(**inputs))


async def _arun(program: Any, inputs: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    import dspy

    with dspy.context(**settings):
        return prediction_data(await program.acall(**inputs))


def build_program(kind: str, signature: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Any:
    """The DSPy module for ``kind``, with the options' demonstrations in it."""
    if kind not in PROGRAM_KINDS:
        raise ProtocolError(f"There is no kind of program {kind!r}; there are {', '.join(PROGRAM_KINDS)}.")
    program = PROGRAM_KINDS[kind](_signature(signature, options), options)
    if demos := options.get("demos"):
        import dspy

        for predictor in program.predictors():
            predictor.demos = [dspy.Example(**demo) for demo in demos]
    return program


def _signature(given: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Any:
    if given is None:
        return None
    compiled = compile_signature(given["text"], name=given.get("name"), namespace=given.get("namespace"))
    if instructions := options.get("instructions"):
        compiled = compiled.with_instructions(instructions)
    return compiled.to_dspy()


def _predict(signature: Any, options: Mapping[str, Any]) -> Any:
    import dspy

    return dspy.Predict(signature)


def _chain_of_thought(signature: Any, options: Mapping[str, Any]) -> Any:
    import dspy

    return dspy.ChainOfThought(signature)


def _react(signature: Any, options: Mapping[str, Any]) -> Any:
    import dspy

    return dspy.ReAct(signature, list(options.get("tools") or ()), max_iters=options.get("max_iters") or 5)


def _program_of_thought(signature: Any, options: Mapping[str, Any]) -> Any:
    import dspy

    return dspy.ProgramOfThought(signature, max_iters=options.get("max_iters") or 3)


def _module(signature: Any, options: Mapping[str, Any]) -> Any:
    import dspy

    found = options.get("module")
    if isinstance(found, str):
        found = named_object(found)
    if isinstance(found, type):
        found = found() if signature is None else found(signature)
    if not isinstance(found, dspy.Module):
        raise ConfigurationError(
            "The module is no dspy.Module.", "module", "a dspy.Module, its class or its dotted name", repr(found)
        )
    return found


PROGRAM_KINDS: Mapping[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "predict": _predict,
    "chain_of_thought": _chain_of_thought,
    "react": _react,
    "program_of_thought": _program_of_thought,
    "module": _module,
}


def _adapter(name: str, spec: LmSpec) -> Any:
    """ "auto": for local models the brief prompt, decoded under the schema; for others DSPy's own default."""
    import dspy

    if name == "chat":
        return dspy.ChatAdapter()
    if name == "json":
        return dspy.JSONAdapter()
    if name != "auto":
        raise ConfigurationError(f"There is no adapter {name!r}.", "adapter", "auto, json or chat", name)
    if not spec.is_local:
        return dspy.ChatAdapter()
    from dspex_lab.worker.brief import BriefAdapter

    return BriefAdapter()


def prediction_data(prediction: Any) -> dict[str, Any]:
    """The fields of a ``dspy.Prediction`` (or of whatever a module returned) as plain data."""
    if hasattr(prediction, "toDict"):
        return {name: plain_data(value) for name, value in prediction.items()}
    if isinstance(prediction, Mapping):
        return {str(name): plain_data(value) for name, value in prediction.items()}
    return {"value": plain_data(prediction)}


def plain_data(value: Any) -> Any:
    """``value`` with pydantic models, dataclasses and enums as the data that they hold."""
    if isinstance(value, enum.Enum):
        return plain_data(value.value)
    if hasattr(value, "model_dump"):
        return plain_data(value.model_dump())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_data(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "toDict"):
        return prediction_data(value)
    if isinstance(value, Mapping):
        return {key: plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_data(item) for item in value]
    return value
