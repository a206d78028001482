"""What a worker's operations say is found in its log, on a real host."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.settings import Settings
from dspex_lab.testing.site import Site, end_of, python_call, until


def talk() -> None:
    print("by print")  # noqa: T201 - what is tested
    print("by standard error", file=sys.stderr)  # noqa: T201 - what is tested
    os.write(1, b"by descriptor\n")
    logging.getLogger("somebody").warning("by logging")


async def test_what_an_operation_says_is_in_its_workers_log(
    site: Site, connect: Callable[[Settings], KernelBackend]
) -> None:
    """However it says it, and once."""
    backend = connect(site.settings())
    await end_of(backend.submit(python_call(talk)))
    said = ("by print", "by standard error", "by descriptor", "by logging")

    def log() -> str:
        [file] = site.folder.glob("*/general-1.log")
        return file.read_text()

    await until(lambda: all(words in log() for words in said), limit_s=10)
    assert [log().count(words) for words in said] == [1, 1, 1, 1]
