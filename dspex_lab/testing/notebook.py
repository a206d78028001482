"""A real notebook kernel whose cells are run one by one, for tests that look at what a user sees.

The caller closes it. Knows nothing of pytest.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

__all__ = ["Notebook", "Shown"]

_CELL_TIMEOUT_S = 60.0
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(slots=True)
class Shown:
    """What a cell showed: its streams and plain results as text, its HTML, and its error as the user sees it."""

    text: str = ""
    html: str = ""
    error: str = ""
    error_name: str = ""

    def take(self, message: dict[str, Any]) -> None:
        content = message["content"]
        match message["header"]["msg_type"]:
            case "stream":
                self.text += content["text"]
            case "execute_result" | "display_data" | "update_display_data":
                self.text += str(content["data"].get("text/plain", ""))
                self.html += str(content["data"].get("text/html", ""))
            case "error":
                self.error_name = content["ename"]
                self.error = _COLORS.sub("", "\n".join(content["traceback"]))


class Notebook:
    """One kernel, with the magics loaded; cells are run one after another. Its files and sockets are in ``folder``,
    whose path is short; its host's are in ``runtime_dir``."""

    def __init__(self, folder: Path, runtime_dir: Path, **environment: str) -> None:
        folder.mkdir()
        self._environment = {"DSPEX_LAB_RUNTIME_DIR": str(runtime_dir), **environment}
        self._kernel = KernelManager(kernel_name="python3", transport="ipc", ip=str(folder / "s"))
        self._kernel.connection_file = str(folder / "kernel.json")
        self._client: BlockingKernelClient | None = None

    def open(self) -> None:
        self._kernel.start_kernel(env=os.environ | self._environment, stderr=subprocess.DEVNULL)
        self._connect()

    def _connect(self) -> None:
        if self._client is not None:
            self._client.stop_channels()
        self._client = self._kernel.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=_CELL_TIMEOUT_S)
        self.run("%load_ext dspex_lab\nimport dspex_lab as lab")

    def run(self, source: str) -> Shown:
        """Run one cell and wait for its end."""
        if self._client is None:
            raise RuntimeError("The notebook is not open.")
        shown = Shown()
        self._client.execute_interactive(source, timeout=_CELL_TIMEOUT_S, output_hook=shown.take)
        return shown

    def value(self, source: str) -> str:
        """The plain text of a cell that must not fail."""
        shown = self.run(source)
        if shown.error:
            raise RuntimeError(shown.error)
        return shown.text

    def restart(self) -> None:
        """As Kernel → Restart does."""
        self._kernel.restart_kernel(now=True)
        self._connect()

    def kill(self) -> None:
        """End the kernel's process as the system's memory killer would."""
        pid = int(self.value("import os; os.getpid()"))
        os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        if self._client is not None:
            self._client.stop_channels()
        if self._kernel.has_kernel:
            self._kernel.shutdown_kernel(now=True)
        self._kernel.cleanup_resources()
