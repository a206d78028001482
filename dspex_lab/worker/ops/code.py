"""Generated code: each piece in a process of its own, closed as ``guards`` says, and ended within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
from pydantic_core import PydanticSerializationError, to_jsonable_python

from dspex_lab.errors import ConfigurationError, ValidationError
from dspex_lab.folders import remove_tree
from dspex_lab.worker.context import OpContext
from dspex_lab.worker.guards import MAX_FILE_MB, Guards
from dspex_lab.worker.hidden_files import hidden_bytes
from dspex_lab.worker.ops.base import operation

__all__ = ["CODE_RUN", "Outcome", "ToolRequest", "json_text", "run"]

CODE_RUN = "code.run"

#: The types of error of code that was ended, or that ended its own process.
_ENDED, _LIMIT_EXCEEDED = "Ended", "LimitExceeded"
_ENDS = frozenset({_ENDED, _LIMIT_EXCEEDED, "MemoryError"})
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_MAX_THREADS = 64
_MAX_SCRATCH_BYTES = 512 * 1024 * 1024
_MAX_DEPTH = 64
_LEAST_FILE_BYTES = 4096
_WATCH_S = 0.1


class ToolRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call that the code made of a function at home, and that has no answer yet."""

    name: str
    args: list[Any]
    kwargs: dict[str, Any]


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a piece of code ended. ``output``: what it printed; ``result``: the value of its last line; ``final``: what
    it gave to ``SUBMIT``; ``error``: what it raised, or why it was ended; ``tools``: the answers that it waits for."""

    output: str = ""
    result: Any = None
    final: Any | msgspec.UnsetType = msgspec.UNSET
    error: str | None = None
    error_type: str | None = None
    tools: list[ToolRequest] = []

    @property
    def was_ended(self) -> bool:
        """Whether the code took more than it may, and would do so again."""
        return self.error_type in _ENDS


@operation(CODE_RUN, runs_on="services")
async def run(
    context: OpContext,
    *,
    code: str | None = None,
    variables: Mapping[str, Any] | None = None,
    blocks: Sequence[Mapping[str, Any]] = (),
    values: Sequence[str] = (),
    tools: Sequence[str] = (),
    answers: Sequence[Mapping[str, Any]] = (),
    output_fields: Sequence[str] | None = None,
    seed: int | None = None,
) -> Any:
    """Run Python source in a fresh namespace that holds ``variables``; an :class:`Outcome` as plain data.

    ``blocks`` run before it in the same namespace: ``code``, and ``variables`` as places in ``values``, JSON texts
    that blocks may share. Only the last of all is heard; those before bring their state back.
    ``tools``: functions at home; ``answers``: those that they gave so far; ``output_fields``: the names that
    ``SUBMIT`` takes; ``seed``: of ``random``.

    What the code does wrong is an outcome and no error. In a pool with ``sandbox="off"`` the code may do what the
    user may; where a sandbox cannot be closed it is refused.
    """
    guards = context.guards
    if guards is None:
        raise ConfigurationError(
            "Generated code does not run in this process.",
            "backend",
            "a pool of workers",
            "inline",
            hint='Run it on the pool "sandbox", which the backend "kernels" has.',
        )
    if refusal := guards.refusal():
        raise refusal
    given = variables or {}
    own = {name: len(values) + index for index, name in enumerate(given)}
    request = {
        "blocks": [*blocks, *([] if code is None else [{"code": code, "variables": own}])],
        "values": [*values, *map(json_text, given.values())],
        "tools": list(tools),
        "answers": list(answers),
        "output_fields": None if output_fields is None else list(output_fields),
        "seed": seed,
        "is_sandbox": guards.is_sandbox,
        "max_memory_mb": guards.max_memory_mb,
    }
    return msgspec.to_builtins(await _run_block(json.dumps(request).encode(), guards))


def json_text(value: Any) -> str:
    """``value`` as code in a sandbox gets it; what is no plain data is a ValidationError."""
    try:
        return json.dumps(to_jsonable_python(value))
    except (PydanticSerializationError, ValueError) as error:
        raise ValidationError(
            f"A variable is no plain data: {error}.", hint="Give the code text, numbers, lists and dicts."
        ) from error


async def _run_block(request: bytes, guards: Guards) -> Outcome:
    scratch = Path(tempfile.mkdtemp(prefix="code-", dir=Path.cwd()))
    process = await _start(scratch)
    watch = asyncio.create_task(_watch(process.pid, scratch))
    try:
        reading = asyncio.create_task(_answer(process, request))
        await asyncio.wait((reading, watch), return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            answer = reading.result()
            return _outcome(answer, guards) if answer else _silent_end(await process.wait())
        reading.cancel()
        return Outcome(error=watch.result(), error_type=_LIMIT_EXCEEDED)
    finally:
        watch.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())
        await asyncio.shield(asyncio.to_thread(remove_tree, scratch))


async def _start(scratch: Path) -> asyncio.subprocess.Process:
    environment = {
        **os.environ,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "IPYTHONDIR": str(scratch / "ipython"),
        "DSPY_CACHEDIR": str(scratch / "dspy"),
        # A block that is run again must find its sets in the same order.
        "PYTHONHASHSEED": "0",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-s",
        "-m",
        "dspex_lab.worker.block",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        cwd=scratch,
        start_new_session=True,
    )


async def _answer(process: asyncio.subprocess.Process, request: bytes) -> bytes:
    """What the process said, up to a bound."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    with contextlib.suppress(ConnectionError):
        process.stdin.write(request)
        await process.stdin.drain()
    process.stdin.close()
    data = bytearray()
    while len(data) <= _MAX_ANSWER_BYTES and (piece := await process.stdout.read(_CHUNK_BYTES)):
        data += piece
    return bytes(data)


