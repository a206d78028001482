"""Tasks that end together: the first error ends the others, and is raised as it is.

Knows nothing of steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["FirstErrorGroup"]


class FirstErrorGroup:
    """A task group that raises the first error as it is, not a group of one."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._group.create_task(work)
        except RuntimeError:
            # The group is shutting down: a user's function that swallowed its cancellation got here too late.
            work.close()

    async def __aenter__(self) -> FirstErrorGroup:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *details: Any) -> None:
        first: BaseException | None = None
        try:
            await self._group.__aexit__(*details)
        except BaseExceptionGroup as group:
            first = _first(group)
        # Raised out here, or the group would be its context, and IPython shows groups its own long way.
        if first is not None:
            raise first


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
