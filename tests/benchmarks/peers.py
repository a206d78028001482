"""What the pool is measured against, in the same run on the same machine: the plainest way to do each thing."""

from __future__ import annotations

import asyncio
import multiprocessing
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor

import zmq
import zmq.asyncio

from tests.benchmarks.table import durations, median

__all__ = ["process_pool_call_s", "spawn_and_import_s", "zmq_echo_s"]

#: A ROUTER in another process that sends each message back: the least that a call over ZMQ can cost.
_ECHO = """
import asyncio, sys, zmq, zmq.asyncio

async def main(address):
    context = zmq.asyncio.Context()
    router = context.socket(zmq.ROUTER)
    router.bind(address)
    print("bound", flush=True)
    while True:
        frames = await router.recv_multipart()
        if frames[-1] == b"stop":
            break
        await router.send_multipart(frames)
    router.close(0)
    context.term()

asyncio.run(main(sys.argv[1]))
"""
_STOP_TIMEOUT_S = 10.0


def zmq_echo_s(*, calls: int = 2000) -> float:
    """Median seconds of one round trip over ``ipc``: DEALER and ROUTER, asyncio at both ends, two processes."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        address = f"ipc://{folder}/echo"
        with subprocess.Popen([sys.executable, "-c", _ECHO, address], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                return asyncio.run(_echo(address, calls))
            finally:
                process.kill()
                process.wait(_STOP_TIMEOUT_S)


async def _echo(address: str, calls: int) -> float:
    context = zmq.asyncio.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.connect(address)
    taken = []
    try:
        for number in range(calls):
            began = time.perf_counter()
            await dealer.send_multipart([b"%d" % number, b"payload"])
            await dealer.recv_multipart()
            taken.append(time.perf_counter() - began)
        await dealer.send(b"stop")
    finally:
        dealer.close(1000)
        context.term()
    return median(taken[calls // 10 :])


def process_pool_call_s(*, calls: int = 1000) -> float:
    """Median seconds of one trivial call through ProcessPoolExecutor with one worker."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return median(durations(lambda: pool.submit(int, 1).result(), runs=calls, warm_up=calls // 10))


def spawn_and_import_s(*, runs: int = 3) -> float:
    """Median seconds until a fresh Python has DSPy imported: what a worker costs without a zygote."""
    command = [sys.executable, "-c", "import dspy"]
    return median(durations(lambda: subprocess.run(command, check=True, timeout=120), runs=runs))
