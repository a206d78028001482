"""``map``: a pipeline or a program on many rows, from every source to every result."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas
import pytest

from dspex_lab.backends.base import PendingCall
from dspex_lab.calls import Call
from dspex_lab.errors import Cancelled, ConfigurationError, DeadlineExceeded, PipelineError
from dspex_lab.pipelines import BatchState, Pipeline, chain_of_thought, each, native, predict, when
from dspex_lab.testing.stage import Stage


def doubling(stage: Stage) -> Pipeline:
    return stage.pipeline(twice=native(lambda number: int(number) * 2))


def rows(count: int) -> list[dict[str, int]]:
    return [{"number": number} for number in range(count)]


def quiet(made: Pipeline, given: Any, **options: Any) -> Any:
    return made.map(given, progress=False, **options)


# --- results ------------------------------------------------------------------------------------------------------


def test_a_frame_keeps_its_columns_and_its_index(stage: Stage) -> None:
    """The result is the table, with a column for each output and one for errors."""
    frame = pandas.DataFrame({"number": [1, 2], "label": ["a", "b"]}, index=["x", "y"])
    made = quiet(doubling(stage), frame)
    assert list(made.columns) == ["number", "label", "twice", "error"]
    assert list(made.index) == ["x", "y"]
    assert made["twice"].tolist() == [2, 4]
    assert made["error"].isna().all()
    assert list(frame.columns) == ["number", "label"]


def test_results_are_in_the_rows_order(stage: Stage) -> None:
    """Whichever row is done first."""
    gate = threading.Event()

    def slow_first(number: int) -> int:
        if number == 0:
            gate.wait(10)
        if number == 9:
            gate.set()
        return number

    made = stage.pipeline(same=native(slow_first))
    assert quiet(made, rows(10))["same"].tolist() == list(range(10))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda: [3, 4], id="values where there is one input"),
        pytest.param(lambda: iter([3, 4]), id="an iterator"),
        pytest.param(lambda: (number for number in (3, 4)), id="a generator"),
        pytest.param(lambda: pandas.Series([3, 4]), id="a series"),
        pytest.param(lambda: [{"number": 3}, {"number": 4}], id="dicts"),
        pytest.param(lambda: pandas.DataFrame({"number": [3, 4]}), id="a frame"),
    ],
)
def test_every_source_gives_the_same(stage: Stage, given: Callable[[], Any]) -> None:
    """Rows may come in many forms."""
    made = quiet(doubling(stage), given())
    assert made["number"].tolist() == [3, 4]
    assert made["twice"].tolist() == [6, 8]


def test_no_rows_give_an_empty_frame(stage: Stage) -> None:
    """With all of its columns."""
    made = quiet(doubling(stage), [])
    assert (len(made), list(made.columns)) == (0, ["number", "twice", "error"])


def test_a_program_gives_all_of_its_outputs(stage: Stage) -> None:
    """The reasoning of a chain of thought among them."""
    made = stage.program(chain_of_thought("question -> answer")).map(["a", "b"], progress=False)
    assert made["answer"].tolist() == ["answer of question"] * 2
    assert made["reasoning"].tolist() == ["since"] * 2


def test_an_output_that_is_called_like_a_column(stage: Stage) -> None:
    """The column stays, and the output stands beside it; so does the error."""
    frame = pandas.DataFrame({"number": [1], "twice": ["mine"], "error": ["mine"]})
    made = quiet(doubling(stage), frame)
    assert made.iloc[0].tolist()[:4] == [1, "mine", "mine", 2]
    assert list(made.columns)[3:] == ["twice_out", "error_"]


def test_whole_numbers_stay_whole_beside_failures(stage: Stage) -> None:
    """A missing output does not make fractions of the others."""
    made = stage.pipeline(out=native(lambda number: 10 // number))
    result = quiet(made, rows(3))
    assert result["out"].tolist()[1:] == [10, 5]
    assert result["out"].isna().tolist() == [True, False, False]
    assert str(result["out"].dtype) == "Int64"


def test_every_kind_of_step_runs(stage: Stage) -> None:
    """Branches, lists and models, row by row."""
    made = stage.pipeline(
        items=native(lambda number: [number, number + 1]),
        squares=each(native(lambda item: item * item, writes=["square"]), over="items"),
        said=when(
            lambda s: s.number > 0,
            then=predict("number -> word"),
            otherwise=native(lambda number: "none", writes=["word"]),
        ),
    )
    result = quiet(made, rows(2))
    assert result["square"].tolist() == [[0, 1], [1, 4]]
    assert result["word"].tolist() == ["none", "word of number"]


# --- faults -------------------------------------------------------------------------------------------------------


def test_a_missing_column_is_said_before_anything_runs(stage: Stage) -> None:
    """With the nearest name, and how to say which column it is."""
    with pytest.raises(PipelineError, match=r"no column 'number'") as caught:
        quiet(doubling(stage), [{"numbr": 1}])
    assert "Did you mean the column 'numbr'" in str(caught.value.hint)
    assert "inputs={'numbr': 'number'}" in str(caught.value.hint)
    assert not stage.events


def test_columns_can_be_named(stage: Stage) -> None:
    """``inputs`` says which column is which input."""
    result = quiet(doubling(stage), [{"n": 2}], inputs={"n": "number"})
    assert result.iloc[0].tolist()[:2] == [2, 4]


def test_an_input_that_there_is_not(stage: Stage) -> None:
    """``inputs`` that names none is an error with the nearest one."""
    with pytest.raises(PipelineError, match="no input 'numbre'") as caught:
        quiet(doubling(stage), rows(1), inputs={"number": "numbre"})
    assert "'number'" in str(caught.value.hint)


def test_a_row_that_does_not_fit_is_that_row_s_error(stage: Stage) -> None:
    """The others run; the row says what is wrong with it."""

    def add(number: int) -> int:
        return number + 1

    made = quiet(stage.pipeline(more=native(add)), [{"number": 1}, {"number": "one"}, {}])
    assert made["more"].tolist()[0] == 2
    assert made["error"].isna().tolist() == [True, False, False]
    assert "does not fit" in made["error"][1]
    assert "missing" in made["error"][2]


def test_a_row_that_fails_has_its_error_beside_it(stage: Stage) -> None:
    """In one line with its kind; the handle has it as it is."""
    batch = quiet(stage.pipeline(out=native(lambda number: 1 // number)), rows(3), wait=False)
    result = batch.result()
    assert result["error"][0] == "PipelineError: out failed: ZeroDivisionError: integer division or modulo by zero"
    assert isinstance(batch.errors[0], PipelineError)
    assert (batch.statistics().succeeded, batch.statistics().failed) == (2, 1)


def test_the_first_error_can_end_the_batch(stage: Stage) -> None:
    """``on_error="raise"``: what is done is there still."""
    batch = quiet(stage.pipeline(out=native(lambda number: 1 // number)), rows(1), wait=False, on_error="raise")
    with pytest.raises(PipelineError, match="ZeroDivisionError"):
        batch.result()
    assert batch.state is BatchState.FAILED
    assert len(batch.so_far()) == 1


def test_rows_that_break_off(stage: Stage) -> None:
    """An iterator that fails ends the batch with its error; what is done is there still."""

    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the line is cut")

    batch = quiet(doubling(stage), broken(), wait=False)
    with pytest.raises(PipelineError, match="the line is cut"):
        batch.result()
    assert batch.so_far()["twice"].tolist() == [2]


@pytest.mark.parametrize("given", [5, {"number": 1}, b"bytes"])
def test_what_holds_no_rows(stage: Stage, given: Any) -> None:
    """Says what rows can be."""
    with pytest.raises(PipelineError, match="holds no rows"):
        quiet(doubling(stage), given)


def test_values_need_one_input(stage: Stage) -> None:
    """Rows that are no mappings are refused where there are several inputs."""
    with pytest.raises(PipelineError, match="several inputs: a, b"):
        quiet(stage.pipeline(out=native(lambda a, b: a)), [1, 2])


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"on_error": "ignore"}, {"to": "results.xlsx"}, {"resume": True, "durable": False}],
)
def test_options_are_checked(stage: Stage, options: Mapping[str, Any]) -> None:
    """Before anything runs."""
    with pytest.raises(ConfigurationError):
        quiet(doubling(stage), rows(1), **options)


# --- how many at a time -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_than_asked_for(stage: Stage, concurrency: int) -> None:
    """The user's number holds."""
    running: list[int] = []
    most: list[int] = []

    async def work(number: int) -> int:
        running.append(number)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(number)
        return number

    quiet(stage.pipeline(same=native(work)), rows(20), concurrency=concurrency)
    assert max(most) == concurrency


