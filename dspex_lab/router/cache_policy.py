"""How a step's outputs are kept: a value, and nothing that keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dspex_lab.errors import ConfigurationError

__all__ = ["CachePolicy", "cache_policy_of"]


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """Keep outputs for ``ttl_s`` seconds (None: until there is no more room), in this process's memory or on disk.

    ``refresh`` makes them anew and keeps these. A step with tools is kept only ``with_tools``: what its tools did is
    not done again for an answer that was kept.
    """

    ttl_s: float | None = None
    place: Literal["memory", "disk"] = "memory"
    refresh: bool = False
    with_tools: bool = False

    def __post_init__(self) -> None:
        if self.place not in ("memory", "disk"):
            raise ConfigurationError(
                f"There is no cache {self.place!r}.", "cache.place", "memory or disk", repr(self.place)
            )
        if self.ttl_s is not None and not self.ttl_s > 0:
            raise ConfigurationError("ttl_s is more than zero.", "cache.ttl_s", "seconds", repr(self.ttl_s))


def cache_policy_of(given: CachePolicy | bool | None) -> CachePolicy | None:
    """What ``cache=`` of a step means. Raises ``ConfigurationError``."""
    if given is None or isinstance(given, CachePolicy):
        return given
    if isinstance(given, bool):
        return CachePolicy() if given else None
    raise ConfigurationError(
        f"cache is on, off or a CachePolicy, not a {type(given).__name__}.",
        "cache",
        "True, False or a CachePolicy",
        repr(given),
        hint="For example cache=True, or cache=CachePolicy(ttl_s=3600, place='disk').",
    )
