"""What generated code tries and must not get, on a real host: each attempt is refused or ended, and the pool serves.

A sandbox needs Linux with Landlock; where there is none these tests fail, as the pool does.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from dspex_lab.backends.kernels import KernelBackend
from dspex_lab.calls import Call
from dspex_lab.errors import ProtocolError, PythonError
from dspex_lab.pool.processes.rendezvous import find_host
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.testing.site import Site, echo, end_of, python_call, until

from .attempts import ENDED, RAW_CALLS, REFUSED

Connect = Callable[[Settings], KernelBackend]

POOLS = (
    PoolSpec(name="general", size=1),
    PoolSpec(name="sandbox", size=1, sandbox="on", op_timeout_s=30.0),
    PoolSpec(name="hasty", size=1, sandbox="on", op_timeout_s=1.0),
    PoolSpec(name="open", size=1, sandbox="off"),
)
SECRET = "a-secret-of-the-user"


@dataclass(frozen=True)
class Surroundings:
    """What there would be to get, as the code in the attempts names it."""

    home: str
    file: str
    folder: str
    runtime: str
    connection_file: str
    host_socket: str
    host_pid: int
    tcp_port: int
    udp_port: int
    datagrams: str


@pytest.fixture
async def backend(shared_site: Site, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> KernelBackend:
    monkeypatch.setenv("SECRET_KEY", SECRET)
    made = connect(shared_site.settings(*POOLS))
    await made.open()
    return made


@pytest.fixture
def surroundings(backend: KernelBackend, shared_site: Site, tmp_path: Path) -> Iterator[Surroundings]:
    file = tmp_path / "diary.txt"
    file.write_text(SECRET)
    host = find_host(shared_site.folder)
    assert host is not None
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(str(shared_site.folder / "datagrams.sock"))
        udp.bind(("127.0.0.1", 0))
        yield Surroundings(
            home=str(Path.home()),
            file=str(file),
            folder=str(tmp_path),
            runtime=str(shared_site.folder),
            connection_file=str(shared_site.folder / "host.json"),
            host_socket=host.address.removeprefix("ipc://"),
            host_pid=host.pid,
            tcp_port=tcp.getsockname()[1],
            udp_port=udp.getsockname()[1],
            datagrams=datagrams.getsockname(),
        )
        datagrams.setblocking(False)
        with pytest.raises(BlockingIOError):
            datagrams.recv(1)
        Path(datagrams.getsockname()).unlink()


async def outcome_of(backend: KernelBackend, code: str, *, pool: str = "sandbox", **args: Any) -> dict[str, Any]:
    async with asyncio.timeout(45):
        value: dict[str, Any] = (
            await backend.submit(Call("code.run", {"code": code, **args}, pool=pool)).result()
        ).value
    return value


# --- refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED.keys())
async def test_it_is_refused(backend: KernelBackend, surroundings: Surroundings, code: str) -> None:
    """The system says no, the code hears of it as an exception, and nothing was changed."""
    code = f"import types; at = types.SimpleNamespace(**facts)\n{code}"
    outcome = await outcome_of(backend, code, variables={"facts": asdict(surroundings)})
    assert outcome.get("error_type") in {"PermissionError", "OSError", "gaierror", "ValueError"}, outcome
    assert read(surroundings.file) == SECRET


@pytest.mark.parametrize("expression", RAW_CALLS.values(), ids=RAW_CALLS.keys())
async def test_a_raw_system_call_is_refused(
    backend: KernelBackend, surroundings: Surroundings, expression: str
) -> None:
    """Walls are the system's and not Python's: calls through ctypes meet them too."""
    code = f"import ctypes; libc = ctypes.CDLL(None, use_errno=True); {expression}"
    outcome = await outcome_of(backend, code, variables={"host_pid": surroundings.host_pid})
    assert outcome["result"] == -1, outcome


async def test_pairs_of_sockets_serve_the_code_itself(backend: KernelBackend) -> None:
    """Event loops are made of them."""
    code = "import asyncio\nasync def f():\n await asyncio.sleep(0.01)\n return 'ran'\nasyncio.run(f())"
    assert (await outcome_of(backend, code)).get("result") == "ran"


async def test_modes_and_times_of_foreign_files_stay(backend: KernelBackend, surroundings: Surroundings) -> None:
    """Landlock does not watch over these; they are pretended, so that copying in scratch works."""
    before = await asyncio.to_thread(os.stat, surroundings.file)
    code = (
        "import os, shutil\nos.chmod(path, 0o777)\nos.utime(path, (1, 1))\nos.chown(path, 1, 1)\n"
        "fd = os.open(os.__file__, os.O_RDONLY)\nold = os.fstat(fd).st_mode\nos.fchmod(fd, 0)\n"
        "open('a', 'w').write('x')\nshutil.copy2('a', 'b')\n[open('b').read(), os.fstat(fd).st_mode == old]"
    )
    outcome = await outcome_of(backend, code, variables={"path": surroundings.file})
    assert outcome.get("result") == ["x", True], outcome
    assert await asyncio.to_thread(os.stat, surroundings.file) == before


async def test_nothing_is_left_of_its_files(backend: KernelBackend, shared_site: Site) -> None:
    """Not even folders that the code made without the right to look into them."""
    await outcome_of(backend, "import os; os.makedirs('a/b'); open('a/b/c', 'w'); os.mkdir('closed', 0)")
    assert list(shared_site.folder.glob("*/sandbox-*/scratch/*")) == []


async def test_neither_the_notebooks_environment_nor_the_hosts_key_is_there(
    backend: KernelBackend, shared_site: Site
) -> None:
    """Not in the environment, and not in the memory of the process that the code runs in."""
    host = find_host(shared_site.folder)
    assert host is not None
    code = (
        "import gc, os\n"
        "texts = [one for one in gc.get_objects() if isinstance(one, dict)]\n"
        "print(dict(os.environ), texts)"
    )
    outcome = await outcome_of(backend, code)
    assert "SECRET_KEY" not in outcome["output"]
    assert SECRET not in outcome["output"]
    assert host.key not in outcome["output"]


async def test_nothing_is_inherited(backend: KernelBackend) -> None:
    """But for its standard streams and the pipe of its answer, the process has no open file."""
    code = (
        "import os\nfound = []\nfor n in range(256):\n try: os.fstat(n); found.append(n)\n except OSError: pass\nfound"
    )
    outcome = await outcome_of(backend, code)
    assert len(outcome["result"]) <= 5, outcome


async def test_one_piece_of_code_leaves_nothing_to_the_next(backend: KernelBackend) -> None:
    """Neither names nor files stay."""
    await outcome_of(backend, "import builtins; builtins.left = 1; open('left', 'w').write('x')")
    outcome = await outcome_of(backend, "import os; [os.listdir('.'), 'left' in dir(__builtins__)]")
    assert outcome["result"] == [[], False]


# --- ended --------------------------------------------------------------------------------------------------------


async def worker_pid(backend: KernelBackend, pool: str) -> int:
    info: dict[str, Any] = await end_of(backend.submit(Call("system.info", pool=pool)))
    return int(info["pid"])


@pytest.mark.parametrize(("code", "error_type"), ENDED.values(), ids=ENDED.keys())
async def test_it_is_ended_and_its_worker_serves_on(backend: KernelBackend, code: str, error_type: str) -> None:
    """Code that takes too much is ended alone: the same worker runs the next."""
    pid = await worker_pid(backend, "sandbox")
    assert (await outcome_of(backend, code)).get("error_type") in error_type.split(" or ")
    assert (await outcome_of(backend, "1 + 1"))["result"] == 2
    assert await worker_pid(backend, "sandbox") == pid


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)"], ids=["busy", "idle"])
async def test_an_endless_loop_ends_with_the_pools_time(backend: KernelBackend, code: str) -> None:
    """The caller is told at the pool's op_timeout_s, and the worker serves on."""
    pid = await worker_pid(backend, "hasty")
    started = time.monotonic()
    assert await end_of(backend.submit(Call("code.run", {"code": code}, pool="hasty"))) == "DeadlineExceeded"
    assert time.monotonic() - started < 4
    assert (await outcome_of(backend, "1 + 1", pool="hasty"))["result"] == 2
    assert await worker_pid(backend, "hasty") == pid


