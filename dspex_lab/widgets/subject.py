"""What a live panel is about: how it is read, what may be ordered there, and how it looks without a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Reply", "Subject"]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to an order: plain data, and bytes that go beside it."""

    value: Any = None
    buffers: tuple[bytes, ...] = ()


def _is_never_settled(_state: Mapping[str, Any]) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Subject:
    """One panel's subject. ``name`` is that of its module and style sheet: ``static/NAME_panel.js``, ``NAME_view.css``.

    ``read()`` gives the state as plain data, and is called on a thread of the panel's; ``html`` and ``text`` render it
    for saved notebooks and for terminals. ``orders`` are what a page may ask for, by name, with plain parameters;
    those in ``free`` change nothing, so that nothing is read after them. When ``is_settled(state)`` holds nothing will
    change any more. It is read every ``interval_s``.
    """

    name: str
    read: Callable[[], dict[str, Any]]
    html: Callable[[Mapping[str, Any]], str]
    text: Callable[[Mapping[str, Any]], str]
    orders: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    free: frozenset[str] = frozenset()
    is_settled: Callable[[Mapping[str, Any]], bool] = _is_never_settled
    interval_s: float = 1.0

    def order(self, name: str, params: Any) -> Any:
        """Carry out what a page ordered; its value is plain data, or a :class:`Reply`. ``TypeError`` for what is no
        order."""
        found = self.orders.get(name)
        if found is None or not isinstance(params, dict):
            raise TypeError(f"There is no order {name!r}.")
        return found(**params)
