"""Sessions hold the same in this process and on a real pool host, through the object that users have."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from dspex_lab.backends.base import Backend
from dspex_lab.backends.inline import InlineBackend
from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.errors import ConfigurationError, DeadlineExceeded, LabError, PythonError, SessionLost
from dspex_lab.portal import Portal
from dspex_lab.sessions import Session
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site

POOLS = (PoolSpec(name="general", size=3, min_ready=2),)
MakeSession = Callable[..., Session]


@pytest.fixture(scope="module", autouse=True)  # set up before any test looks for leaks
def host() -> Iterator[Settings]:
    """One host for all tests of this file: starting one takes seconds."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    site = Site()
    settings = site.settings(*POOLS)

    async def start() -> None:
        backend = KernelBackend(settings)
        await backend.open()
        await backend.request("pools.start", name="general")
        await backend.aclose()

    asyncio.run(start())
    yield settings
    site.end()


@pytest.fixture(params=["inline", "kernels"])
def make(request: pytest.FixtureRequest, host: Settings) -> Iterator[MakeSession]:
    """Makes sessions of one backend, and closes them."""
    made: list[Session] = []
    with Portal() as portal:
        makers: dict[str, Callable[[], Backend]] = {"inline": InlineBackend, "kernels": lambda: KernelBackend(host)}
        backend = portal.call_soon(makers[request.param])
        portal.run(backend.open)

        def make(**options: Any) -> Session:
            made.append(Session(backend, portal, **options))
            return made[-1]

        yield make
        for session in made:
            session.close()
        portal.run(backend.aclose)


def add(state: dict[str, Any], amount: int) -> int:
    state["total"] = state.get("total", 0) + amount
    return int(state["total"])


def keep(state: dict[str, Any], **values: Any) -> None:
    state.update(values)


def keep_a_function(state: dict[str, Any]) -> None:
    state["function"] = lambda: 1


