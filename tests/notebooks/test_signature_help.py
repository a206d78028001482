"""Help where one writes: Tab, Shift-Tab and ``?`` in ``%%signature`` cells, asked of a real kernel."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

TIMEOUT_S = 60.0
CLASSES = """
import enum
from dataclasses import dataclass
from pydantic import BaseModel

class Mood(enum.Enum):
    CALM = "calm"

@dataclass
class Quote:
    words: str

class Moment(BaseModel):
    year: int

moose = 3
"""


@pytest.fixture(scope="module")
def kernel(lab_runtime_dir: object) -> Iterator[BlockingKernelClient]:
    """A notebook kernel with the extension loaded and some classes of the user's own."""
    with tempfile.TemporaryDirectory(prefix="dxl-", dir="/tmp") as folder:
        manager = KernelManager(kernel_name="python3", transport="ipc", ip=f"{folder}/k")
        manager.start_kernel()
        client = manager.client()
        try:
            client.start_channels()
            client.wait_for_ready(timeout=TIMEOUT_S)
            for code in ("%load_ext dspex_lab", CLASSES):
                assert execute(client, code)["status"] == "ok"
            yield client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()
            manager.context.destroy(linger=0)


def execute(kernel: BlockingKernelClient, code: str) -> dict[str, Any]:
    reply = kernel.execute_interactive(code, timeout=TIMEOUT_S, allow_stdin=False, output_hook=lambda _: None)
    content: dict[str, Any] = reply["content"]
    return content


def matches(kernel: BlockingKernelClient, marked: str) -> list[str]:
    """What Tab offers at the ``‸`` in a cell: its line as it would read with each of the words put in."""
    cursor = marked.index("‸")
    code = marked.replace("‸", "")
    reply = kernel.complete(code, cursor, reply=True, timeout=TIMEOUT_S)
    content: dict[str, Any] = reply["content"]
    assert content["cursor_end"] == cursor
    line_start = code.rfind("\n", 0, cursor) + 1
    kept = code[line_start : content["cursor_start"]]
    return [kept + match for match in content["matches"]]


@pytest.mark.parametrize(
    ("cell", "lines"),
    [
        ("a: li‸", ["a: list", "a: Literal", "a: List"]),
        ("a: str\n->\nb: Lit‸", ["b: Literal"]),
        ("->\nb: list[Opt‸", ["b: list[Optional"]),
        ("->\nb: str | No‸", ["b: str | None", "b: str | NoneType"]),
        ("->\nb: dspy.Im‸", ["b: dspy.Image"]),
        ("->\nb: Annotated[int, Fi‸", ["b: Annotated[int, Field("]),
        ("->\nb: Annotated[int, Field(g‸", ["b: Annotated[int, Field(gt=", "b: Annotated[int, Field(ge="]),
        ("->\nb: Annotated[int, Field(ge=1, mu‸", ["b: Annotated[int, Field(ge=1, multiple_of="]),
        ("->\nb: Quo‸", ["b: Quote"]),
        ("->\nb: dict[str, Moo‸", ["b: dict[str, Mood"]),
        ("->\nb: Mo‸", ["b: Moment", "b: Mood"]),
    ],
)
def test_tab_offers_types_and_options(kernel: BlockingKernelClient, cell: str, lines: list[str]) -> None:
    """Types behind a colon, those of the user's own too; options inside ``Field(``; each put in where it belongs."""
    assert matches(kernel, f"%%signature Triage\n{cell}") == lines


def test_tab_behind_a_colon_offers_everything(kernel: BlockingKernelClient) -> None:
    """With nothing typed: the frequent types first, then the others and the user's own, and none of their variables."""
    offered = matches(kernel, "%%signature Triage\na: ‸")
    assert offered[:3] == ["a: str", "a: int", "a: float"]
    assert {"a: Mood", "a: Quote", "a: Moment", "a: Literal", "a: Field("} <= set(offered)
    assert "a: moose" not in offered


@pytest.mark.parametrize("cell", ['"""Route a l‸', "a: str  # the li‸"])
def test_tab_leaves_prose_alone(kernel: BlockingKernelClient, cell: str) -> None:
    """Instructions and comments are the user's own words: no type is offered there."""
    assert not {"list", "Literal"} & {one.split()[-1] for one in matches(kernel, f"%%signature Triage\n{cell}")}


def test_tab_in_other_cells_is_pythons(kernel: BlockingKernelClient) -> None:
    """Where no magic of ours stands, the kernel completes as ever."""
    assert "moose" in matches(kernel, "moo‸")


def test_the_magics_name_is_completed(kernel: BlockingKernelClient) -> None:
    """``%%sig`` is ``%%signature``."""
    assert "%%signature" in matches(kernel, "%%sig‸")


def test_shift_tab_on_the_magic_helps(kernel: BlockingKernelClient) -> None:
    """An inspection of ``%%signature`` shows an example and what each part of it means."""
    reply = kernel.inspect("%%signature Triage\na: str", len("%%signature"), reply=True, timeout=TIMEOUT_S)
    assert reply["content"]["found"]
    shown = reply["content"]["data"]["text/plain"]
    assert "%%signature Triage" in shown
    assert "Inputs stand above the arrow" in shown


def test_a_question_mark_helps(kernel: BlockingKernelClient) -> None:
    """``%%signature?`` opens the same help in the pager."""
    (page,) = execute(kernel, "%%signature?")["payload"]
    assert "Inputs stand above the arrow" in page["data"]["text/plain"]


def test_help_loads_neither_dspy_nor_widgets(kernel: BlockingKernelClient) -> None:
    """A notebook that only writes signatures stays light."""
    code = "assert not {'dspy', 'litellm', 'anywidget'} & set(__import__('sys').modules)"
    assert execute(kernel, code)["status"] == "ok"
