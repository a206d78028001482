"""``%lab``: every command, wrong arguments, and keys that do not belong on a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from IPython.core.interactiveshell import ExecutionResult

from dspex_lab.errors import ConfigurationError
from dspex_lab.lab import Lab, use_lab
from dspex_lab.magics.lab_magic import COMMANDS, run_command
from dspex_lab.programs import native, pipeline
from dspex_lab.settings import Settings
from dspex_lab.telemetry.host_view import HostView

Cell = Callable[[str], ExecutionResult]

pytestmark = pytest.mark.usefixtures("lab")


@pytest.mark.parametrize(
    "line", ["", "status", "start", "start general", "pools", "pools general 3", "pools remove big"]
)
def test_questions_about_pools_show_the_host(line: str) -> None:
    """The value is the host's view, which has a plain and an HTML form."""
    view = run_command(line)
    assert isinstance(view, HostView)
    assert "general" in repr(view)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stop", "is ending"),
        ("lm", "local/smollm2-135m (on this machine)"),
        ("lm openai/gpt-4o-mini temperature=0.2", "openai/gpt-4o-mini (remote, temperature 0.2)"),
        ("logs", "── host.log\nthe last words"),
        ("logs general-1", "── general-1.log\nhello"),
        ("connect general-1", "jupyter console --existing /run/general-1/kernel.json"),
        ("pools restart general", "2 workers of general will be replaced"),
        ("jobs", "0123abcd  running    optimizer"),
        ("jobs cancel 0123abcd", "The job is told to stop."),
        ("help", "%lab stop"),
    ],
)
def test_commands_answer_in_text(line: str, words: str) -> None:
    """The text shows as it is."""
    assert words in repr(run_command(line))


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("stat", "%lab knows no command 'stat'.", "Did you mean %lab sta"),
        ("xyzzy", "%lab knows no command 'xyzzy'.", "%lab help"),
        ("status now", "That takes no argument.", "%lab help"),
        ("stop it", "That takes no argument.", "%lab help"),
        ("start a b", "That takes at most one pool.", "%lab help"),
        ("pools general", "That takes nothing, a pool and its size, or add, restart or remove", "%lab help"),
        ("pools add", "That takes a name, and options of PoolSpec.", "%lab help"),
        ("pools add big sise=3", "'sise=3' is no option of a pool.", "Did you mean size=...?"),
        ("pools add big size=0", "The setting pools.big.size cannot be used", ""),
        ("pools add Big", "The setting pools.Big.name cannot be used", ""),
        ("pools general many", "'many' is no size of a pool.", "%lab pools general 4"),
        ("pools general ²", "'²' is no size of a pool.", "%lab pools general 4"),
        ("jobs stop", "That takes nothing, or cancel and a job's id.", "%lab help"),
        ("jobs cancel", "That takes one job, by its id.", "%lab help"),
        ("logs a b", "That takes at most one worker.", "%lab help"),
        ("logs nobody", "There is no log of 'nobody'.", "%lab logs"),
        ("connect", "That takes one worker.", "%lab help"),
        ("lm gpt-4o-mini", "'gpt-4o-mini' is no model's name.", "openai/gpt-4o-mini"),
        ("lm 'hosted_vllm/a b'", "'hosted_vllm/a b' is no model's name.", "openai/gpt-4o-mini"),
        ("lm openai/", "'openai/' is no model's name.", "openai/gpt-4o-mini"),
        ("lm openai/x temprature=1", "A language model has no setting 'temprature'.", "temperature"),
        ("lm openai/x hot", "'hot' is no setting.", "temperature=0.2"),
        ("lm openai/x temperature=hot", "The setting lm_temperature cannot be used", ""),
        ("lm 'openai/x", "The line cannot be read: No closing quotation.", "quotes"),
    ],
)
def test_a_wrong_line_is_told_with_a_hint(line: str, message: str, hint: str) -> None:
    """What cannot be carried out says why, and what to write."""
    with pytest.raises(ConfigurationError) as caught:
        run_command(line)
    assert caught.value.message.startswith(message)
    assert hint in (caught.value.hint or "")


