"""How a batch is to go: frozen options, checked as they are given. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from dspex_lab.errors import ConfigurationError
from dspex_lab.router import Budget, checked_budget

__all__ = ["MapOptions", "OnError"]

OnError = Literal["record", "raise"]

_FORMATS = (".csv", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True, slots=True)
class MapOptions:
    """The options of a batch.

    ``concurrency`` is how many rows are under way at a time; None: as many as what is called can take, which is found
    out. ``on_error`` "record" keeps a row's error beside it, "raise" ends the batch with the first. ``to`` is a CSV,
    JSONL or Parquet file to write to. ``resume`` goes on with the latest batch of the same pipeline (True), or with the
    one of an id. ``inputs`` says which column is which input. A batch that is not ``durable`` is not written down.
    ``budget`` is what all of its rows may use.
    """

    concurrency: int | None = None
    on_error: OnError = "record"
    to: Path | None = None
    resume: bool | str = False
    inputs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    durable: bool = True
    budget: Budget | None = None

    def __post_init__(self) -> None:
        if self.concurrency is not None and self.concurrency < 1:
            raise ConfigurationError("concurrency is 1 or more.", "concurrency", "1 or more", str(self.concurrency))
        checked_budget(self.budget)
        if self.on_error not in get_args(OnError):
            raise ConfigurationError(
                f"on_error is not {self.on_error!r}.", "on_error", '"record" or "raise"', str(self.on_error)
            )
        if self.to is not None and self.to.suffix.lower() not in _FORMATS:
            raise ConfigurationError(
                f"{self.to.name} cannot be written.",
                "to",
                ", ".join(_FORMATS),
                self.to.suffix,
                hint="Results go to a .csv, .jsonl or .parquet file.",
            )
        if self.resume and not self.durable:
            raise ConfigurationError("Only what was written down can be resumed.", "durable", "True", "False")
