"""Frames in shared memory: what is placed is read once, and a bad name opens nothing."""

from __future__ import annotations

import errno
import gc
import os
import stat
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab.errors import HostUnavailable, ProtocolError
from dspex_lab.wire.codec import decode, encode
from dspex_lab.wire.messages import Segment
from dspex_lab.wire.segments import Segments, belong_to, hand_over, prefix_of, realm_of, sweep

HOST, OTHER_HOST = "0123abcd", "89ef4567"
SMALL, LARGE = b"s" * 99, b"l" * 5000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shm"
    made.mkdir()
    return made


def end(folder: Path, owner: str = "general-1", host: str = HOST) -> Segments:
    return Segments(prefix_of(host, owner), folder=folder, threshold_bytes=100)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_large_frames_lie_in_files_and_small_ones_stay(folder: Path) -> None:
    """Only what reaches the threshold leaves the message, and its place says how large it is."""
    frames, segments = end(folder).place([SMALL, LARGE])
    assert ([*frames], [(one.frame, one.size_bytes) for one in segments]) == ([SMALL, b""], [(1, 5000)])
    assert names(folder) == [segments[0].name]


def test_a_segment_is_its_owners_alone(folder: Path) -> None:
    """Its name says host and owner, and nobody else may open it."""
    _, (segment,) = end(folder).place([LARGE])
    assert belong_to(prefix_of(HOST, "general-1"), [segment])
    assert stat.S_IMODE((folder / segment.name).stat().st_mode) == 0o600


def test_another_end_reads_it_and_it_is_gone(folder: Path) -> None:
    """The frame comes back whole, and its file has no name any more."""
    frames, segments = end(folder).place([SMALL, LARGE])
    restored = end(folder, "client").restore(frames, segments)
    assert [bytes(one) for one in restored] == [SMALL, LARGE]
    assert names(folder) == []


def test_what_is_kept_can_be_read_again(folder: Path) -> None:
    """The arguments of a call that may run again stay until the caller removes them."""
    maker = end(folder)
    frames, segments = maker.place([LARGE], is_kept=True)
    assert [bytes(end(folder).restore(frames, segments)[0]) for _ in range(2)] == [LARGE, LARGE]
    maker.remove(segments)
    assert names(folder) == []


def test_a_reader_writes_for_itself_alone(folder: Path) -> None:
    """What one reader writes into its frame, no other sees."""
    frames, segments = end(folder).place([LARGE], is_kept=True)
    one, other = (end(folder).restore(frames, segments)[0] for _ in range(2))
    assert isinstance(one, memoryview)
    one[:2] = b"xx"
    assert bytes(other) == LARGE


