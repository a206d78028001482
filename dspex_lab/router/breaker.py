"""Circuit breakers: a target that keeps failing is left alone for a while, then asked with a probe.

One pure table of states; a :class:`Breaker` walks it over an injected clock. A breaker knows verdicts, and nothing of
calls; which errors are a target's own fault is ``blame``'s business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from dspex_lab.clock import Clock
from dspex_lab.errors import CircuitOpen
from dspex_lab.router.blame import Verdict

__all__ = ["TRANSITIONS", "Breaker", "BreakerPolicy", "BreakerStatistics", "Breakers", "Circuit", "Permit", "Signal"]


class Circuit(StrEnum):
    """Whether calls are let through: all of them, none, or a few probes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Signal(StrEnum):
    """What moves a circuit."""

    TOO_MANY_FAILURES = "too many failures"
    REST_IS_OVER = "rest is over"
    PROBE_ANSWERED = "probe answered"
    PROBE_FAILED = "probe failed"


#: Every step that there is; any other is a mistake of this module.
TRANSITIONS: Mapping[tuple[Circuit, Signal], Circuit] = MappingProxyType(
    {
        (Circuit.CLOSED, Signal.TOO_MANY_FAILURES): Circuit.OPEN,
        (Circuit.OPEN, Signal.REST_IS_OVER): Circuit.HALF_OPEN,
        (Circuit.HALF_OPEN, Signal.PROBE_ANSWERED): Circuit.CLOSED,
        (Circuit.HALF_OPEN, Signal.PROBE_FAILED): Circuit.OPEN,
    }
)


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a circuit opens: after ``failures`` in a row, or when of at least ``min_calls`` in the last ``window_s``
    seconds more than ``rate`` failed. It rests for ``rest_s``, then lets ``probes`` through at a time."""

    failures: int = 10
    rate: float = 0.5
    min_calls: int = 20
    window_s: float = 60.0
    rest_s: float = 15.0
    probes: int = 1

    def __post_init__(self) -> None:
        if min(self.failures, self.min_calls, self.probes) < 1 or not 0 < self.rate <= 1:
            raise ValueError(f"A breaker policy takes counts of at least 1, and a rate above 0 up to 1: {self!r}")
        if min(self.window_s, self.rest_s) <= 0:
            raise ValueError(f"A breaker policy takes times above zero: {self!r}")


@dataclass(frozen=True, slots=True)
class BreakerStatistics:
    """A circuit as it is, and why it last changed. ``calls`` and ``failures`` are those of the window, ``next_probe_s``
    is how long it will still rest (None: it does not), ``opened`` and ``refused`` count from its beginning."""

    target: str
    state: Circuit
    reason: str
    consecutive: int
    calls: int
    failures: int
    opened: int
    refused: int
    next_probe_s: float | None

    def __str__(self) -> str:
        if self.state is Circuit.CLOSED:
            return f"{self.target}: closed"
        when = "" if self.next_probe_s is None else f", next probe in {self.next_probe_s:.3g} s"
        return f"{self.target}: {self.state} ({self.reason}{when})"


@dataclass(frozen=True, slots=True)
class Permit:
    """That a call was let through. ``generation`` counts the changes before it, so that what ends after a further one
    moves nothing; with ``is_first_probe`` the circuit became half-open."""

    generation: int
    is_first_probe: bool = False


class Breaker:
    """The circuit of one target."""

    def __init__(self, target: str, policy: BreakerPolicy, clock: Clock) -> None:
        self.target = target
        self._policy = policy
        self._clock = clock
        self._state = Circuit.CLOSED
        self._permit = Permit(0)
        self._consecutive = 0
        self._window: deque[tuple[float, bool]] = deque(maxlen=max(1_000, policy.min_calls))
        self._window_failures = 0
        self._rests_until = 0.0
        self._probes_out = 0
        self._opened = self._refused = 0
        self._reason = self._said = ""

    @property
    def state(self) -> Circuit:
        return self._state

    @property
    def reason(self) -> str:
        """Why the circuit last changed, in words."""
        return self._reason

    def admit(self) -> Permit:
        """Let a call through. Raises ``CircuitOpen`` while the target rests, or has as many probes as it may."""
        if self._state is Circuit.CLOSED:
            return self._permit
        permit = self._permit
        if self._state is Circuit.OPEN:
            if (left_s := self._rests_until - self._clock.monotonic()) > 0:
                raise self._refusal(f"The next try is let through in {left_s:.3g} s.", left_s)
            self._move(Signal.REST_IS_OVER, "its rest is over, a probe is let through")
            permit = Permit(self._permit.generation, is_first_probe=True)
        elif self._probes_out >= self._policy.probes:
            raise self._refusal("A probe is under way; what comes after it will be known.")
        self._probes_out += 1
        return permit

    def record(self, permit: Permit, verdict: Verdict, *, said: str = "") -> bool:
        """Note how a call that was let through ended, and what a failure ``said``; whether the circuit changed by
        it."""
        self._said = said or self._said
        if permit.generation != self._permit.generation:
            return False
        if self._state is Circuit.HALF_OPEN:
            return self._record_probe(verdict)
        if verdict is Verdict.NEITHER:
            return False
        has_failed = verdict is Verdict.FAILED
        self._consecutive = self._consecutive + 1 if has_failed else 0
        self._add(has_failed)
        if not has_failed:
            return False
        reason = self._too_many()
        if reason:
            self._move(Signal.TOO_MANY_FAILURES, reason)
        return bool(reason)

    def statistics(self) -> BreakerStatistics:
        """Safe from any thread."""
        now = self._clock.monotonic()
        since = now - self._policy.window_s
        lately = [has_failed for at, has_failed in tuple(self._window) if at >= since]
        left_s = max(0.0, self._rests_until - now) if self._state is Circuit.OPEN else None
        return BreakerStatistics(
            self.target,
            self._state,
            self._reason,
            self._consecutive,
            len(lately),
            sum(lately),
            self._opened,
            self._refused,
            left_s,
        )

    def _record_probe(self, verdict: Verdict) -> bool:
        self._probes_out -= 1
        if verdict is Verdict.NEITHER:
            return False
        if verdict is Verdict.FAILED:
            self._move(Signal.PROBE_FAILED, "the probe failed too")
        else:
            self._move(Signal.PROBE_ANSWERED, "the probe was answered")
        return True

    def _too_many(self) -> str:
        """Why the failures are too many; "" when they are not."""
        policy = self._policy
        if self._consecutive >= policy.failures:
            return f"{self._consecutive} failures in a row"
        self._forget_old()
        calls = len(self._window)
        if calls >= policy.min_calls and self._window_failures > policy.rate * calls:
            return f"{self._window_failures} of {calls} calls failed within {policy.window_s:g} s"
        return ""

    def _add(self, has_failed: bool) -> None:
        window = self._window
        if len(window) == window.maxlen:
            self._window_failures -= window.popleft()[1]
        window.append((self._clock.monotonic(), has_failed))
        self._window_failures += has_failed

    def _forget_old(self) -> None:
        since = self._clock.monotonic() - self._policy.window_s
        while self._window and self._window[0][0] < since:
            self._window_failures -= self._window.popleft()[1]

    def _move(self, signal: Signal, reason: str) -> None:
        state = TRANSITIONS.get((self._state, signal))
        if state is None:
            raise RuntimeError(f"A circuit that is {self._state} knows no {signal!s}.")
        self._state = state
        self._reason = reason
        self._permit = Permit(self._permit.generation + 1)
        self._probes_out = 0
        if state is Circuit.OPEN:
            self._rests_until = self._clock.monotonic() + self._policy.rest_s
            self._opened += 1
        elif state is Circuit.CLOSED:
            self._consecutive = self._window_failures = 0
            self._window.clear()

    def _refusal(self, when: str, left_s: float | None = None) -> CircuitOpen:
        self._refused += 1
        last = f" The last said: {self._said}" if self._said else ""
        error = CircuitOpen(
            f"{self.target} is left alone for now: {self._reason}.{last}",
            hint=f"{when} With fallback= another model, pool or step takes over.",
        )
        error.retry_after_s = left_s
        return error

    def __repr__(self) -> str:
        return f"<Breaker [{self.target}, {self._state}, in a row: {self._consecutive}, refused: {self._refused}]>"


class Breakers:
    """The breaker of each target that was ever called."""

    def __init__(self, policy: BreakerPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}

    def of(self, target: str) -> Breaker:
        breaker = self._breakers.get(target)
        if breaker is None:
            breaker = self._breakers[target] = Breaker(target, self._policy, self._clock)
        return breaker

    def statistics(self) -> tuple[BreakerStatistics, ...]:
        return tuple(one.statistics() for one in tuple(self._breakers.values()))

    def __repr__(self) -> str:
        open_now = [one.target for one in self._breakers.values() if one.state is not Circuit.CLOSED]
        return f"<Breakers [targets: {len(self._breakers)}, not closed: {', '.join(open_now) or 'none'}]>"