def test_calls_are_a_batch_s(stage: Stage) -> None:
    """Those who wait go first: every call says that it is of a batch."""
    seen: list[str] = []
    submit = stage.backend.submit

    def spied(call: Call) -> PendingCall:
        seen.append(call.priority)
        return submit(call)

    stage.backend.submit = spied  # type: ignore[method-assign]
    quiet(stage.pipeline(out=predict("number -> out")), rows(3))
    assert seen == ["batch"] * 3


# --- stopping -----------------------------------------------------------------------------------------------------


def held_at(stage: Stage, number: int) -> Pipeline:
    """A pipeline whose rows wait from that one on."""

    limit = number

    async def wait(number: int) -> int:
        if number >= limit:
            stage.is_slow.set()
            await asyncio.Event().wait()
        return number

    return stage.pipeline(same=native(wait))


def test_stop_gives_what_there_is(stage: Stage) -> None:
    """The rows that are done by then, with their places in the index."""
    frame = pandas.DataFrame({"number": range(10)})
    batch = quiet(held_at(stage, 3), frame, concurrency=1, wait=False)
    assert stage.is_slow.wait(10)
    assert batch.stop()
    result = batch.result(10)
    assert result["same"].tolist() == [0, 1, 2]
    assert batch.state is BatchState.STOPPED
    assert not batch.stop()