def test_a_mapping_holds_no_descriptor_and_goes_with_its_last_reader(folder: Path) -> None:
    """A hundred arrays alive cost no file descriptor; with the arrays their mappings are gone."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    arrays = []
    for _ in range(100):
        frames, segments = end(folder).place(encode(np.ones(1000)))
        arrays.append(decode(end(folder).restore(frames, segments)))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert Path("/proc/self/maps").read_text().count(str(folder)) > 0
    arrays.clear()
    gc.collect()
    assert Path("/proc/self/maps").read_text().count(str(folder)) == 0


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_whatever_is_placed_comes_back(tmp_path_factory: pytest.TempPathFactory, frames: list[bytes]) -> None:
    """restore() is the inverse of place(), and nothing is left."""
    folder = tmp_path_factory.getbasetemp() / "placed"
    folder.mkdir(exist_ok=True)
    placed, segments = end(folder).place(frames)
    assert [bytes(one) for one in end(folder).restore(placed, segments)] == frames
    assert names(folder) == []


@pytest.mark.parametrize(
    "value", [{"rows": ["x" * 200]}, {"raw": b"b" * 70_000}, np.arange(500.0), {"a": np.ones(99), "b": np.zeros(99)}]
)
def test_values_come_back_through_segments(folder: Path, value: Any) -> None:
    """Text, bytes and arrays arrive as they were, whichever of their frames lie in shared memory."""
    placed, segments = end(folder).place(encode(value))
    assert segments
    assert repr(decode(end(folder).restore(placed, segments))) == repr(value)


def test_an_array_is_a_view_on_the_mapping(folder: Path) -> None:
    """Reading an array out of shared memory copies nothing, and it can be written."""
    placed, segments = end(folder).place(encode(np.arange(500.0)))
    frames = end(folder).restore(placed, segments)
    array = decode(frames)
    assert np.shares_memory(array, np.frombuffer(frames[1], np.uint8))
    assert array.flags.writeable


# --- no room ------------------------------------------------------------------------------------------------------


def test_without_room_frames_stay_frames(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full file system is no error: the frame goes the other way, and no half of it is left."""
    write = os.write
    room = [3000]

    def write_while_there_is_room(descriptor: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        size = write(descriptor, data[: room[0]])
        room[0] -= size
        return size

    monkeypatch.setattr(os, "write", write_while_there_is_room)
    frames, segments = end(folder).place([b"m" * 2000, LARGE, b"n" * 200])
    assert [len(one) for one in frames] == [0, 5000, 200]
    assert names(folder) == [one.name for one in segments]


def test_an_interrupt_leaves_no_half_of_a_segment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KeyboardInterrupt while a segment is written goes on, and its file is gone."""

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        end(folder).place([LARGE])
    assert names(folder) == []


@pytest.mark.parametrize("made", [Segments(), Segments(prefix_of(HOST, "x"), folder=Path("/no/such/folder"))])
def test_without_shared_memory_frames_stay_frames(made: Segments) -> None:
    """No prefix, or no such file system: nothing is placed, and nothing can be read."""
    assert made.place([b"x" * 2**21]) == ([b"x" * 2**21], ())
    with pytest.raises(ProtocolError):
        made.restore([b""], [Segment(0, f"{prefix_of(HOST, 'x')}{'0' * 16}", 5)])


# --- names that are none ------------------------------------------------------------------------------------------

BAD_NAMES = [
    "",
    ".",
    "..",
    "secret",
    "../secret",
    "/etc/passwd",
    "/proc/self/mem",
    f"{realm_of(HOST)}general-1.",
    f"{realm_of(HOST)}../secret.{'0' * 16}",
    f"{realm_of(HOST)}general-1.{'0' * 15}/",
    f"{realm_of(HOST)}general-1.{'0' * 16}\n",
    f"{realm_of(HOST)}general-1.{'0' * 16}\x00",
    f"{realm_of(OTHER_HOST)}general-1.{'0' * 16}",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
def test_a_bad_name_opens_and_removes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An attack: a name outside of the host's own is a ProtocolError before anything is opened."""
    (folder.parent / "secret").write_bytes(LARGE)
    (folder / "secret").write_bytes(LARGE)
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("something was opened"))
    segment = Segment(0, name, len(LARGE))
    with pytest.raises(ProtocolError):
        end(folder).restore([b""], [segment])
    end(folder).remove([segment])
    assert names(folder) == ["secret"]
    assert names(folder.parent) == ["secret", "shm"]
    assert not belong_to(prefix_of(HOST, "general-1"), [segment])


@given(st.text(max_size=60) | st.text(max_size=20).map(lambda text: realm_of(HOST) + text))
def test_garbage_for_a_name_raises_nothing_else(name: str) -> None:
    """Whatever name comes in, it is a ProtocolError."""
    with pytest.raises(ProtocolError):
        end(Path("/tmp")).restore([b""], [Segment(0, name, 9)])


def planted(folder: Path) -> tuple[Path, Segment]:
    name = f"{prefix_of(HOST, 'general-1')}{'0' * 16}"
    return folder / name, Segment(0, name, len(LARGE))


