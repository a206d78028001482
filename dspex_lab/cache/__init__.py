"""Caches with a time to live and a bound, in memory and on disk, with one producer for many who wait."""

from __future__ import annotations

from dspex_lab.cache.base import Cache, Cached, CacheStatistics, Fetched, Producer
from dspex_lab.cache.content import content_of
from dspex_lab.cache.disk import DiskCache
from dspex_lab.cache.key import content_key
from dspex_lab.cache.memory import MemoryCache

__all__ = [
    "Cache",
    "CacheStatistics",
    "Cached",
    "DiskCache",
    "Fetched",
    "MemoryCache",
    "Producer",
    "content_key",
    "content_of",
]
