"""The shipper: batches, patience with a receiver that is away, bounds, and never a wait for who makes spans."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from dspex_lab.errors import ConfigurationError
from dspex_lab.telemetry import Span
from dspex_lab.telemetry.export import Shipper
from dspex_lab.telemetry.export import shipper as module
from dspex_lab.testing import FakeClock

AWAY = ConfigurationError("nobody there", retryable=True)
NEVER = ConfigurationError("HTTP 401", retryable=False)


class Target:
    """A receiver: what it took, or the error that it has for whoever comes."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.batches: list[list[Span]] = []
        self.tries = 0

    def send(self, spans: Sequence[Span]) -> int:
        self.tries += 1
        if self.error is not None:
            raise self.error
        self.batches.append(list(spans))
        return len(spans)


def spans(count: int, **attributes: str) -> list[Span]:
    return [Span("a" * 32, f"{number:016x}", None, str(number), 1.0, 2.0, "ok", attributes) for number in range(count)]


@pytest.fixture
def target() -> Target:
    return Target()


async def test_what_waits_is_shipped_in_batches_and_in_order(target: Target) -> None:
    """Each span once."""
    shipper = Shipper(target.send)
    shipper.put(spans(1_200))
    assert await shipper.ship()
    assert [len(batch) for batch in target.batches] == [512, 512, 176]
    assert [span.name for batch in target.batches for span in batch] == [str(number) for number in range(1_200)]
    assert repr(shipper) == "<Shipper [waiting: 0, shipped: 1200, dropped: 0]>"
    await shipper.aclose()


async def test_a_receiver_that_is_away_gets_it_later(target: Target, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is lost, and the log has one line."""
    shipper = Shipper(target.send)
    shipper.put(spans(3))
    target.error = AWAY
    for _ in range(3):
        assert not await shipper.ship()
    assert caplog.text.count("nobody there") == 1
    target.error = None
    assert await shipper.ship()
    assert [len(batch) for batch in target.batches] == [3]
    await shipper.aclose()


async def test_a_receiver_that_says_no_for_good_costs_what_it_was_given(target: Target) -> None:
    """And is asked again for the next, without holding up anything."""
    shipper = Shipper(target.send)
    shipper.put(spans(3))
    target.error = NEVER
    assert await shipper.ship()
    assert shipper.statistics().dropped == 3
    await shipper.aclose()


async def test_what_is_too_much_goes_oldest_first(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is counted, also when a batch comes back."""
    monkeypatch.setattr(module, "_MAX_WAITING", 4)
    shipper = Shipper(target.send)
    shipper.put(spans(6))
    target.error = AWAY
    await shipper.ship()
    assert (shipper.statistics().waiting, shipper.statistics().dropped) == (4, 2)
    target.error = None
    await shipper.ship()
    assert [span.name for span in target.batches[0]] == ["2", "3", "4", "5"]
    await shipper.aclose()


async def test_prompts_and_secrets_are_not_shipped(target: Target) -> None:
    """Where prompts are off; secrets never are."""
    shipper = Shipper(target.send, record_prompts=False)
    shipper.put(spans(1, api_key="x", prompt="private", model="m"))
    await shipper.ship()
    assert target.batches[0][0].attributes == {"model": "m"}
    await shipper.aclose()


@pytest.fixture
async def serving(target: Target) -> AsyncIterator[tuple[Shipper, FakeClock]]:
    clock = FakeClock()
    shipper = Shipper(target.send, clock)
    task = asyncio.create_task(shipper.serve())
    await clock.wait_for_sleepers()
    yield shipper, clock
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await shipper.aclose()


async def test_it_waits_longer_for_who_is_away(serving: tuple[Shipper, FakeClock], target: Target) -> None:
    """Twice as long each time."""
    shipper, clock = serving
    target.error = AWAY
    shipper.put(spans(1))
    for expected, wait_s in enumerate((1, 2, 4, 8), 1):
        clock.advance(wait_s)
        async with asyncio.timeout(10):
            while target.tries < expected or not clock.sleepers:  # noqa: ASYNC110 - of a thread
                await asyncio.sleep(0)
    clock.advance(15)
    await clock.settle()
    assert target.tries == 4


async def test_a_receiver_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither who puts spans in nor the end."""
    monkeypatch.setattr(module, "_CLOSE_S", 0.05)
    is_over = threading.Event()

    def hang(_: Sequence[Span]) -> int:
        is_over.wait(10)
        return 0

    shipper = Shipper(hang)
    shipper.put(spans(1))
    async with asyncio.timeout(5):
        await shipper.aclose()
    is_over.set()
