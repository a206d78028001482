"""``%load_ext dspex_lab``: quick, done twice without harm, with help and completion."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

import dspex_lab.lab
from dspex_lab.lab import Lab, current_lab, use_lab, warm_up
from dspex_lab.magics import help as help_texts
from dspex_lab.magics.completion import complete
from dspex_lab.magics.extension import load, unload

Cell = Callable[[str], ExecutionResult]

LOADED = """
import sys
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
assert shell.run_line_magic("load_ext", "dspex_lab") is None
assert shell.run_cell('%%signature S\\nticket: str\\n->\\nmood: str').success
heavy = ["dspy", "litellm", "pandas", "numpy", "ipywidgets", "anywidget", "xllamacpp"]
sys.stdout.write(" ".join(name for name in heavy if name in sys.modules) or "light")
"""


def test_loading_imports_nothing_heavy(lab_runtime_dir: Path) -> None:
    """Neither the extension nor a signature cell brings DSPy, pandas or widgets into the notebook process."""
    # A runtime folder that cannot be: the lab that the signature warms up must start no host.
    environment = {"DSPEX_LAB_RUNTIME_DIR": "/dev/null/none", "IPYTHONDIR": str(lab_runtime_dir / "i"), "HOME": "/tmp"}
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("light")


def test_loading_twice_changes_nothing(shell: InteractiveShell) -> None:
    """The magics stay the same and the completion is registered once; unloading takes it away."""
    before = len(shell.Completer.custom_matchers)
    shell.run_line_magic("load_ext", "dspex_lab")
    load(shell)
    assert len(shell.Completer.custom_matchers) == before
    unload(shell)
    unload(shell)
    assert len(shell.Completer.custom_matchers) == before - 1
    load(shell)


@pytest.mark.parametrize(
    ("magic", "text"),
    [("%%signature", help_texts.SIGNATURE), ("%%pipeline", help_texts.PIPELINE), ("%lab", help_texts.LAB)],
)
def test_each_magic_has_its_help(shell: InteractiveShell, magic: str, text: str) -> None:
    """``%%signature?`` and the like show the help text."""
    found = shell.object_inspect_text(magic)  # type: ignore[no-untyped-call]
    assert text.splitlines()[0] in found
    assert text.strip().splitlines()[-1].strip() in found


def completions(shell: InteractiveShell, text: str) -> list[str]:
    with provisionalcompleter():
        return [one.text for one in shell.Completer.completions(text, len(text))]


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("%lab st", {"status", "start", "stop"}, {"lm"}),
        ("%lab pools n", {"neural"}, {"general"}),
        ("%lab pools re", {"restart", "remove"}, {"add"}),
        ("%lab pools restart g", {"general"}, {"neural"}),
        ("%lab pools add big max", {"max_memory_mb="}, {"size="}),
        ("%lab lm openai/x te", {"temperature="}, {"api_base="}),
        ("%%pipeline support --r", {"--run"}, {"--dry-run"}),
        ("%%signature T\nticket: st", {"str"}, {"int"}),
        ("%%pipeline support\nanswer = pre", {"predict"}, {"parallel"}),
    ],
)
def test_tab_completes_in_our_lines_and_cells(
    cell: Cell, shell: InteractiveShell, text: str, wanted: set[str], unwanted: set[str]
) -> None:
    """Commands, pools, settings, flags, types and steps are offered through IPython's own completer."""
    found = set(completions(shell, text))
    assert wanted <= found
    assert not unwanted & found


def test_completion_replaces_the_word_before_the_cursor(shell: InteractiveShell) -> None:
    """What is accepted takes the place of the whole word, dashes and slashes included."""
    text = "%%pipeline support --r"
    with provisionalcompleter():
        one = next(one for one in shell.Completer.completions(text, len(text)) if one.text == "--run")
    assert text[: one.start] + one.text == "%%pipeline support --run"


def test_python_keeps_its_own_completion(shell: InteractiveShell) -> None:
    """Outside of our text nothing is offered by us, and nothing is taken from Python."""
    assert complete("impo", 4, {}).words == ()
    assert "import" in completions(shell, "impo")


def test_the_users_classes_are_offered_in_signatures(cell: Cell, shell: InteractiveShell) -> None:
    """A class that the notebook defined is a type that can be completed."""
    cell("class Customer: pass")
    assert "Customer" in completions(shell, "%%signature T\nwho: Cus")


class _WarmLab(Lab):
    """A lab that says when it was asked to get ready."""

    asked = threading.Event()

    def start_in_background(self) -> None:
        self.asked.set()
        raise RuntimeError("This does no harm.")


@pytest.fixture
def no_lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """There is no lab yet, and the one that is made says when it was warmed up."""
    monkeypatch.setattr(dspex_lab.lab, "Lab", _WarmLab)
    _WarmLab.asked.clear()
    before = use_lab(None)
    yield
    made = use_lab(before)
    if made is not None:
        made.close()


@pytest.mark.usefixtures("no_lab")
def test_the_first_signature_warms_the_lab_up(shell: Any) -> None:
    """The lab is made and asked to get ready on a thread of its own, and its failure is not the cell's."""
    assert shell.run_cell("%%signature T\nticket: str\n->\nmood: str").success
    assert _WarmLab.asked.wait(10)


@pytest.mark.usefixtures("no_lab")
def test_a_lab_that_is_there_is_left_alone() -> None:
    """A later signature starts nothing."""
    lab = current_lab()
    warm_up()
    assert not _WarmLab.asked.is_set()
    assert current_lab() is lab
