"""The python route's calls: pure functions of an operation and its inputs to a :class:`Call`.

The forms of the arguments are the contract with the worker's operations (``dspy.run``, ``python.call``); this module
knows nothing of how a call travels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from dspex_lab.calls import Call, Code, LmSpec, Needs, Priority, TraceContext
from dspex_lab.router.operation import Operation
from dspex_lab.signatures import CompiledSignature

__all__ = ["BuildCall", "CallSettings", "build_dspy_call", "build_function_call", "choose_lm", "instructions_for"]


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What a call needs beside its operation and inputs. ``feedback`` tells the model why its last answer was
    refused; ``timeout_s`` is what is left of the step's time."""

    pool: str
    lm: LmSpec
    timeout_s: float | None = None
    trace: TraceContext | None = None
    is_streaming: bool = False
    feedback: str = ""
    needs: Needs | None = None
    priority: Priority = "interactive"


BuildCall = Callable[[Operation, Mapping[str, Any], CallSettings], Call]


def build_dspy_call(operation: Operation, inputs: Mapping[str, Any], settings: CallSettings) -> Call:
    """A DSPy module in a worker."""
    options = dict(operation.settings)
    if operation.tools:
        options["tools"] = Code(list(operation.tools))
    if operation.module is not None:
        options["module"] = operation.module if isinstance(operation.module, str) else Code(operation.module)
    instructions = instructions_for(operation, settings.feedback)
    if instructions is not None:
        options["instructions"] = instructions
    return _call(
        "dspy.run",
        {
            "kind": operation.kind,
            "signature": _signature_arguments(operation.signature),
            "inputs": dict(inputs),
            "lm": msgspec.to_builtins(settings.lm),
            "options": options,
        },
        operation,
        settings,
    )


def build_function_call(operation: Operation, inputs: Mapping[str, Any], settings: CallSettings) -> Call:
    """A user's plain or asynchronous function in a worker."""
    args = {"function": Code(operation.function), "args": [], "kwargs": dict(inputs)}
    return _call("python.call", args, operation, settings)


def choose_lm(asked: LmSpec | str | None, default: LmSpec) -> LmSpec:
    """The language model of a step. A bare name keeps the default's figures, and its address and key only when it
    names the same provider: a key never goes to anybody else."""
    if asked is None:
        return default
    if isinstance(asked, LmSpec):
        return asked
    if asked.split("/", 1)[0] == default.model.split("/", 1)[0]:
        return replace(default, model=asked)
    return replace(default, model=asked, api_base=None, api_key=None)


def instructions_for(operation: Operation, feedback: str) -> str | None:
    """The instructions that replace those of the signature: the step's own, with ``feedback`` behind them; None when
    there are neither."""
    own: str | None = operation.settings.get("instructions") or None
    if not feedback:
        return own
    given = operation.signature.instructions if own is None and operation.signature is not None else own
    return f"{given}\n\n{feedback}" if given else feedback


def _call(op: str, args: Mapping[str, Any], operation: Operation, settings: CallSettings) -> Call:
    return Call(
        op=op,
        args=args,
        pool=settings.pool,
        timeout_s=settings.timeout_s,
        trace=settings.trace,
        stream=settings.is_streaming,
        idempotent=operation.is_idempotent,
        needs=settings.needs,
        priority=settings.priority,
    )


def _signature_arguments(signature: CompiledSignature | None) -> dict[str, Any] | None:
    if signature is None:
        return None
    source = signature.source()
    namespace = Code(dict(source.namespace)) if source.namespace else None
    return {"text": source.text, "name": source.name, "namespace": namespace}
