"""The session that users hold, over a scripted backend: when it opens, what it sends, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dspex_lab
from dspex_lab.backends.inline import InlineBackend
from dspex_lab.calls import Code
from dspex_lab.errors import HostUnavailable, LabError, SessionLost
from dspex_lab.lab import Lab, use_lab
from dspex_lab.sessions import Session
from dspex_lab.testing import FakeBackend, FakeCall

README = Path(__file__).parents[2] / "README.md"


class Place(FakeBackend):
    """A backend whose sessions are written down; its calls end as ``ending`` says."""

    def __init__(self) -> None:
        super().__init__(
            {"python.call": self._run, "session.state": lambda call: {"a": 1}},
            replies={"session.open": self._open, "session.close": self._close},
        )
        self.opened: list[dict[str, Any]] = []
        self.closed: list[str] = []
        self.ending: LabError | None = None

    def _open(self, **params: Any) -> str:
        self.opened.append(params)
        return f"s{len(self.opened)}"

    def _close(self, session: str) -> None:
        self.closed.append(session)

    def _run(self, call: FakeCall) -> Any:
        if self.ending is not None:
            raise self.ending
        return call.call.args["kwargs"]


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def lab(place: Place) -> Iterator[Lab]:
    with Lab(backend=place) as made:
        before = use_lab(made)
        yield made
        use_lab(before)


def test_it_is_opened_with_its_first_call(lab: Lab, place: Place) -> None:
    """lab.session() asks nobody; the first call opens it once, with the pool and the expiry that were given."""
    session = dspex_lab.session(pool="neural", idle_expiry_s=5.0, timeout_s=2.0)
    assert place.opened == []
    for _ in range(2):
        session.call(len, a=1)
    session.close()
    assert place.opened == [{"pool": "neural", "idle_expiry_s": 5.0}]
    (call, _) = place.calls
    assert (call.pool, call.session, call.timeout_s) == ("neural", "s1", 2.0)


async def test_calls_that_come_together_open_it_once(lab: Lab, place: Place) -> None:
    """However many there are."""
    async with lab.session() as session:
        await asyncio.gather(*(session.acall(len, number=number) for number in range(5)))
    assert (len(place.opened), place.closed) == (1, ["s1"])


def test_a_step_of_a_pipeline_may_call_it(lab: Lab, place: Place) -> None:
    """Asynchronous steps run on the lab's own event loop, and so may the session's calls."""
    session = lab.session()

    async def step(number: int) -> Any:
        return await session.acall(len, number=number)

    assert lab.portal.run(step, 7) == {"number": 7}
    lab.portal.run(session.aclose)
    assert place.closed == ["s1"]


def test_functions_travel_by_value_and_names_as_names(lab: Lab, place: Place) -> None:
    """Code goes out wrapped, a dotted name does not."""
    with lab.session() as session:
        session.call(len, "a", b=1)
        session.call("math.gcd", 2, 4)
    first, second = (call.args for call in place.calls)
    assert isinstance(first["function"], Code)
    assert (first["args"], first["kwargs"]) == (["a"], {"b": 1})
    assert (second["function"], second["args"]) == ("math.gcd", [2, 4])


def test_a_function_may_have_any_parameter(lab: Lab) -> None:
    """No name of a keyword argument is taken by call() itself."""
    with lab.session() as session:
        assert session.call(len, function=1, self=2, args=3) == {"function": 1, "self": 2, "args": 3}


@pytest.mark.parametrize("ending", [SessionLost("The session is gone: x."), HostUnavailable("The host ended.")])
def test_a_lost_session_asks_nobody_any_more(lab: Lab, place: Place, ending: LabError) -> None:
    """Every call after the loss is SessionLost at once, and closing it changes nothing on the other side."""
    session = lab.session()
    session.call(len)
    place.ending = ending
    for _ in range(2):
        with pytest.raises(SessionLost):
            session.call(len)
    assert len(place.calls) == 2
    assert repr(session) == "<Session [lost, pool: general, worker: fake-1, calls: 2]>"
    session.close()
    assert place.closed == []


def test_one_that_failed_to_open_may_open_later(lab: Lab, place: Place) -> None:
    """A host that could not be reached is told, and the next call tries again."""
    session, reply = lab.session(), place._replies.pop("session.open")
    with pytest.raises(LabError):
        session.call(len)
    place._replies["session.open"] = reply
    assert session.call(len, a=1) == {"a": 1}
    session.close()


def test_closing_one_that_was_never_used_asks_nobody(lab: Lab, place: Place) -> None:
    """There is nothing to close; it cannot be used afterwards."""
    session = lab.session()
    session.close()
    with pytest.raises(SessionLost):
        session.call(len)
    assert (place.opened, place.closed) == ([], [])


def test_one_that_outlives_its_lab_is_gone_without_a_word(place: Place) -> None:
    """The host let go of it with the lab: no warning, and close() is safe."""
    with Lab(backend=place) as lab:
        session, forgotten = lab.session(), lab.session()
        session.call(len)
        forgotten.call(len)
    session.close()
    del forgotten
    gc.collect()
    with pytest.raises(SessionLost):
        session.call(len)


def test_the_readme_s_example_runs() -> None:
    """The functions of its sessions find what they left."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    (example,) = [block for block in blocks if "lab.session(" in block]
    backend = InlineBackend()
    with Lab(backend=backend) as lab:
        lab.portal.run(backend.open)
        namespace: dict[str, Any] = {"lab": lab}
        exec(example, namespace)
    assert namespace["answer"] == "long row"


@pytest.mark.parametrize(
    ("plain", "asynchronous"), [("call", "acall"), ("stream", "astream"), ("close", "aclose"), ("state", "astate")]
)
def test_both_faces_are_the_same(plain: str, asynchronous: str) -> None:
    """What the one takes, the other takes too."""
    one, other = getattr(Session, plain), getattr(Session, asynchronous)
    if isinstance(one, property):
        one = one.fget
    assert inspect.signature(one).parameters == inspect.signature(other).parameters