def test_a_pool_is_made_in_one_line(lab: Lab) -> None:
    """Numbers, lists and words are read for what they are, and the lab's own settings know the pool."""
    run_command("""pools add big size=3 max_memory_mb=2048 gpu=auto labels='["eu"]' env='{"A": "b"}'""")
    spec = lab.settings.pool("big")
    assert (spec.size, spec.max_memory_mb, spec.gpu, spec.labels, spec.env) == (3, 2048, "auto", ("eu",), {"A": "b"})
    run_command("pools remove big")
    assert "big" not in [one.name for one in lab.settings.pools]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_too_many_arguments_are_no_crash(command: str) -> None:
    """Whatever stands behind a command, the answer is text or an error of the house."""
    if command == "help":
        assert run_command("help a b c d")
        return
    with pytest.raises(ConfigurationError):
        run_command(f"{command} a b c d")


@pytest.mark.parametrize("name", ["api_key", "API_KEY", "api-key", "key", "token"])
def test_a_key_on_the_line_is_refused(lab: Lab, name: str) -> None:
    """Notebooks are shared: a key belongs into the environment, and the error does not repeat it."""
    with pytest.raises(ConfigurationError) as caught:
        run_command(f"lm openai/x {name}=sk-secret")
    assert "OPENAI_API_KEY" in (caught.value.hint or "")
    assert "sk-secret" not in repr(caught.value.to_dict())
    assert lab.lm.is_local


def test_a_question_starts_no_host(tmp_path: Path) -> None:
    """Where no host lives, looking, ending and reading logs say so at once."""
    folder = tmp_path / "lab"
    with Lab(Settings.create(runtime_dir=folder)) as lab:
        before = use_lab(lab)
        try:
            for line in ("", "pools", "stop", "logs"):
                assert "No pool host runs" in repr(run_command(line))
        finally:
            use_lab(before)
    assert not folder.exists()


def test_the_last_words_of_a_host_outlive_it(tmp_path: Path) -> None:
    """The log of a host that is gone is shown without another host."""
    (tmp_path / "host.log").write_text("it fell over")
    with Lab(Settings.create(runtime_dir=tmp_path)) as lab:
        assert lab.logs() == {str(tmp_path / "host.log"): "it fell over"}
        assert not lab.has_host()


def test_the_line_works_in_a_shell(cell: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    """``%lab`` gives its value to the cell, expands the notebook's names, and shows errors without a traceback."""
    assert isinstance(cell("%lab status").result, HostView)
    cell("model = 'openai/gpt-4o-mini'")
    assert "openai/gpt-4o-mini (remote" in repr(cell("%lab lm {model}").result)
    capsys.readouterr()
    cell("%lab stat")
    shown = capsys.readouterr().out
    assert "ConfigurationError: %lab knows no command 'stat'." in shown
    assert "Traceback" not in shown


def test_traces_are_a_table_and_one_is_a_waterfall(lab: Lab) -> None:
    """The latest where none is named; before there is any, a sentence."""
    assert "Nothing was traced yet" in repr(run_command("traces"))
    with pytest.raises(ConfigurationError, match="Nothing was traced yet"):
        run_command("trace")
    run = native(lambda q: q, route="native").submit(q=1)
    run.result()
    assert list(run_command("traces")["trace"]) == [run.id]
    for line in ("trace", f"trace {run.id[:9]}"):
        assert repr(run_command(line)).startswith(f"Trace {run.id[:8]}: run ")
    with pytest.raises(ConfigurationError, match="no trace"):
        run_command("trace none")


def test_the_runs_are_a_table(lab: Lab) -> None:
    """One row for each, whichever notebook began it."""
    pipeline("sizes", size=native(len, reads=["text"]))(text="abc")
    table = run_command("runs")
    assert table.iloc[0][["pipeline", "state", "steps"]].tolist() == ["sizes", "succeeded", "1/1"]
    assert list(table.columns) == ["id", "pipeline", "state", "started", "duration", "steps", "tokens", "error"]
