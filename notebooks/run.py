"""Run a notebook from top to bottom without a screen: ``python notebooks/run.py NOTEBOOK --output FOLDER``.

Prints each code cell's plain-text output with its heading and time, and leaves the executed notebook and an HTML page
of it in the folder. The kernel is this very interpreter, so no kernel needs to be installed. A cell that fails ends
the run with exit status 1, its error and its line; what was run until then is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

WIDTH = 100
ANSI = re.compile(r"\x1b\[[0-9;]*m")
#: The page shows the static form of a panel: a widget's view needs scripts from elsewhere, and the page loads none.
PAGE_FORMS = ["text/html", "image/svg+xml", "image/png", "text/markdown", "text/latex", "text/plain"]


class ThisInterpreter(KernelSpecManager):
    """The one kernel there is: ipykernel in the interpreter that runs this file."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python", metadata={"debugger": False})


class Narrator:
    """Tells what each code cell printed, once it has run: the hooks of nbclient."""

    def __init__(self, notebook: NotebookNode) -> None:
        self._headings = headings(notebook)
        self._began = 0.0
        self.told: list[int] = []

    def on_cell_execute(self, *, cell: NotebookNode, cell_index: int) -> None:
        self._began = time.monotonic()

    def on_cell_executed(self, *, cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        seconds = time.monotonic() - self._began
        heading = self._headings.get(cell_index, "")
        self.told.append(cell_index)
        say(f"\n── {heading} {'─' * max(4, WIDTH - len(heading) - 16)} {seconds:6.2f} s")
        for line in plain_text(cell).splitlines():
            say(f"   {line}")


def say(line: str) -> None:
    """Tell the terminal, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def headings(notebook: NotebookNode) -> dict[int, str]:
    """For each code cell's index, the heading it stands under and its first line."""
    found: dict[int, str] = {}
    title = ""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            lines = [line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")]
            title = lines[-1] if lines else title
        elif cell.cell_type == "code":
            first = next((line for line in cell.source.splitlines() if line.strip()), "")
            found[index] = f"[{title}] {first}" if title else first
    return found


def is_meant_to_fail(cell: NotebookNode) -> bool:
    """Whether a cell shows an error on purpose: then the notebook goes on after it."""
    return "raises-exception" in cell.metadata.get("tags", [])


def plain_text(cell: NotebookNode) -> str:
    """What a terminal would have shown of a cell's outputs."""
    parts = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            parts.append(output.text.rstrip("\n"))
        elif output.output_type in ("execute_result", "display_data"):
            parts.append(output.data.get("text/plain", ""))
        elif is_meant_to_fail(cell):
            parts.append("\n".join(output.traceback))
    return ANSI.sub("", "\n".join(part for part in parts if part))


def fault(cell: NotebookNode) -> str:
    """A failed cell's own error: the line of the cell if the traceback tells it, then type and message."""
    error = next((output for output in cell.get("outputs", []) if output.output_type == "error"), None)
    if error is None:
        return "The cell did not end well, and left no error."
    traceback = ANSI.sub("", "\n".join(error.traceback))
    numbers = re.findall(r"(?:Cell In\[\d+\], line|^-+> ?)\s*(\d+)", traceback, re.MULTILINE)
    lines = cell.source.splitlines()
    place = ""
    if numbers and 0 < int(numbers[0]) <= len(lines):
        place = f"line {numbers[0]}: {lines[int(numbers[0]) - 1].strip()}\n"
    return f"{place}{error.ename}: {ANSI.sub('', error.evalue)}"


async def execute(path: Path, *, cell_timeout_s: float, total_timeout_s: float) -> tuple[NotebookNode, str | None]:
    """Run the notebook at ``path`` in its own folder. Returns it as executed, and what went wrong or None."""
    notebook = nbformat.read(path, as_version=4)
    narrator = Narrator(notebook)
    sockets = tempfile.mkdtemp(prefix="dxl-run-")
    manager = AsyncKernelManager(
        kernel_spec_manager=ThisInterpreter(), kernel_name="python3", transport="ipc", ip=f"{sockets}/kernel"
    )
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=int(cell_timeout_s),
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_execute=narrator.on_cell_execute,
        on_cell_executed=narrator.on_cell_executed,
    )
    problem = None
    try:
        async with asyncio.timeout(total_timeout_s):
            await client.async_execute()
    except CellExecutionError:
        problem = fault(notebook.cells[narrator.told[-1]])
    except CellTimeoutError:
        problem = f"A cell ran for more than {cell_timeout_s:.0f} s."
    except TimeoutError:
        problem = f"The notebook ran for more than {total_timeout_s:.0f} s."
    except DeadKernelError:
        problem = "The kernel died."
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
        if manager.has_kernel:
            await manager.shutdown_kernel(now=True)
        shutil.rmtree(sockets, ignore_errors=True)
    return notebook, problem


def write(notebook: NotebookNode, name: str, folder: Path) -> tuple[Path, Path]:
    """Keep the executed notebook and its HTML page; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    executed, page = folder / f"{name}.ipynb", folder / f"{name}.html"
    nbformat.write(notebook, executed)
    exporter = HTMLExporter(
        config=Config(NbConvertBase={"display_data_priority": PAGE_FORMS}),
        require_js_url="",
        mathjax_url="",
    )
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": name}})
    page.write_text(re.sub(r'<script src="">\s*</script>', "", body), encoding="utf-8")
    return executed, page


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when every cell ran well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="folder for the results")
    parser.add_argument("--cell-timeout", type=float, default=180.0, help="seconds that one cell may take")
    parser.add_argument("--timeout", type=float, default=420.0, help="seconds that the whole notebook may take")
    options = parser.parse_args(arguments)
    if not options.notebook.is_file():
        parser.error(f"there is no notebook {options.notebook}")
    began = time.monotonic()
    notebook, problem = asyncio.run(
        execute(
            options.notebook.resolve(),
            cell_timeout_s=options.cell_timeout,
            total_timeout_s=options.timeout,
        )
    )
    executed, page = write(notebook, options.notebook.stem, options.output)
    say(f"\n{'═' * WIDTH}")
    if problem:
        say(f"{options.notebook.name} failed after {time.monotonic() - began:.1f} s.\n{problem}")
    else:
        say(f"{options.notebook.name}: every cell ran, in {time.monotonic() - began:.1f} s.")
    say(f"Notebook: {executed}\nPage:     {page}")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
