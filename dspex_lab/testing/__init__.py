"""Fakes that are shipped; each passes the contract tests of the real thing."""

from __future__ import annotations

from dspex_lab.testing.backend import FakeBackend, FakeCall
from dspex_lab.testing.clock import FakeClock
from dspex_lab.testing.language_model import FakeLanguageModel
from dspex_lab.testing.openai_server import OpenAiServer, ServerStatistics
from dspex_lab.testing.scripted_answers import Behaviour

__all__ = ["Behaviour", "FakeBackend", "FakeCall", "FakeClock", "FakeLanguageModel", "OpenAiServer", "ServerStatistics"]
