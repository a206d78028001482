"""Runs that are written down, found again and gone on with, on a real lab without a host."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dspex_lab.calls import LmSpec
from dspex_lab.errors import ConfigurationError, PipelineError
from dspex_lab.lab import Lab
from dspex_lab.pipelines import PastRun, Pipeline, Run, compile_cell, each, native, predict
from dspex_lab.router import Budget
from dspex_lab.settings import Settings
from dspex_lab.testing import FakeBackend

SECRET = "sk-" + "a1b2c3d4" * 4

OpenLab = Callable[[], Lab]


@dataclasses.dataclass(frozen=True)
class Ticket:
    text: str


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.create(data_dir=tmp_path / "data")


@pytest.fixture
def open_lab(settings: Settings) -> Iterator[OpenLab]:
    made: list[Lab] = []

    def make() -> Lab:
        made.append(Lab(settings, backend=FakeBackend({})))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


def define(lab: Lab, name: str = "support", **steps: Any) -> Pipeline:
    made = Pipeline(name, steps, start=lab.launcher.start)
    lab.pipelines.replace(name, made)
    return made


def warnings_of(run: Run) -> list[str]:
    return [str(one.attributes["message"]) for one in run.events().snapshot() if one.name == "pipeline.warning"]


class Once:
    """A step that fails until it is mended, and counts how often it ran."""

    def __init__(self) -> None:
        self.is_broken = True
        self.count = 0

    def __call__(self, ticket: str) -> Ticket:
        self.count += 1
        return Ticket(ticket)

    def fail(self, first: Ticket) -> str:
        if self.is_broken:
            raise ValueError("it broke")
        return first.text


def define_failing(lab: Lab, once: Once) -> Pipeline:
    def first(ticket: str) -> Ticket:
        return once(ticket)

    def second(first: Ticket) -> str:
        return once.fail(first)

    return define(lab, first=native(first), second=native(second))


def failed_run(lab: Lab, once: Once) -> Run:
    run = define_failing(lab, once).submit(ticket="late")
    with pytest.raises(PipelineError, match="it broke"):
        run.result(10)
    return run


def rewrite(settings: Settings, sql: str, *values: Any) -> None:
    database = sqlite3.connect(settings.journal_file)
    with database:
        database.execute(sql, values)
    database.close()


def test_a_run_goes_on_where_it_failed(open_lab: OpenLab) -> None:
    """What has finished is not done again; the new run has the id of the old one."""
    lab, once = open_lab(), Once()
    run = failed_run(lab, once)
    once.is_broken = False
    again = run.resume()
    assert again.result(10) == {"first": Ticket("late"), "second": "late"}
    assert (again.id, once.count) == (run.id, 1)
    assert lab.history.run(run.id) is again


def test_another_process_goes_on_with_a_run(open_lab: OpenLab) -> None:
    """A lab that only has the journal gives the same; values are of the classes that are defined now."""
    once = Once()
    with open_lab() as lab:
        run_id = failed_run(lab, once).id
    once.is_broken = False
    lab = open_lab()
    define_failing(lab, once)
    past = lab.history.run(run_id[:8])
    assert isinstance(past, PastRun)
    assert past.inputs == {"ticket": "late"}
    assert past.steps == {"first": {"first": Ticket("late")}}
    assert (past.state, past.metrics["first"].status) == ("failed", "succeeded")
    assert "it broke" in str(past.error)
    assert past.resume().result(10)["second"] == "late"
    assert once.count == 1
    assert [state for _, state in past.states] == ["running", "failed", "running", "succeeded"]


def test_the_table_tells_of_every_run(open_lab: OpenLab) -> None:
    """One record each, the newest first: state, steps done of all, error."""
    lab, once = open_lab(), Once()
    failed_run(lab, once)
    once.is_broken = False
    define_failing(lab, once)(ticket="x")
    newest, oldest = lab.history.records()
    assert (newest.state, newest.steps_done, newest.step_count) == ("succeeded", 2, 2)
    assert (oldest.state, oldest.steps_done, oldest.step_count) == ("failed", 1, 2)
    assert (oldest.error or {})["message"] == "second failed: ValueError: it broke"
    assert lab.history.unfinished("support") is not None


def test_the_lab_that_closes_interrupts_its_runs(open_lab: OpenLab) -> None:
    """Nobody cancelled them: they are there to be gone on with."""
    begun = threading.Event()

    async def slow(ticket: str) -> str:
        begun.set()
        await asyncio.Event().wait()
        return ticket

    with open_lab() as lab:
        run_id = define(lab, slow=native(slow)).submit(ticket="x").id
        assert begun.wait(10)
    found = open_lab().history.unfinished("support")
    assert found is not None
    assert (found.id, found.state) == (run_id, "interrupted")


def test_a_run_that_is_under_way_is_not_resumed(open_lab: OpenLab, settings: Settings) -> None:
    """Neither here nor from another notebook, while the process lives that has it."""
    lab, once = open_lab(), Once()
    run = failed_run(lab, once)
    other = open_lab()
    define_failing(other, once)
    rewrite(settings, "UPDATE runs SET state = 'running'")
    with pytest.raises(PipelineError, match="is under way, in process") as caught:
        other.history.resume(run.id, {})
    assert str(os.getpid()) in caught.value.message


def test_a_run_whose_process_died_is_interrupted(open_lab: OpenLab, settings: Settings) -> None:
    """A pid that was given out again is not its owner."""
    lab, once = open_lab(), Once()
    run = failed_run(lab, once)
    rewrite(settings, "UPDATE runs SET state = 'running', owner_started = owner_started - 100")
    (record,) = lab.history.records()
    assert record.state == "interrupted"
    once.is_broken = False
    assert lab.history.resume(run.id, {}).result(10)["second"] == "late"


def test_only_one_of_two_goes_on(open_lab: OpenLab) -> None:
    """Two notebooks that resume one run at a time: the second is told."""
    lab, once = open_lab(), Once()
    failed_run(lab, once)
    (record,) = lab.history.records()
    plan = lab.pipelines.find("support").plan
    lab.journal.take_over(record, plan, {}, {}, {})
    with pytest.raises(ConfigurationError, match="under way already"):
        lab.journal.take_over(record, plan, {}, {}, {})


def test_another_pipeline_is_refused(open_lab: OpenLab) -> None:
    """The step that differs is named, and nothing runs."""
    once = Once()
    with open_lab() as lab:
        run_id = failed_run(lab, once).id
    lab = open_lab()
    define(lab, first=native(lambda ticket: Ticket("other")), second=native(lambda first: first))
    with pytest.raises(PipelineError, match="The step first of support is not what it was") as caught:
        lab.history.resume(run_id, {})
    assert "run the cell as it was" in (caught.value.hint or "")
    define(lab, first=define_failing(lab, once).steps["first"])
    with pytest.raises(PipelineError, match="support has no step second"):
        lab.history.resume(run_id, {})


def test_a_pipeline_that_is_not_there_is_asked_for(open_lab: OpenLab) -> None:
    """The hint shows the cell that defined it."""
    with open_lab() as lab:
        made = compile_cell(
            "length = native(lambda text: len(text))", namespace={}, start=lab.launcher.start, name="sizes"
        )
        made(text="abc")
    lab = open_lab()
    (record,) = lab.history.records()
    with pytest.raises(PipelineError, match="There is no pipeline sizes") as caught:
        lab.history.resume(record.run_id, {})
    assert "%%pipeline sizes\nlength = native(" in (caught.value.hint or "")


def test_an_input_that_was_not_written_is_asked_for(open_lab: OpenLab) -> None:
    """It is said when the run begins, and given again to go on."""
    lab, thing = open_lab(), object()
    made = define(lab, first=native(lambda thing, text: text))
    run = made.submit(thing=thing, text="x")
    run.result(10)
    assert warnings_of(run) == ["The input thing cannot be written down: to resume, give it again."]
    with pytest.raises(PipelineError, match="The input thing could not be written down"):
        run.resume()
    with pytest.raises(PipelineError, match="has its input text already"):
        run.resume(thing=thing, text="y")
    assert run.resume(thing=thing).result(10)["first"] == "x"


def test_a_step_without_a_form_says_so_once_and_runs_again(open_lab: OpenLab) -> None:
    """Its run goes on; when it is resumed the step is done again."""
    lab, counts = open_lab(), [0]

    def opaque(item: int) -> Any:
        counts[0] += 1
        return object()

    run = define(lab, rows=each(native(opaque), over="items")).submit(items=[1, 2, 3])
    run.result(10)
    assert [text.split(":")[0] for text in warnings_of(run)] == ["What rows.item gave cannot be written down"]
    run.resume().result(10)
    assert counts == [6]


def test_a_run_goes_on_without_a_journal(tmp_path: Path) -> None:
    """A folder that cannot be written is told once, and loses nothing."""
    (tmp_path / "file").write_text("")
    with Lab(Settings.create(data_dir=tmp_path / "file"), backend=FakeBackend({})) as lab:
        run = define(lab, a=native(lambda x: x), b=native(lambda a: a)).submit(x=1)
        assert run.result(10) == {"a": 1, "b": 1}
    assert len(warnings_of(run)) == 1
    assert "is not written down" in warnings_of(run)[0]


def test_a_run_may_ask_not_to_be_written(open_lab: OpenLab) -> None:
    """``journal=False`` leaves no trace, and programs leave none either."""
    lab = open_lab()
    run = define(lab, a=native(lambda x: x)).options(journal=False).submit(x=1)
    run.result(10)
    assert lab.history.records() == []
    with pytest.raises(ConfigurationError, match="was not written down"):
        run.resume()


def test_no_key_gets_into_the_file(open_lab: OpenLab, settings: Settings) -> None:
    """Neither from a cell's text nor from the options of a run or an error."""

    def fail(x: str) -> str:
        raise ValueError(f"no answer for {SECRET}")

    with open_lab() as lab:
        cell = f"answer = predict('x -> y', lm=LmSpec('openai/x', api_key='{SECRET}'))\nfailed = native(fail)"
        made = compile_cell(cell, namespace={"LmSpec": LmSpec, "fail": fail}, start=lab.launcher.start)
        chosen = made.options(steps={"answer": {"lm": LmSpec("openai/x", api_key=SECRET)}})
        with pytest.raises(PipelineError):
            chosen(x="q")
    files = [one.read_bytes() for one in settings.data_dir.iterdir()]
    assert any(b"failed = native(fail)" in data for data in files)
    assert not any(SECRET.encode() in data for data in files)