def test_cancel_is_an_error(stage: Stage) -> None:
    """And what is done can be had still."""
    batch = quiet(held_at(stage, 2), rows(5), concurrency=1, wait=False)
    assert stage.is_slow.wait(10)
    batch.cancel()
    with pytest.raises(Cancelled):
        batch.result(10)
    assert batch.so_far()["same"].tolist() == [0, 1]


def test_a_blocked_iterator_does_not_block_a_stop(stage: Stage) -> None:
    """Who waits for rows that do not come can stop all the same."""
    gate = threading.Event()

    def blocked() -> Iterator[int]:
        yield 1
        gate.wait(30)

    batch = quiet(doubling(stage), blocked(), wait=False)
    while not batch.statistics().done:
        batch.wait(0.01)
    batch.stop()
    assert batch.result(10)["twice"].tolist() == [2]
    gate.set()


def test_an_interrupt_stops_and_gives_what_there_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C in the cell: the result is what is done, and the cell says so, and how to go on."""
    batch = quiet(held_at(stage, 1), rows(5), concurrency=1, wait=False)
    assert stage.is_slow.wait(10)

    def interrupted(deadline: float | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "_watch", interrupted)
    assert batch.result()["same"].tolist() == [0]
    assert "Stopped: 1 of 5 rows" in capsys.readouterr().err


def test_a_result_that_takes_too_long(stage: Stage) -> None:
    """The wait ends, the batch goes on."""
    batch = quiet(held_at(stage, 0), rows(1), wait=False)
    with pytest.raises(DeadlineExceeded):
        batch.result(0.05)
    assert batch.state is BatchState.RUNNING
    batch.cancel()


async def test_a_batch_can_be_awaited(stage: Stage) -> None:
    """On any event loop."""
    result = await quiet(doubling(stage), rows(2), wait=False)
    assert result["twice"].tolist() == [0, 2]


def test_one_line_says_how_it_stands(stage: Stage) -> None:
    """The repr has the state and the figures."""
    batch = quiet(doubling(stage), rows(2), wait=False)
    batch.result()
    assert repr(batch).startswith(f"<Batch test {batch.id[:8]} [finished, 2 of 2 rows, ")
