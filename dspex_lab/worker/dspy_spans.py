"""DSPy's modules and tools as spans: a DSPy callback, one per operation. Imports DSPy.

Model attempts are spans of the engines' own (``engines.router``), where retries and tokens are known; DSPy's callback
for them knows neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspy.utils.callback import BaseCallback

from dspex_lab.telemetry import ActiveSpan
from dspex_lab.telemetry import attributes as names
from dspex_lab.worker.context import OpContext

__all__ = ["SpanCallback"]


class SpanCallback(BaseCallback):  # type: ignore[misc]  # DSPy publishes no types: its classes are Any to mypy
    """Begins a span with each module and tool of the operation ``context``, and ends it with them.

    A span begun on a thread of DSPy's own, which inherits no context, hangs under the operation itself.
    """

    def __init__(self, context: OpContext) -> None:
        self._context = context
        self._active: dict[str, ActiveSpan] = {}

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        what = {names.KIND: "module", names.INPUTS: inputs.get("kwargs", inputs)}
        self._begin(call_id, type(instance).__name__, what)

    def on_module_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        self._end(call_id, outputs, exception)

    def on_tool_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        name = getattr(instance, "name", None) or type(instance).__name__
        what = {
            names.KIND: "tool",
            names.OPERATION_NAME: "execute_tool",
            names.TOOL_NAME: name,
            names.INPUTS: inputs.get("kwargs", inputs),
        }
        self._begin(call_id, f"execute_tool {name}", what)

    def on_tool_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        self._end(call_id, outputs, exception)

    def _begin(self, call_id: str, name: str, attributes: Mapping[str, Any]) -> None:
        span = self._context.span(name, attributes)
        span.__enter__()
        self._active[call_id] = span

    def _end(self, call_id: str, outputs: Any | None, exception: BaseException | None) -> None:
        span = self._active.pop(call_id, None)
        if span is None:
            return
        if outputs is not None:
            span.set({names.OUTPUTS: dict(outputs) if isinstance(outputs, Mapping) else _shown(outputs)})
        span.__exit__(type(exception) if exception else None, exception, None)


def _shown(outputs: Any) -> Any:
    """A prediction by its fields; whatever else as it is."""
    return dict(outputs.items()) if hasattr(outputs, "items") else outputs
