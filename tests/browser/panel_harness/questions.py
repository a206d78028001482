"""A run that asks people, with no host: shows its panel in the cell and holds the cell until it is answered."""

from __future__ import annotations

from typing import Any

from dspex_lab.lab import Lab
from dspex_lab.magics.pipeline_magic import show_run
from dspex_lab.pipelines import Run, ask, native, pipeline
from dspex_lab.testing import FakeBackend

__all__ = ["demo"]

_ANSWER = (
    "approved: bool, tone: Literal['warm', 'short'], stars: Annotated[int, Field(ge=1, le=5)], "
    "comment: str = '', tags: list[str] = []"
)


def demo(**options: Any) -> Run:
    """Ask about a reply; the run's last step says what was answered."""
    with Lab(backend=FakeBackend({})) as lab:
        made = pipeline(
            "review",
            start=lab.launcher.start,
            reply=native(lambda name: f"Dear {name}, we have refunded the second charge."),
            check=ask("Is this reply all right?", shows=["reply"], answer=_ANSWER, **options),
            verdict=native(
                lambda approved, tone, stars, comment, tags: f"{approved} {tone} {stars + 0} {comment} {tags}"
            ),
        )
        run = made.submit(name="Ada")
        show_run(lab, run)
    return run