def note(path: str, name: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{name}\n")


async def add_later(amount: int, *, state: dict[str, Any]) -> int:
    before = state.get("total", 0)
    await asyncio.sleep(0.05)
    state["total"] = before + amount
    return int(state["total"])


async def wait_long(mark: str) -> None:
    touch(mark)
    await asyncio.sleep(60)


def touch(mark: str) -> None:
    Path(mark).touch()


def fail() -> None:
    raise ValueError("no")


def wait_for(path: Path) -> None:
    """Wait for what another process or thread writes."""
    waiter = threading.Event()
    for _ in range(2_000):
        if path.exists():
            return
        waiter.wait(0.01)
    raise TimeoutError(str(path))


def twin(session: Session) -> Session:
    """The same session under another object."""
    made = Session(session._backend, session._portal)
    made._id = session.statistics().id
    return made


@contextlib.contextmanager
def within(session: Session, timeout_s: float) -> Iterator[Session]:
    """The session with less time for each call, in the block."""
    before, session.timeout_s = session.timeout_s, timeout_s
    try:
        yield session
    finally:
        session.timeout_s = before


# --- state --------------------------------------------------------------------------------------------------------


def test_state_stays_from_call_to_call(make: MakeSession) -> None:
    """What one call leaves, the next one finds."""
    session = make()
    assert [session.call(add, 1), session.call(add, 2), session.call(add, amount=3)] == [1, 3, 6]


def test_sessions_share_nothing(make: MakeSession) -> None:
    """Each has a state of its own."""
    one, two = make(), make()
    assert [one.call(add, 1), two.call(add, 10), one.call(add, 1)] == [1, 10, 2]


def test_functions_without_a_state_are_called_as_they_are(make: MakeSession) -> None:
    """Only who takes a parameter called state is given it, and a dotted name is a function too."""
    session = make()
    assert (session.call("math.gcd", 12, 18), session.call(max, 1, 2)) == (6, 2)


def test_the_state_that_is_shown_is_a_copy_of_its_plain_data(make: MakeSession) -> None:
    """What cannot travel is left out, and the copy cannot be written to."""
    session = make()
    session.call(keep, text="é", numbers=[1, 2.5])
    session.call(keep_a_function)
    state = session.state
    assert dict(state) == {"text": "é", "numbers": [1, 2.5]}
    with pytest.raises(TypeError):
        state["text"] = "x"  # type: ignore[index]


def test_a_failed_call_leaves_the_state(make: MakeSession) -> None:
    """What the user's function raises ends its call alone."""
    session = make()
    session.call(add, 1)
    with pytest.raises(PythonError):
        session.call(fail)
    assert session.call(add, 1) == 2


# --- order --------------------------------------------------------------------------------------------------------


async def test_calls_run_one_after_another(make: MakeSession) -> None:
    """Asynchronous functions too: none sees the state half-way through another."""
    session = make()
    assert await asyncio.gather(*(session.acall(add_later, 1) for _ in range(5))) == [1, 2, 3, 4, 5]


async def test_the_order_of_the_calls_is_kept(make: MakeSession, tmp_path: Path) -> None:
    """First come, first served."""
    session, names = make(), [str(number) for number in range(20)]
    await asyncio.gather(*(session.acall(note, str(tmp_path / "notes"), name) for name in names))
    assert (tmp_path / "notes").read_text().split() == names


async def test_a_cancelled_call_lets_the_next_one_go(make: MakeSession, tmp_path: Path) -> None:
    """Cancelling the wait cancels the call; the session and its state live on."""
    session = make()
    await session.acall(add, 1)
    running = asyncio.create_task(session.acall(wait_long, str(tmp_path / "mark")))
    await asyncio.to_thread(wait_for, tmp_path / "mark")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await session.acall(add, 1) == 2


async def test_a_call_s_time_includes_its_wait(make: MakeSession, tmp_path: Path) -> None:
    """A call behind a long one is DeadlineExceeded at its time, and never runs."""
    session = make()
    running = asyncio.create_task(session.acall(wait_long, str(tmp_path / "mark")))
    await asyncio.to_thread(wait_for, tmp_path / "mark")
    with within(session, 0.2), pytest.raises(DeadlineExceeded):
        await session.acall(note, str(tmp_path / "never"), "x")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await session.acall(add, 1) == 1
    assert not (tmp_path / "never").exists()


async def test_a_call_past_its_time_leaves_the_session(make: MakeSession, tmp_path: Path) -> None:
    """It is DeadlineExceeded and stopped; the next call runs."""
    session = make()
    await session.acall(add, 1)
    with within(session, 0.2), pytest.raises(DeadlineExceeded):
        await session.acall(wait_long, str(tmp_path / "mark"))
    assert await session.acall(add, 1) == 2


# --- the end ------------------------------------------------------------------------------------------------------


def test_after_closing_nothing_runs(make: MakeSession) -> None:
    """close() is for good, and for nothing the second time."""
    with make() as session:
        session.call(add, 1)
    session.close()
    with pytest.raises(SessionLost):
        session.call(add, 1)
    with pytest.raises(SessionLost):
        _ = session.state


async def test_closing_ends_what_is_under_way(make: MakeSession, tmp_path: Path) -> None:
    """Calls that run and wait are SessionLost."""
    session = make()
    calls = [
        asyncio.create_task(session.acall(wait_long, str(tmp_path / "mark"))),
        asyncio.create_task(session.acall(add, 1)),
    ]
    await asyncio.to_thread(wait_for, tmp_path / "mark")
    await session.aclose()
    found = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
    assert [type(one) for one in found] == [SessionLost, SessionLost]


async def test_it_is_an_asynchronous_context_manager(make: MakeSession) -> None:
    """async with opens it and closes it."""
    async with make() as session:
        assert await session.acall(add, 2) == 2
        assert dict(await session.astate()) == {"total": 2}
    with pytest.raises(SessionLost):
        await session.acall(add, 1)


def test_it_expires(make: MakeSession) -> None:
    """After idle_expiry_s without a call it is gone, and the next call says why."""
    session = make(idle_expiry_s=0.05)
    session.call(add, 1)
    with pytest.raises(SessionLost, match=r"no call for 0\.05 s"):  # noqa: PT012 - as often as it takes
        for _ in range(100):
            threading.Event().wait(0.2)
            session.call(add, 1)
    assert repr(session).startswith("<Session [lost")


@pytest.mark.parametrize("expiry", [0, -1.0, "x"])
def test_an_expiry_that_is_none_is_refused(make: MakeSession, expiry: Any) -> None:
    """The first use is a ConfigurationError."""
    with pytest.raises(ConfigurationError):
        make(idle_expiry_s=expiry).call(add, 1)


def test_one_that_was_forgotten_is_closed_with_a_warning(make: MakeSession) -> None:
    """A session that is collected unclosed is a ResourceWarning, and closed then."""
    other = make()
    sessions = [Session(other._backend, other._portal)]
    sessions[0].call(add, 1)
    same = twin(sessions[0])
    with pytest.warns(ResourceWarning, match="was not closed"):
        sessions.clear()
    with pytest.raises(SessionLost, match="it was closed"):
        same.call(add, 1)


def test_one_that_was_never_used_leaks_nothing(make: MakeSession) -> None:
    """Opened with its first call, it is not missed before: no warning."""
    other = make()
    Session(other._backend, other._portal)
    gc.collect()


# --- streams and futures ------------------------------------------------------------------------------------------


def count_up(number: int, *, state: dict[str, Any]) -> Iterator[str]:
    for _ in range(number):
        state["total"] = state.get("total", 0) + 1
        yield str(state["total"])


def count_for_ever(mark: str) -> Iterator[str]:
    try:
        while True:
            yield "on"
    finally:
        touch(mark)


def test_a_stream_comes_piece_by_piece_and_shares_the_state(make: MakeSession) -> None:
    """Two streams of one session go on where the one before stopped."""
    session = make()
    assert list(session.stream(count_up, 3)) == ["1", "2", "3"]
    assert list(session.stream(count_up, 2)) == ["4", "5"]
    assert session.state == {"total": 5}
    assert session.statistics().succeeded == 3


async def test_a_stream_on_an_event_loop_is_the_same(make: MakeSession) -> None:
    """The asynchronous face gives the same pieces."""
    session = make()
    assert [piece async for piece in session.astream(count_up, 3)] == ["1", "2", "3"]


def test_who_stops_reading_ends_the_stream(make: MakeSession, tmp_path: Path) -> None:
    """The function ends, and the session serves the next call."""
    session = make()
    pieces = session.stream(count_for_ever, str(tmp_path / "ended"))
    assert next(pieces) == "on"
    pieces.close()  # type: ignore[attr-defined] # a generator, which is more than an iterator
    wait_for(tmp_path / "ended")
    assert session.call(add, 1) == 1


def test_a_stream_that_fails_raises(make: MakeSession) -> None:
    """What the function raises comes to its reader."""
    with pytest.raises(PythonError):
        list(make().stream(fail))


def test_a_submitted_call_is_a_future(make: MakeSession, tmp_path: Path) -> None:
    """Its value comes when it is asked for; cancelling it ends the call and not the session."""
    session = make()
    assert session.submit(add, 2).result(30) == 2
    waiting = session.submit(wait_long, str(tmp_path / "mark"))
    wait_for(tmp_path / "mark")
    assert waiting.cancel()
    assert session.call(add, 1) == 3


def test_it_tells_what_it_did(make: MakeSession) -> None:
    """statistics() and repr() count its calls."""
    session = make()
    assert repr(session) == "<Session [new, pool: general, calls: 0]>"
    session.call(add, 1)
    with pytest.raises(LabError):
        session.call(fail)
    done = session.statistics()
    assert (done.is_open, done.calls, done.succeeded, done.failed, done.in_flight) == (True, 2, 1, 1, 0)
    session.close()
    assert (session.statistics().is_open, repr(session)[:16]) == (False, "<Session [closed")