async def _watch(pid: int, scratch: Path) -> str:
    """Come back when the process takes more than it may, and say of what. Limits of the system do not count these."""
    process = psutil.Process(pid)
    while True:
        await asyncio.sleep(_WATCH_S)
        with contextlib.suppress(psutil.Error):
            if process.num_threads() > _MAX_THREADS:
                return f"the code started more than {_MAX_THREADS} threads"
        size_bytes = await asyncio.to_thread(_size_bytes, scratch)
        if size_bytes is None:
            return f"the code made more than {_MAX_DEPTH} folders inside one another"
        size_bytes += await asyncio.to_thread(hidden_bytes, pid, scratch, largest_bytes=MAX_FILE_MB * 1024**2)
        if size_bytes > _MAX_SCRATCH_BYTES:
            return f"the code wrote more than {_MAX_SCRATCH_BYTES // 1024**2} MB"


def _size_bytes(folder: Path) -> int | None:
    """What the files and folders in ``folder`` take; each takes something. None where folders are so deep in one
    another that what is in them cannot be counted."""
    total, waiting = 0, [(folder, 0)]
    while waiting:
        parent, depth = waiting.pop()
        try:
            entries = list(os.scandir(parent))
        except OSError as error:  # it went meanwhile, or nobody may look into it; or its path is too long
            if error.errno == errno.ENAMETOOLONG:
                return None
            continue
        for entry in entries:
            with contextlib.suppress(OSError):
                total += max(_LEAST_FILE_BYTES, entry.stat(follow_symlinks=False).st_blocks * 512)
            if entry.is_dir(follow_symlinks=False):
                if depth >= _MAX_DEPTH:
                    return None
                waiting.append((Path(entry.path), depth + 1))
    return total


def _silent_end(status: int) -> Outcome:
    reason = f"signal {-status}" if status < 0 else f"exit status {status}"
    return Outcome(error=f"the code ended its own process ({reason})", error_type=_ENDED)


def _outcome(answer: bytes, guards: Guards) -> Outcome:
    """The answer, whoever wrote it."""
    if len(answer) > _MAX_ANSWER_BYTES:
        return Outcome(error=f"the code's result has more than {_MAX_ANSWER_BYTES // 1024**2} MB", error_type=_ENDED)
    try:
        outcome = msgspec.json.decode(answer, type=Outcome)
    except msgspec.MsgspecError as error:
        return Outcome(error=f"the code's answer cannot be read: {error}", error_type=_ENDED)
    if outcome.error_type == "MemoryError":
        told = f"{outcome.error}: the code may use {guards.max_memory_mb} MB"
        return msgspec.structs.replace(outcome, error=told)
    return outcome
