"""The composition root: language models and keys, threads, interrupts, and the end. No host is started here."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import dspex_lab as lab_api
from dspex_lab.errors import CircuitOpen, ConfigurationError, HostUnavailable, LabError, WorkerLost
from dspex_lab.lab import Lab, current_lab, use_lab
from dspex_lab.settings import PoolSpec, Settings
from dspex_lab.telemetry import Event
from dspex_lab.testing import FakeBackend, FakeCall

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_AI_API_KEY", "LOCAL_API_KEY")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(
        {"dspy.run": lambda call: {"answer": call.call.args["inputs"]["question"].upper()}},
        replies={"pools.add": lambda spec: None, "echo": lambda value: value},
    )


@pytest.fixture
def lab(backend: FakeBackend, tmp_path: Path) -> Iterator[Lab]:
    with Lab(Settings.create(runtime_dir=tmp_path), backend=backend) as made:
        before = use_lab(made)
        yield made
        use_lab(before)


# --- the language model -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt-4", "", "/", "openai/", "/gpt", "openai/gpt 4", " openai/gpt", "open ai/x"])
def test_what_is_no_models_name_is_refused(lab: Lab, name: str) -> None:
    """A name has a provider and a model and no blanks; the hint shows some, and the model stays what it was."""
    with pytest.raises(ConfigurationError, match=r"is no model's name") as caught:
        lab.use_lm(name)
    assert "openai/gpt-4o-mini" in (caught.value.hint or "")
    assert lab.lm.model == "local/smollm2-135m"


@pytest.mark.parametrize(
    "name", ["openai/gpt-4o-mini", "openrouter/meta/llama:free", "local/smollm2-135m", "a.b_c-d/e@1"]
)
def test_names_as_dspy_and_litellm_write_them_are_taken(lab: Lab, name: str) -> None:
    """Further slashes, colons and dots belong to the model."""
    assert lab.use_lm(name).model == name == lab.router.lm.model


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"temprature": 1}, "temprature"),
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"timeout_s": -1}, "timeout_s"),
        ({"runtime_dir": "/x"}, "runtime_dir"),
    ],
)
def test_settings_that_cannot_be_are_named(lab: Lab, values: dict[str, Any], named: str) -> None:
    """An unknown or impossible setting is an error that names it, and changes nothing."""
    before = lab.lm
    with pytest.raises(ConfigurationError, match=named):
        lab.use_lm("openai/x", **values)
    assert lab.lm == before


def test_a_key_goes_to_its_own_provider_only(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebook's variable of the model's own provider is taken, and no other."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-open")
    monkeypatch.setenv("AZURE_AI_API_KEY", "az")
    assert lab.use_lm("openai/gpt-4o-mini").api_key == "sk-open"
    assert lab.use_lm("azure-ai/x").api_key == "az"
    assert lab.use_lm("anthropic/claude").api_key is None
    assert lab.use_lm("local/smollm2-135m").api_key is None


def test_a_key_and_an_address_go_with_the_model_before(lab: Lab) -> None:
    """A model that is chosen next gets neither the key nor the address of the one before; figures stay."""
    lab.use_lm("openai/a", api_key="sk-given", api_base="http://one/v1", temperature=0.5)
    after = lab.use_lm("anthropic/b")
    assert (after.api_key, after.api_base, after.temperature) == (None, None, 0.5)


def test_a_key_that_is_given_wins(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the code says is used in place of the environment's."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    assert lab.use_lm("openai/x", api_key="sk-code").api_key == "sk-code"


def test_a_step_that_names_its_model_gets_that_providers_key(
    lab: Lab, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``lm="openai/..."`` on a step takes OPENAI_API_KEY, whatever the default is; another provider's step does not."""
    from dspex_lab import predict

    monkeypatch.setenv("OPENAI_API_KEY", "sk-open")
    for model in ("openai/gpt-4o-mini", "anthropic/claude"):
        predict("question -> answer", lm=model, route="python")(question="x")
    assert [call.args["lm"]["api_key"] for call in backend.calls] == ["sk-open", None]


def test_a_key_is_shown_nowhere(lab: Lab) -> None:
    """Neither the lab nor its settings, router or model show it."""
    lab.use_lm("openai/x", api_key="sk-secret")
    shown = [repr(lab), repr(lab.settings), repr(lab.lm), repr(lab.router), lab.settings.model_dump_json()]
    assert [text for text in shown if "sk-secret" in text] == []
    assert "openai/x" in repr(lab)


# --- its life -----------------------------------------------------------------------------------------------------