async def test_folders_that_nobody_can_count_are_removed(backend: KernelBackend, shared_site: Site) -> None:
    """Code that is quicker than the watch leaves nothing either, and its answer is as good as any."""
    nest = "import os\nfor _ in range(2000):\n os.mkdir('d')\n os.chdir('d')"
    assert (await outcome_of(backend, nest)).get("error_type") in (None, "LimitExceeded")
    assert list(shared_site.folder.glob("*/sandbox-*/scratch/*")) == []


async def test_code_ends_with_its_worker(backend: KernelBackend) -> None:
    """A worker that is killed takes the process of the code along."""
    worker = psutil.Process(await worker_pid(backend, "sandbox"))
    lost = backend.submit(Call("code.run", {"code": "while True: pass"}, pool="sandbox"))
    await until(lambda: bool(worker.children()))
    [child] = worker.children()
    worker.kill()
    assert await end_of(lost) == "WorkerLost"
    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, limit_s=5)


async def test_a_cancelled_piece_of_code_ends(backend: KernelBackend) -> None:
    """Cancelling the call ends the process within a second or so."""
    pending = backend.submit(Call("code.run", {"code": "while True: pass"}, pool="sandbox"))
    await end_of(backend.submit(echo(pool="general")))
    pending.cancel()
    assert await end_of(pending, limit_s=5) == "Cancelled"


