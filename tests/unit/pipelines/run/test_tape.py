"""The tape: every reader gets everything, in order, on any thread."""

from __future__ import annotations

import asyncio
import threading

from dspex_lab.pipelines.run.tape import Tape


def test_a_late_reader_gets_everything() -> None:
    """Reading begins at the start and ends with the tape."""
    tape: Tape[int] = Tape()
    for number in range(5):
        tape.append(number)
    tape.close()
    assert list(tape) == list(tape) == [0, 1, 2, 3, 4]


def test_a_reader_on_another_thread_gets_what_comes() -> None:
    """A waiting reader is woken by each item and by the end."""
    tape: Tape[int] = Tape()
    found: list[int] = []
    reader = threading.Thread(target=lambda: found.extend(tape))
    reader.start()
    for number in range(100):
        tape.append(number)
    tape.close()
    reader.join(10)
    assert found == list(range(100))


async def test_asynchronous_readers_get_what_other_threads_add() -> None:
    """Two readers on an event loop, a writer on a thread."""
    tape: Tape[int] = Tape()

    async def read() -> list[int]:
        return [number async for number in tape]

    readers = [asyncio.create_task(read()) for _ in range(2)]
    await asyncio.sleep(0)

    def write() -> None:
        for number in range(100):
            tape.append(number)
        tape.close()

    await asyncio.to_thread(write)
    assert await asyncio.gather(*readers) == [list(range(100))] * 2


def test_nothing_is_added_after_the_end() -> None:
    """A closed tape stays as it is."""
    tape: Tape[int] = Tape()
    tape.close()
    tape.append(1)
    assert tape.snapshot() == ()
    assert repr(tape) == "<Tape [items: 0, closed]>"