def test_closing_twice_does_no_harm() -> None:
    """The second time nothing happens, from whatever thread."""
    lab = Lab(backend=FakeBackend())
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: lab.close(), range(4)))
    assert lab.is_closed
    assert "[closed" in repr(lab)


def test_the_local_model_is_loaded_while_the_user_types(tmp_path: Path) -> None:
    """Getting ready starts the pools with a floor, then has the default model loaded."""
    (tmp_path / "tiny.gguf").touch()
    settings = Settings.create(runtime_dir=tmp_path, model_dir=tmp_path, lm="local/tiny")
    asked: list[str] = []
    is_loaded = threading.Event()
    backend = FakeBackend(
        {"lm.load": lambda call: is_loaded.set()}, replies={"pools.start": lambda name: asked.append(name)}
    )
    with Lab(settings, backend=backend) as lab:
        lab.start_in_background()
        assert is_loaded.wait(10)
    assert asked == ["general"]
    assert backend.calls[0].args == {"model": "local/tiny"}


def test_all_of_a_lab_ends_though_one_part_of_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails at the end leaves no thread behind; its error is raised."""

    def fail() -> None:
        raise OSError("full")

    lab = Lab(backend=FakeBackend())
    monkeypatch.setattr(lab.batches, "close", fail)
    with pytest.raises(OSError, match="full"):
        lab.close()
    assert lab.portal.is_closed


def test_a_closed_lab_says_so(backend: FakeBackend) -> None:
    """Whatever is asked of it is HostUnavailable with a hint; warming it up is nothing."""
    lab = Lab(backend=backend)
    lab.close()
    lab.start_in_background()
    for ask in (lab.status, lab.start, lambda: lab.request("echo", value=1), lambda: lab.resize("general", 2)):
        with pytest.raises(HostUnavailable, match=r"The lab is closed.*\n.*Lab\(\)"):
            ask()


def test_the_current_lab_is_made_anew_when_it_was_closed() -> None:
    """There is always one; a lab that was put in its place is given back open."""
    outer = use_lab(None)
    try:
        first = current_lab()
        assert current_lab() is first
        first.close()
        second = current_lab()
        assert second is not first
        with Lab(backend=FakeBackend()) as mine:
            assert use_lab(mine) is second
            assert current_lab() is mine
        use_lab(second)
        assert not current_lab().is_closed
        second.close()
    finally:
        use_lab(outer)


def test_threads_that_ask_first_get_one_lab() -> None:
    """However many ask at once, one lab is made."""
    outer = use_lab(None)
    try:
        with ThreadPoolExecutor(8) as threads:
            found = set(threads.map(lambda _: current_lab(), range(8)))
        assert len(found) == 1
        found.pop().close()
    finally:
        use_lab(outer)


def test_a_lab_is_used_from_several_threads(lab: Lab) -> None:
    """Programs that run at the same time each get their own answer."""
    from dspex_lab import predict

    program = predict("question -> answer", route="python")
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: program(question=f"q{n}").answer, range(40)))
    assert answers == [f"Q{n}" for n in range(40)]
    assert lab.router.statistics().succeeded == 40


def test_an_interrupt_of_a_synchronous_call_cancels_it(lab: Lab, backend: FakeBackend) -> None:
    """KeyboardInterrupt comes out of the call at once, and the call is stopped."""
    from dspex_lab import predict

    was_stopped = threading.Event()

    async def hang(_: FakeCall) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            was_stopped.set()

    backend.handlers["dspy.run"] = hang
    with pytest.raises(KeyboardInterrupt):
        predict("question -> answer", route="python")(question="x")
    assert was_stopped.wait(5)


def test_an_interrupt_of_a_question_to_the_host_cancels_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that does not end is given up."""
    was_stopped = threading.Event()

    async def hang(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            was_stopped.set()

    monkeypatch.setattr(lab.backend, "request", hang)
    with pytest.raises(KeyboardInterrupt):
        lab.request("status")
    assert was_stopped.wait(5)


def test_a_pool_is_added_to_the_settings(lab: Lab) -> None:
    """The host is told of it, and a later host is too."""
    lab.add_pool(PoolSpec(name="big", size=2))
    assert lab.settings.pool("big").size == 2


def test_an_open_lab_does_not_hold_up_the_end_of_its_process(lab_runtime_dir: Path) -> None:
    """A script that never closes its lab ends at once, and in silence."""
    code = "from dspex_lab.lab import current_lab; current_lab()"
    environment = os.environ | {"DSPEX_LAB_RUNTIME_DIR": str(lab_runtime_dir / "none")}
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- no host to be had --------------------------------------------------------------------------------------------


def error_of_starting(folder: Path) -> LabError:
    with Lab(Settings.create(runtime_dir=folder)) as lab, pytest.raises(LabError) as caught:
        lab.start()
    return caught.value


def test_a_runtime_folder_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    """A file in its place is a ConfigurationError that names the folder and the variable to set."""
    (tmp_path / "file").touch()
    error = error_of_starting(tmp_path / "file" / "lab")
    assert isinstance(error, ConfigurationError)
    assert str(tmp_path / "file" / "lab") in error.message
    assert "DSPEX_LAB_RUNTIME_DIR" in (error.hint or "")


def test_a_runtime_folder_with_a_long_path_is_said_at_once(tmp_path: Path) -> None:
    """A path that is too long for Unix sockets is a ConfigurationError that says so, and nothing is made there."""
    folder = tmp_path / ("x" * 90)
    error = error_of_starting(folder)
    assert isinstance(error, ConfigurationError)
    assert "too long for Unix sockets" in error.message
    assert "DSPEX_LAB_RUNTIME_DIR" in (error.hint or "")
    assert not folder.exists()


# --- results that are kept ----------------------------------------------------------------------------------------


def test_results_on_disk_outlive_their_lab(backend: FakeBackend, tmp_path: Path) -> None:
    """They lie in the cache folder of the settings, private, and the next lab finds them; closing lets go of them."""
    step = lab_api.native(lambda question: question.upper(), writes="loud", cache=lab_api.CachePolicy(place="disk"))
    for is_kept in (False, True):
        with Lab(Settings.create(cache_dir=tmp_path / "kept"), backend=backend) as made:
            before = use_lab(made)
            result = step(question="a")
            use_lab(before)
        assert result.loud == "A"
        assert made.router.statistics().cache_hits == is_kept
        assert repr(made.router.caches) == "<ResultCaches [unused]>"
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700


# --- what it tells of itself --------------------------------------------------------------------------------------


def test_the_figures_of_the_lab_are_tables(lab: Lab) -> None:
    """``lab.statistics()`` is the current lab's, budgets of its runs included, and asks no host."""
    budget = lab_api.Budget(max_tokens_total=10)
    lab_api.native(lambda q: q).options(budget=budget)(q="?")
    seen = lab_api.statistics()
    assert seen.routes[["route", "target", "calls"]].to_dict("records") == [
        {"route": "native", "target": "notebook", "calls": 1}
    ]
    assert seen.budgets[["tokens", "max_tokens_total"]].to_dict("records") == [{"tokens": 0, "max_tokens_total": 10}]


def test_the_status_shows_the_circuits(lab: Lab, backend: FakeBackend) -> None:
    """Beside the host's pools stand the models and pools that are left alone, and until when."""

    def fail(call: FakeCall) -> None:
        raise WorkerLost("gone")

    backend.handlers["python.call"] = fail
    backend._replies["status"] = {"pid": 1, "clients": [], "pools": {}}
    step = lab_api.native(lambda q: q, pool="general", retry=0)
    for _ in range(10):
        with pytest.raises(WorkerLost):
            step(q="?")
    with pytest.raises(CircuitOpen):
        step(q="?")
    shown = lab.status()
    assert "Circuit of pool general: open (10 failures in a row, next probe in" in repr(shown)
    assert "Circuit of pool general: open" in shown._repr_html_()


def test_observers_hear_of_what_happens_and_one_that_fails_is_detached(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    """``lab.on(event, fn)``: by name or pattern, until the function that it gives is called; no run breaks."""
    heard: list[str] = []

    def broken(event: Event) -> None:
        raise RuntimeError("no")

    lab_api.on("*", broken)

    def hear(event: Event) -> None:
        heard.append(event.name)

    stop = lab_api.on("run.*", hear)
    double = lab_api.native(lambda q: 2 * q)
    assert double(q=2).to_dict() == {"native": 4}
    stop()
    double(q=2)
    assert heard == ["run.start", "run.end"]
    assert caplog.text.count("was detached") == 1
    with pytest.raises(ConfigurationError, match=r"Did you mean 'run\."):
        lab_api.on("run.begin", broken)


def test_what_runs_do_is_told_to_who_hears_it(lab: Lab, backend: FakeBackend) -> None:
    """At the latest with the end of the lab; without a host it is there to be looked at, and no host is started."""
    run = lab_api.native(lambda q: 2 * q).submit(q=1)
    run.result()
    assert [span.name for span in lab_api.trace(run.id).spans] == ["run native", "native native"]
    assert list(lab_api.traces()["trace"]) == [run.id]
    assert not any(backend.told)
    backend.hears = True
    lab.close()
    assert [one.name for one in backend.told[1]][:2] == ["run.start", "pipeline.step"]
