"""What guards decide, and what they do to a process of their own. Attempts to get past them: ``tests/faults``."""

from __future__ import annotations

import asyncio
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from dspex_lab.backends.inline import InlineBackend
from dspex_lab.calls import Call
from dspex_lab.errors import ConfigurationError
from dspex_lab.portal import Portal
from dspex_lab.settings import Settings, default_pools
from dspex_lab.wire.codec import encode
from dspex_lab.wire.framing import Frames
from dspex_lab.wire.messages import Failed, Message, Run
from dspex_lab.worker import guards, landlock, seccomp
from dspex_lab.worker.dispatch import Dispatcher
from dspex_lab.worker.guards import Guards, missing_walls, python_folders


def in_a_process(code: str, *arguments: object) -> str:
    """What ``code`` prints in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_sandbox_is_a_default_pool_that_costs_nothing_until_used() -> None:
    """It keeps no worker ready, is closed, and its operations end soon."""
    spec = Settings.create(pools=default_pools()).pool("sandbox")
    assert (spec.sandbox, spec.min_ready, spec.size, spec.max_memory_mb) == ("on", 0, 2, 512)
    assert spec.op_timeout_s <= 60


@pytest.mark.parametrize(
    ("abi", "filters", "said"),
    [(0, True, "no Landlock"), (2, True, "version 2"), (7, False, "cannot be filtered"), (3, True, "")],
)
def test_what_a_system_lacks_is_said(abi: int, filters: bool, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each missing wall has its own words; with all there, there are none."""
    monkeypatch.setattr(landlock, "landlock_abi", lambda: abi)
    monkeypatch.setattr(seccomp, "has_filter", lambda: filters)
    found = missing_walls()
    assert said in found
    assert bool(found) == bool(said)


def test_a_machine_whose_calls_have_other_numbers_is_not_filtered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table for another architecture would refuse the wrong calls."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not seccomp.has_filter()


def test_a_sandbox_that_cannot_be_closed_says_what_to_do() -> None:
    """The refusal names the key, the reason and the way out; a closed one and an open pool refuse nothing."""
    refusal = Guards(is_sandbox=True, trouble="it has no Landlock").refusal()
    assert refusal is not None
    assert refusal.config_key == "sandbox"
    assert "no Landlock" in refusal.message
    assert 'sandbox="off"' in str(refusal.hint)
    assert Guards(is_sandbox=True).refusal() is None
    assert Guards().refusal() is None


async def test_nothing_runs_in_a_sandbox_that_is_not_closed() -> None:
    """Every operation there fails with the refusal, whatever it is."""
    sent: asyncio.Queue[Message] = asyncio.Queue()

    def send(message: Message, _payload: Frames) -> None:
        sent.put_nowait(message)

    def submit(call: Call) -> None:
        raise AssertionError(f"nobody makes calls here: {call}")

    with Portal() as main:
        loop = main.call_soon(asyncio.get_running_loop)
        open_sandbox = Guards(is_sandbox=True, trouble="it has no Landlock")
        dispatcher = Dispatcher(loop, send, submit, guards=open_sandbox)  # type: ignore[arg-type]
        dispatcher.receive(Run(id="c", op="python.call"), encode({"function": "os.getpid"}))
        async with asyncio.timeout(10):
            message = await sent.get()
    assert isinstance(message, Failed)
    assert message.error["type"] == "ConfigurationError"


async def test_generated_code_does_not_run_in_the_notebooks_process() -> None:
    """The inline backend has no walls, and refuses."""
    backend = InlineBackend()
    await backend.open()
    with pytest.raises(ConfigurationError, match="does not run in this process"):
        await backend.submit(Call("code.run", {"code": "1"}, timeout_s=10)).result()
    await backend.aclose()