def test_a_link_is_not_followed(folder: Path) -> None:
    """An attack: a good name that leads elsewhere is a ProtocolError."""
    path, segment = planted(folder)
    (folder / "secret").write_bytes(LARGE)
    path.symlink_to(folder / "secret")
    with pytest.raises(ProtocolError):
        end(folder).restore([b""], [segment])


def test_what_is_no_file_is_refused_and_does_not_block(folder: Path) -> None:
    """An attack: a pipe under a good name is a ProtocolError at once."""
    path, segment = planted(folder)
    os.mkfifo(path)
    with pytest.raises(ProtocolError):
        end(folder).restore([b""], [segment])


@pytest.mark.parametrize("size", [4999, 5001])
def test_a_size_that_does_not_fit_is_refused(folder: Path, size: int) -> None:
    """A segment shorter than its message says would kill its reader with SIGBUS: it is not mapped."""
    path, segment = planted(folder)
    path.write_bytes(b"x" * size)
    with pytest.raises(ProtocolError):
        end(folder).restore([b""], [segment])


@pytest.mark.parametrize(("frames", "number"), [([b""], 1), ([b"there"], 0), ([], 0)])
def test_a_frame_that_is_not_missing_is_not_replaced(folder: Path, frames: list[bytes], number: int) -> None:
    """A segment for a frame that is there, or for none, is a ProtocolError."""
    _, (segment,) = end(folder).place([LARGE])
    with pytest.raises(ProtocolError):
        end(folder).restore(frames, [msgspec.structs.replace(segment, frame=number)])


def test_a_refused_message_leaves_nothing(folder: Path) -> None:
    """When one segment of a message is bad, the others are removed too: nobody will read them."""
    frames, segments = end(folder).place([LARGE, LARGE])
    with pytest.raises(ProtocolError):
        end(folder).restore(frames, [msgspec.structs.replace(segments[0], frame=7), segments[1]])
    assert names(folder) == []


def test_a_segment_that_is_gone_can_be_asked_for_again(folder: Path) -> None:
    """Its owner died before it was read: a retryable error."""
    frames, segments = end(folder).place([LARGE])
    end(folder).remove(segments)
    with pytest.raises(HostUnavailable) as caught:
        end(folder).restore(frames, segments)
    assert caught.value.retryable


# --- the host -----------------------------------------------------------------------------------------------------


def test_a_value_that_was_handed_over_outlives_its_maker(folder: Path) -> None:
    """From then on it is swept with its reader, and no longer with who made it."""
    frames, segments = end(folder).place([LARGE])
    given = hand_over(segments, prefix_of(HOST, "0080"), folder=folder)
    sweep(prefix_of(HOST, "general-1"), folder=folder)
    assert bytes(end(folder, "0080").restore(frames, given)[0]) == LARGE


def test_handing_over_what_is_gone_is_left_to_the_reader(folder: Path) -> None:
    """Its maker was swept meanwhile: the reader is told."""
    frames, segments = end(folder).place([LARGE])
    end(folder).remove(segments)
    with pytest.raises(HostUnavailable):
        end(folder).restore(frames, hand_over(segments, prefix_of(HOST, "0080"), folder=folder))


def test_a_sweep_takes_what_its_owner_left_and_nothing_else(folder: Path) -> None:
    """Not another owner's, whose name begins alike, not another host's, not a stranger's file."""
    for made in (end(folder), end(folder, "general-11"), end(folder, host=OTHER_HOST)):
        made.place([LARGE])
    (folder / f"{prefix_of(HOST, 'general-1')}notes").touch()
    sweep(prefix_of(HOST, "general-1"), folder=folder)
    assert [name.rpartition(".")[0] for name in names(folder)] == [
        "dspex-0123abcd.general-1",
        "dspex-0123abcd.general-11",
        "dspex-89ef4567.general-1",
    ]
    end(folder).sweep_host()
    assert [name[:14] for name in names(folder)] == ["dspex-0123abcd", "dspex-89ef4567"]