async def test_output_is_bounded(backend: KernelBackend) -> None:
    """Code that prints without measure is cut short and says so."""
    outcome = await outcome_of(backend, "for _ in range(1000): print('x' * 1000)")
    assert len(outcome["output"]) < 110_000
    assert "more characters" in outcome["output"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("2**100", {"output": "", "result": str(2**100)}),
        ("print('\\udc80'); '\\udc80'", {"output": "?\n", "result": "?"}),
    ],
    ids=["a large number", "half of a surrogate pair"],
)
async def test_what_has_no_form_on_the_wire_is_told_all_the_same(
    backend: KernelBackend, code: str, told: dict[str, Any]
) -> None:
    """The rest of the answer is not lost for it."""
    outcome = await outcome_of(backend, code)
    assert {"output": "", **outcome} == told


async def test_a_forged_answer_is_only_an_answer(backend: KernelBackend) -> None:
    """Code may write its answer itself; what is no answer is an error, and the worker serves on."""
    code = "import os\nfor n in range(3, 20):\n try: os.write(n, b'{\"x\": 1}')\n except OSError: pass\nos._exit(0)"
    assert (await outcome_of(backend, code))["error_type"] == "Ended"


# --- the worker itself --------------------------------------------------------------------------------------------


def ask_through_the_host() -> Any:
    from dspex_lab.worker.context import current_context  # travels by name; the variable itself cannot

    context = current_context.get()
    assert context is not None
    submit = context.submit

    async def ask() -> Any:
        return (await submit(Call("system.echo", {"value": 1}, pool="general")).result()).value

    return context.on_services(ask()).result(10)


def open_a_socket() -> None:
    socket.socket(socket.AF_UNIX).close()


def open_a_pair_of_datagram_sockets() -> None:
    for one in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        one.close()


def read(path: str) -> str:
    return Path(path).read_text()


def write(path: str) -> None:
    Path(path).write_text("x")


def take(size: int) -> int:
    return len(bytearray(size))


@pytest.mark.parametrize(
    ("function", "argument"),
    [(read, "file"), (write, "file"), (read, "connection_file")],
    ids=["read", "write", "connection file"],
)
async def test_the_workers_own_process_is_closed_too(
    backend: KernelBackend, surroundings: Surroundings, function: Callable[[str], Any], argument: str
) -> None:
    """A user's function on a sandbox pool meets the same walls."""
    call = python_call(function, getattr(surroundings, argument), pool="sandbox")
    with pytest.raises(PythonError) as caught:
        await backend.submit(call).result()
    assert caught.value.error_type == "PermissionError"


@pytest.mark.parametrize("function", [open_a_socket, open_a_pair_of_datagram_sockets])
async def test_a_worker_of_a_sandbox_opens_no_socket(backend: KernelBackend, function: Callable[[], None]) -> None:
    """Its channel to the host is up, and nothing else comes up: not even on its older threads."""
    with pytest.raises(PythonError, match="Operation not permitted"):
        await backend.submit(python_call(function, pool="sandbox")).result()


async def test_a_worker_of_a_sandbox_makes_no_calls(backend: KernelBackend) -> None:
    """The channel is no way round the walls: the host takes no calls out of a sandbox."""
    with pytest.raises(ProtocolError, match="sandbox"):
        await backend.submit(python_call(ask_through_the_host, pool="sandbox")).result()


async def test_a_worker_of_a_sandbox_takes_no_10_gb(backend: KernelBackend) -> None:
    """It is refused at once: no second goes by in which the machine could run out of memory."""
    with pytest.raises(PythonError, match="MemoryError"):
        await backend.submit(python_call(take, 10**10, pool="sandbox")).result()


async def test_large_values_reach_a_sandbox(backend: KernelBackend) -> None:
    """Shared memory carries them there and back."""
    data = os.urandom(4_000_000)
    assert await end_of(backend.submit(echo(data, pool="sandbox"))) == data


async def test_without_a_sandbox_code_may_do_what_the_user_may(
    backend: KernelBackend, surroundings: Surroundings
) -> None:
    """That is what sandbox="off" says."""
    outcome = await outcome_of(backend, "open(path).read()", pool="open", variables={"path": surroundings.file})
    assert outcome["result"] == SECRET