def test_pythons_folders_are_readable_and_the_home_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation in the user's home is readable; the home itself, or what it lies in, never is."""
    monkeypatch.setenv("HOME", str(Path(sys.prefix).parent))
    assert Path(sys.prefix).resolve() in python_folders()
    monkeypatch.setenv("HOME", f"{sys.prefix}/me")
    assert Path(sys.prefix).resolve() not in python_folders()


def test_every_worker_gains_no_privileges_and_dumps_no_core(tmp_path: Path) -> None:
    """Also one whose pool is no sandbox."""
    code = (
        "import sys, resource; from pathlib import Path; from dspex_lab.worker.guards import guard_worker\n"
        "guard_worker(Path(sys.argv[1]), is_sandbox=False, max_memory_mb=512)\n"
        "print([line for line in open('/proc/self/status') if 'NoNewPrivs' in line][0].split()[1],"
        " resource.getrlimit(resource.RLIMIT_CORE))"
    )
    assert in_a_process(code, tmp_path) == "1 (0, 0)"


def test_files_are_read_and_written_where_it_was_said(tmp_path: Path) -> None:
    """Beneath readable folders reading, beneath writable ones both, by name alone in unlisted ones; else nothing."""
    for name in ("read", "write", "unlisted", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old").write_text(name)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from dspex_lab.worker import landlock, seccomp\n"
        "at = Path(sys.argv[1])\n"
        "def tries(action):\n"
        "    try: action(); return 'y'\n"
        "    except PermissionError: return 'n'\n"
        "seccomp.forbid_new_privileges()\n"
        "landlock.restrict_files([at / 'read', at / 'missing'], [at / 'write'], unlisted=[at / 'unlisted'])\n"
        "for name in ('read', 'write', 'unlisted', 'closed'):\n"
        "    place = at / name\n"
        "    print(tries((place / 'old').read_text) + tries(lambda: (place / 'new').write_text('x'))\n"
        "          + tries(lambda: os.listdir(place)), end=' ')"
    )
    assert in_a_process(code, tmp_path) == "yny yyy yyn nnn"


def test_a_sealed_process_opens_no_socket_on_any_thread() -> None:
    """The filter is for threads that there are already, too."""
    code = (
        "import socket, threading; from dspex_lab.worker import seccomp\n"
        "sealed, found = threading.Event(), []\n"
        "def look():\n"
        "    sealed.wait()\n"
        "    try: socket.socket().close(); found.append('open')\n"
        "    except PermissionError: found.append('refused')\n"
        "thread = threading.Thread(target=look); thread.start()\n"
        "seccomp.forbid_new_privileges(); seccomp.seal(); sealed.set(); thread.join(); print(found[0])"
    )
    assert in_a_process(code) == "refused"


def test_threads_and_signals_to_itself_are_left_to_generated_code() -> None:
    """What is sealed for good still computes: threads start, a process may signal itself, and forks do not."""
    code = (
        "import os, signal, threading; from dspex_lab.worker import seccomp\n"
        "seccomp.forbid_new_privileges(); seccomp.seal_generated_code()\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('signalled', end=' '))\n"
        "thread = threading.Thread(target=lambda: print('thread', end=' ')); thread.start(); thread.join()\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "try: os.fork()\n"
        "except PermissionError: print('no fork')"
    )
    assert in_a_process(code) == "thread signalled no fork"


@pytest.mark.parametrize("column", [0, 1], ids=["x86_64", "aarch64"])
def test_no_two_calls_have_one_number(column: int) -> None:
    """A number that stands twice in the table is a slip of the pen."""
    tables = (seccomp.NUMBERS, seccomp._OF_GENERATED_CODE, seccomp._PRETENDED)
    numbers = [pair[column] for table in tables for pair in table.values()]
    known = [number for number in numbers if number is not None]
    assert len(known) == len(set(known))


def test_limits_count_from_what_is_mapped() -> None:
    """A worker that was forked large can work: what it has mapped already is known, and is no nothing."""
    assert guards._mapped_bytes("size") >= guards._mapped_bytes("data") > 0
