"""A fresh notebook kernel and the plainest front end for it, to time what a notebook would see."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

__all__ = ["Message", "execute", "fresh_kernel"]

Message = dict[str, Any]
TIMEOUT_S = 120.0


@contextmanager
def fresh_kernel() -> Iterator[BlockingKernelClient]:
    """A kernel of this interpreter that has run one empty cell: IPython's own beginnings are over."""
    with tempfile.TemporaryDirectory(prefix="dxl-", dir="/tmp") as folder:
        manager = KernelManager(kernel_name="python3", transport="ipc", ip=f"{folder}/k")
        manager.start_kernel()
        client = manager.client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=TIMEOUT_S)
            execute(client, "1")
            yield client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def execute(
    client: BlockingKernelClient,
    code: str,
    expressions: dict[str, str] | None = None,
    *,
    on_output: Callable[[Message], None] = lambda _: None,
) -> dict[str, str]:
    """Run a cell; the text of each expression afterwards. Raises RuntimeError with the cell's traceback."""
    reply: Message = client.execute_interactive(
        code, user_expressions=expressions or {}, timeout=TIMEOUT_S, output_hook=on_output, allow_stdin=False
    )
    content = reply["content"]
    if content["status"] != "ok":
        raise RuntimeError("\n".join(content.get("traceback", [])))
    values = content["user_expressions"]
    wrong = [value for value in values.values() if value["status"] != "ok"]
    if wrong:
        raise RuntimeError(f"{wrong[0]['ename']}: {wrong[0]['evalue']}")
    return {name: value["data"]["text/plain"] for name, value in values.items()}