def test_ids_may_be_short_while_they_are_unique(open_lab: OpenLab, settings: Settings) -> None:
    """What fits several runs, or none, is an error that says so."""
    with open_lab() as lab:
        made = define(lab, a=native(lambda x: x))
        runs = [made.submit(x=1) for _ in range(2)]
        for run in runs:
            run.result(10)
        assert lab.history.run(runs[0].id[:12]) is runs[0]
        with pytest.raises(ConfigurationError, match="There is no run 'xyz'"):
            lab.history.run("xyz")
    rewrite(settings, "UPDATE runs SET run_id = 'abcdef' || substr(run_id, 7)")
    with pytest.raises(ConfigurationError, match="There are 2 runs whose id begins with 'abc'"):
        open_lab().history.run("abc")


def test_what_is_too_much_goes(settings: Settings) -> None:
    """Finished runs go by number and age, with their steps; unfinished ones stay longer."""
    small = settings.model_copy(update={"journal_max_runs": 2})
    once = Once()
    with Lab(small, backend=FakeBackend({})) as lab:
        failed_run(lab, once)
        once.is_broken = False
        made = define_failing(lab, once)
        for _ in range(5):
            made(ticket="x")
    with Lab(small, backend=FakeBackend({})) as lab:
        define(lab, "other", a=native(lambda x: x))(x=1)
        states = [record.state for record in lab.history.records()]
        assert states == ["succeeded"] * 3 + ["failed"]
        assert lab.journal.statistics().steps == 2 * 2 + 1 + 1


