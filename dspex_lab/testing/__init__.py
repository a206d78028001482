"""Fakes that are shipped; each passes the contract tests of the real thing."""

from __future__ import annotations

from dspex_lab.testing.backend import FakeBackend, FakeCall
from dspex_lab.testing.clock import FakeClock

__all__ = ["FakeBackend", "FakeCall", "FakeClock"]
