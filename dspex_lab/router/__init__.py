"""Which implementation a call takes, and what is done when it fails."""

from __future__ import annotations

from dspex_lab.router.breaker import BreakerPolicy, BreakerStatistics, Circuit
from dspex_lab.router.budget import Account, AccountStatistics, Budget, checked_budget
from dspex_lab.router.cache_policy import CachePolicy, cache_policy_of
from dspex_lab.router.execution import OnChunk
from dspex_lab.router.loading import load_call
from dspex_lab.router.native import call_plain
from dspex_lab.router.operation import EmitEvent, Implementation, Operation, Options, Outcome, RunContext, needs_of
from dspex_lab.router.overview import LabStatistics
from dspex_lab.router.python_calls import BuildCall, CallSettings, build_dspy_call, build_function_call, choose_lm
from dspex_lab.router.registry import Registry
from dspex_lab.router.result_cache import ResultCaches
from dspex_lab.router.result_key import local_mark
from dspex_lab.router.retry import RetryPolicy
from dspex_lab.router.router import Router
from dspex_lab.router.straight import call_straight, may_be_straight, tell_straight
from dspex_lab.router.strategies import Decision, Route, RouterStatistics, Strategy, WayStatistics

__all__ = [
    "Account",
    "AccountStatistics",
    "BreakerPolicy",
    "BreakerStatistics",
    "Budget",
    "BuildCall",
    "CachePolicy",
    "CallSettings",
    "Circuit",
    "Decision",
    "EmitEvent",
    "Implementation",
    "LabStatistics",
    "OnChunk",
    "Operation",
    "Options",
    "Outcome",
    "Registry",
    "ResultCaches",
    "RetryPolicy",
    "Route",
    "Router",
    "RouterStatistics",
    "RunContext",
    "Strategy",
    "WayStatistics",
    "build_dspy_call",
    "build_function_call",
    "cache_policy_of",
    "call_plain",
    "call_straight",
    "checked_budget",
    "choose_lm",
    "load_call",
    "local_mark",
    "may_be_straight",
    "needs_of",
    "tell_straight",
]