def test_predict_steps_are_validated_values_again(settings: Settings) -> None:
    """What a signature promised holds for a resumed run too: tuples, enums and numbers are what they were."""
    answers = {"count": 3, "pair": [1, "x"]}
    backend = FakeBackend({"dspy.run": lambda call: answers})
    with Lab(settings, backend=backend) as lab:
        lab.router.strategy = "python"
        run = define(lab, one=predict("q -> count: int, pair: tuple[int, str]")).submit(q="x")
        assert run.result(10)["pair"] == (1, "x")
        again = run.resume().result(10)
        assert (again["count"], again["pair"]) == (3, (1, "x"))
        assert len(backend.calls) == 1


def test_a_step_for_every_item_is_done_when_all_items_are(open_lab: OpenLab) -> None:
    """The table does not count it after the first; what failed in the middle is not done."""
    is_broken = [True]

    def square(item: int) -> int:
        if item == 3 and is_broken:
            raise ValueError("no")
        return item * item

    lab = open_lab()
    made = define(lab, first=native(lambda q: [1, 2, 3]), rows=each(native(square), over="first", concurrency=1))
    run = made.submit(q="x")
    with pytest.raises(PipelineError, match="no"):
        run.result(10)
    (record,) = lab.history.records()
    assert (record.steps_done, record.step_count) == (1, 2)
    is_broken.clear()
    assert run.resume().result(10)["rows"] == [1, 4, 9]
    (record,) = lab.history.records()
    assert (record.steps_done, record.step_count) == (2, 2)


def test_a_run_may_go_on_with_another_budget(open_lab: OpenLab) -> None:
    """Given where it is resumed, whether it is of this process or was found again; an input may be called budget."""
    lab, once = open_lab(), Once()
    run = failed_run(lab, once)
    with pytest.raises(ConfigurationError, match="no budget"):
        run.resume(5)  # type: ignore[arg-type]  # what users may write
    again = run.resume(Budget(max_tokens_total=5))
    with pytest.raises(PipelineError, match="it broke"):
        again.result(10)
    assert again.account is not None
    assert again.account.budget == Budget(max_tokens_total=5)
    once.is_broken = False
    past = lab.history.unfinished("support")
    assert past is not None
    last = past.resume(Budget(max_tokens_total=7))
    assert last.result(10)["second"] == "late"
    assert last.account is not None
    assert last.account.budget == Budget(max_tokens_total=7)
