"""How many rows are under way at a time: more while all goes well, half as many when somebody has enough.

Pure: :func:`paced` makes the next :class:`Pace` from the last one and what was observed. Additive increase and
multiplicative decrease, as TCP does it: the limit doubles from round to round until the first refusal, then it grows by
one a round. A number that the user gave stays; what was asked to wait for is waited for in any case.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dspex_lab.errors import CircuitOpen, DeadlineExceeded, ModelError, PoolSaturated

__all__ = [
    "TOO_MANY",
    "Overload",
    "Pace",
    "RowEnd",
    "first_pace",
    "fixed_pace",
    "may_come_again",
    "overload_of",
    "paced",
]

_FIRST = 16.0
_MOST = 256.0
_LEAST = 1.0
_CUT = 0.5
#: How long nothing begins after a refusal that names no time.
_PAUSE_S = 0.5
#: Nobody is believed who asks to wait for longer.
_MAX_WAIT_S = 300.0
#: The statuses by which a provider says that it has enough.
TOO_MANY = frozenset({429, 503, 529})


@dataclass(frozen=True, slots=True)
class Pace:
    """``limit`` rows may be under way, and none begins before ``hold_until``; times are the clock's monotonic seconds.

    ``cut_at`` is when the limit was cut last (None: never): only what began later may cut it again, for one burst of
    refusals is one refusal. ``is_growing``: it doubles from round to round.
    """

    limit: float
    most: float = _MOST
    least: float = _LEAST
    hold_until: float = 0.0
    cut_at: float | None = None
    is_growing: bool = True

    @property
    def places(self) -> int:
        return int(self.limit)

    def wait_s(self, now: float) -> float:
        """How long nothing may begin, from now on."""
        return max(0.0, self.hold_until - now)


@dataclass(frozen=True, slots=True)
class RowEnd:
    """A row ended without a refusal. ``was_full``: the limit was reached while it was under way; ``has_queued``: it
    waited for a worker for longer than it was worked on, so that more at a time would only wait the longer."""

    was_full: bool = True
    has_queued: bool = False


@dataclass(frozen=True, slots=True)
class Overload:
    """Somebody has enough: a model that limits its rate, a full queue, no answer in time. ``began`` is when what was
    refused had begun; ``wait_s`` what was asked to wait for."""

    at: float
    began: float
    wait_s: float | None = None


def first_pace(*, most: int | None = None) -> Pace:
    """Where a batch begins that finds out by itself."""
    ceiling = _MOST if most is None else float(most)
    return Pace(min(_FIRST, ceiling), ceiling)


def fixed_pace(concurrency: int) -> Pace:
    """Always so many."""
    return Pace(float(concurrency), float(concurrency), float(concurrency), is_growing=False)


def paced(pace: Pace, seen: RowEnd | Overload) -> Pace:
    """The next pace."""
    return _slower(pace, seen) if isinstance(seen, Overload) else _faster(pace, seen)


def overload_of(error: BaseException) -> tuple[bool, float | None]:
    """Whether ``error`` says that somebody has enough, and how long they ask to wait (None: they do not say)."""
    if isinstance(error, ModelError):
        return error.status in TOO_MANY, error.retry_after_s
    if isinstance(error, CircuitOpen):
        return True, error.retry_after_s
    return isinstance(error, PoolSaturated | DeadlineExceeded), None


def may_come_again(error: BaseException) -> bool:
    """Whether what ended so may be tried again when there is room. A time that is over is over."""
    return overload_of(error)[0] and not isinstance(error, DeadlineExceeded)


def _faster(pace: Pace, end: RowEnd) -> Pace:
    # A limit that is not reached says nothing about a higher one.
    if end.has_queued or not end.was_full or pace.limit >= pace.most:
        return pace
    step = 1.0 if pace.is_growing else 1.0 / pace.limit
    return replace(pace, limit=min(pace.most, pace.limit + step))


def _slower(pace: Pace, refusal: Overload) -> Pace:
    is_new = pace.cut_at is None or refusal.began >= pace.cut_at
    wait_s = refusal.wait_s if refusal.wait_s is not None else (_PAUSE_S if is_new else 0.0)
    hold_until = max(pace.hold_until, refusal.at + min(wait_s, _MAX_WAIT_S))
    if not is_new:
        return replace(pace, hold_until=hold_until)
    limit = max(pace.least, pace.limit * _CUT)
    return replace(pace, limit=limit, hold_until=hold_until, cut_at=refusal.at, is_growing=False)
