"""Large values on their way through the host: whose they are, and what goes when somebody is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from dspex_lab.errors import ProtocolError
from dspex_lab.pool.parcels import Parcels
from dspex_lab.settings import PoolSpec
from dspex_lab.testing.host import FakeHost
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Cancel, Done, Run, Segment, Submit
from dspex_lab.wire.segments import Segments

VALUE = b"value" * 100


class Desk:
    """A host with a client and a worker, and a folder in place of shared memory."""

    def __init__(self, folder: Path, spec: PoolSpec | None = None) -> None:
        self.folder = folder
        self.host = FakeHost(spec or PoolSpec(name="general", size=1))
        self.parcels = Parcels("0123abcd", self.host.broker, folder=folder)
        self.client = self.host.add_client()

    def end(self, peer: bytes) -> Segments:
        return Segments(self.parcels.prefix(peer), folder=self.folder, threshold_bytes=100)

    def submit(self, *, is_idempotent: bool = False) -> Frames:
        frames, segments = self.end(self.client).place([b"header", VALUE], is_kept=is_idempotent)
        self.parcels.check(self.client, segments)
        message = Submit("one", "a.b", "general", idempotent=is_idempotent, segments=segments)
        self.host.broker.submit(self.client, message, frames)
        return frames

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def last_run(desk: Desk) -> tuple[bytes, Run, Frames]:
    peer, message, payload = desk.host.outbox.sent[-1]
    assert isinstance(message, Run)
    return peer, message, payload


def test_the_worker_is_told_where_the_arguments_are(desk: Desk) -> None:
    """The host passes names on, and no bytes."""
    desk.submit()
    (worker,) = desk.host.greet_all()
    _, message, payload = last_run(desk)
    passed, frames = desk.parcels.outgoing(worker, message, payload)
    assert (passed, [*frames]) == (message, [b"header", b""])
    assert [bytes(one) for one in desk.end(worker).restore(frames, message.segments)] == [b"header", VALUE]


def test_a_value_is_its_readers_from_now_on(desk: Desk) -> None:
    """The worker that made it may be gone before it is read; when the reader goes, it goes too."""
    desk.submit()
    (worker,) = desk.host.greet_all()
    frames, segments = desk.end(worker).place([VALUE])
    passed, _ = desk.parcels.outgoing(desk.client, Done("one", segments=segments), frames)
    assert isinstance(passed, Done)
    desk.parcels.forget_worker("general-1")
    assert passed.segments[0].name in desk.names()
    desk.parcels.sweep(desk.parcels.prefix(desk.client))
    assert desk.names() == []


def test_a_value_that_nobody_gets_is_known(desk: Desk) -> None:
    """The broker says whether it passed a value on: not after a cancel, not twice."""
    for is_cancelled in (False, True):
        desk.submit()
        for worker in desk.host.greet_all():
            assert worker == b"general-1"
        if is_cancelled:
            desk.host.broker.cancel(desk.client, Cancel("one"))
        assert desk.host.broker.done(b"general-1", Done("one"), ()) is not is_cancelled
        assert not desk.host.broker.done(b"general-1", Done("one"), ())


@pytest.mark.parametrize("is_idempotent", [False, True])
def test_a_sandbox_gets_frames(tmp_path: Path, *, is_idempotent: bool) -> None:
    """What a worker that sees no shared memory is sent is whole; what may be sent again is kept."""
    desk = Desk(tmp_path, PoolSpec(name="general", size=1, sandbox="on"))
    desk.submit(is_idempotent=is_idempotent)
    (worker,) = desk.host.greet_all()
    _, message, payload = last_run(desk)
    passed, frames = desk.parcels.outgoing(worker, message, payload)
    assert isinstance(passed, Run)
    assert (passed.segments, [bytes(one) for one in frames]) == ((), [b"header", VALUE])
    assert len(desk.names()) == (1 if is_idempotent else 0)


def test_nobody_names_what_is_anothers(desk: Desk) -> None:
    """An attack: a peer that names another's segment, or no segment, is told so, and nothing is removed."""
    desk.submit()
    (worker,) = desk.host.greet_all()
    (name,) = desk.names()
    for bad in (name, f"../{name}", f"{desk.parcels.prefix(worker)}../{name}"):
        with pytest.raises(ProtocolError):
            desk.parcels.check(worker, (Segment(0, bad, 500),))
    assert desk.names() == [name]


def test_when_the_host_leaves_nothing_stays(desk: Desk) -> None:
    """Whoever's they were."""
    desk.submit()
    (worker,) = desk.host.greet_all()
    desk.end(worker).place([VALUE])
    desk.parcels.forget_all()
    assert desk.names() == []


# --- detached calls -----------------------------------------------------------------------------------------------


def submit_job(desk: Desk) -> Submit:
    frames, segments = desk.end(desk.client).place([b"header", VALUE])
    message = Submit("job", "a.b", "general", detached=True, segments=segments)
    desk.parcels.submit(desk.client, message, frames)
    return message


def test_a_jobs_arguments_outlive_its_notebook(desk: Desk) -> None:
    """They are the host's as soon as it has the call: what the notebook's end sweeps is not among them."""
    submit_job(desk)
    desk.host.broker.remove_peer(desk.client)
    desk.parcels.sweep("dspex-0123abcd.6e6f7465626f6f6b.")
    (worker,) = desk.host.greet_all()
    _, message, payload = last_run(desk)
    assert [*desk.end(worker).restore(payload, message.segments)] == [b"header", VALUE]
    assert desk.names() == []


def test_a_job_that_is_refused_leaves_nothing(desk: Desk) -> None:
    """A second one of that id: the first keeps its own."""
    submit_job(desk)
    (first,) = desk.names()
    submit_job(desk)
    assert desk.names() == [first]


def test_a_value_whose_reader_left_is_dropped(desk: Desk) -> None:
    """The worker made it for a notebook that is gone; the pool goes on to the next call."""
    desk.host.broker.submit(desk.client, Submit("job", "a.b", "general", detached=True), ())
    (worker,) = desk.host.greet_all()
    desk.host.broker.remove_peer(desk.client)
    frames, segments = desk.end(worker).place([b"header", VALUE])
    passed, _ = desk.parcels.outgoing(desk.client, Done("job", segments=segments), frames)
    assert isinstance(passed, Done)
    assert (passed.segments, desk.names()) == ((), [])
