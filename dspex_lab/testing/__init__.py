"""Fakes that are shipped; each passes the contract tests of the real thing."""

from __future__ import annotations

from dspex_lab.testing.clock import FakeClock

__all__ = ["FakeClock"]
