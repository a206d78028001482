"""The one Protocol of every language-model engine. Engines live on the worker's services loop.

Implementations: ``llamacpp`` and ``transformers`` (local, in the ``neural`` pool), ``pool`` (asks the ``neural`` pool,
from any other worker), ``openai`` (any OpenAI-form endpoint), ``litellm`` (every other provider). All pass
``tests/contracts/test_engine.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from dspex_lab.calls import LmReply, LmRequest

__all__ = ["Engine", "LoadingEngine", "OnText"]

#: Called with each piece of text as it is generated, in order, awaited before the next piece is taken: a slow
#: reader slows the engine. Raising from it stops the generation at once.
OnText = Callable[[str], Awaitable[None]]


class Engine(Protocol):
    """Answers :class:`LmRequest` s. Many may be under way at the same time."""

    async def complete(self, request: LmRequest, on_text: OnText | None = None) -> LmReply:
        """The whole answer; ``on_text`` gets its pieces before. Cancelling the task stops the generation at once.

        Raises ``ModelError`` (a model that is not there: not retryable; a rate limit or a server's failure:
        ``retryable=True``), ``DeadlineExceeded`` after ``request.lm.timeout_s``.
        """
        ...

    async def aclose(self) -> None:
        """Let go of models, connections and processes. Safe to call twice."""
        ...


@runtime_checkable
class LoadingEngine(Engine, Protocol):
    """One whose models take their time to load."""

    async def load(self, model: str) -> None:
        """Have ``model`` ready before anybody asks it. Raises ``ModelError``."""
        ...
