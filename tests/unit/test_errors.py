"""The error tree: data in, message built inside, and the same error at the other end of the wire."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspex_lab import errors
from dspex_lab.errors import LabError, PipelineError, PythonError, SignatureError, ValidationError, error_from_dict
from dspex_lab.errors.nearest import did_you_mean, nearest
from dspex_lab.errors.users_code import is_users_file

CLASSES = sorted(
    (one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, LabError)),
    key=lambda one: one.__name__,
)
FIELDS: dict[str, Any] = {
    "BudgetExceeded": {"unit": "tokens", "limit": 100, "spent": 120},
    "SignatureError": {"signature": "a -> b", "field": "b", "line": 1, "column": 6},
    "ValidationError": {"errors": ({"field": "a", "message": "too small", "input": 0},)},
    "TemplateError": {"line": 3, "line_text": "{{ x }}"},
    "ConfigurationError": {"config_key": "size", "expected": "a number", "actual": "'x'"},
    "PythonError": {"traceback": "Traceback ...", "error_type": "ValueError"},
    "ModelError": {"model": "local/x", "status": 404},
    "PipelineError": {"step": "triage", "accumulated_errors": (PythonError("x", "t", "E"),), "where": "line 1"},
}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda one: one.__name__)
def test_every_error_survives_the_wire(cls: type[LabError]) -> None:
    """Class, message, hint, retryable and every field come back."""
    error = cls("It failed.", hint="Try again.", retryable=True, **FIELDS.get(cls.__name__, {}))
    data = msgspec.msgpack.decode(msgspec.msgpack.encode(error.to_dict()))
    back = error_from_dict(data)
    assert type(back) is cls
    assert back.to_dict() == error.to_dict()
    assert str(back) == str(error)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda one: one.__name__)
def test_every_public_name_is_an_error_class(cls: type[LabError]) -> None:
    """__all__ names every class of the tree."""
    assert cls.__name__ in errors.__all__


def test_errors_inside_errors_come_back_as_errors() -> None:
    """A pipeline's accumulated errors are errors again at the other end."""
    inner = SignatureError("Bad.", "a ->", None, line=1, column=3)
    back = error_from_dict(PipelineError("It ended.", "step", (inner,)).to_dict())
    assert isinstance(back, PipelineError)
    (one,) = back.accumulated_errors
    assert isinstance(one, SignatureError)
    assert one.column == 3


def test_an_unknown_class_becomes_a_python_error() -> None:
    """A newer worker's error is still an error with its message."""
    error = error_from_dict({"type": "SomethingNew", "message": "what it said"})
    assert isinstance(error, PythonError)
    assert error.message == "what it said"


@given(
    st.dictionaries(
        st.sampled_from(["type", "message", "hint", "retryable", "errors", "line", "step"]),
        st.none() | st.text() | st.integers() | st.lists(st.integers()),
        max_size=6,
    ),
    st.sampled_from([one.__name__ for one in CLASSES]),
)
def test_data_that_is_no_error_becomes_one(data: dict[str, Any], name: str) -> None:
    """error_from_dict never raises: whoever waits for the end of a call gets one."""
    assert isinstance(error_from_dict(data | {"type": name}), LabError)


class Unprintable:
    """A user's value whose repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError


class Endless(list[Any]):
    """A value that holds itself."""

    def __init__(self) -> None:
        self.append(self)


@pytest.mark.parametrize("data", [None, 5, "text", [1]], ids=repr)
def test_what_is_no_mapping_becomes_an_error_too(data: object) -> None:
    """A broken other side may tell anything in an error's place."""
    assert isinstance(error_from_dict(data), PythonError)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        "\udcff",
        {"deep": [object()]},
        2**70,
        {1: {2}},
        b"raw",
        float("nan"),
        10**5000,
        Unprintable(),
        Endless(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_an_error_holds_can_travel(value: object) -> None:
    """to_dict() is plain data, even of values that are none."""
    data = ValidationError("Wrong \udcff.", ({"field": "a", "message": "m", "input": value},)).to_dict()
    msgspec.msgpack.encode(data)


def test_the_excerpt_points_at_the_column() -> None:
    """The caret is under the character that is meant."""
    error = SignatureError("Unknown type.", "question -> answer: strr", line=1, column=21)
    line, caret = error.excerpt().splitlines()
    assert line[caret.index("^") :] == "strr"


def test_the_excerpt_of_a_long_line_is_cut_around_the_column() -> None:
    """A place far to the right is shown, with its caret."""
    error = SignatureError("Unknown.", "x" * 300 + "HERE" + "y" * 300, line=1, column=301)
    line, caret = error.excerpt(width=60).splitlines()
    assert line[caret.index("^") :].startswith("HERE")
    assert len(line) < 90


@pytest.mark.parametrize(("line", "signature"), [(None, "a"), (0, "a"), (9, "a"), (1, "")])
def test_no_place_no_excerpt(line: int | None, signature: str) -> None:
    """An error without a place, or with one outside of the text, shows none."""
    assert SignatureError("Bad.", signature, line=line).excerpt() == ""


def test_a_long_list_of_faults_is_cut() -> None:
    """Ten faults are shown, and how many there are beside."""
    fault = {"field": "a", "message": "It is missing.", "input": None}
    told = str(ValidationError("Wrong.", (fault,) * 12)).splitlines()
    assert told[1] == "  `a`: It is missing."
    assert told[-1] == "  … 2 more"
    assert len(told) == 11


def test_the_message_is_one_line_and_then_the_hint() -> None:
    """What the user sees: the sentence, then what to try."""
    assert str(LabError("It failed.", hint="Try this.")) == "It failed.\nHint: Try this."
    assert str(LabError("It failed.")) == "It failed."


@pytest.mark.parametrize("cls", CLASSES, ids=lambda one: one.__name__)
def test_retryable_is_the_classes_own_unless_said(cls: type[LabError]) -> None:
    """A class has its answer, an error may have another."""
    assert cls("x").retryable is cls.retryable
    assert cls("x", retryable=not cls.retryable).retryable is not cls.retryable


# --- the user's own line ------------------------------------------------------------------------------------------


def test_a_file_beside_an_environment_is_the_users(tmp_path: Path) -> None:
    """A project may lie in a folder whose name begins as the house's does, or around the environment itself."""
    beside = f"{Path(errors.__file__).parents[1]}_demo/steps.py"
    around = str(Path(sys.prefix) / "steps.py")
    assert all(map(is_users_file, (beside, around, str(tmp_path / "a.py"), "<ipython-input-1-ab>")))


@pytest.mark.parametrize("module", [json, pytest, errors])
def test_what_was_installed_is_not_the_users(module: ModuleType) -> None:
    """Python's own files, packages and ours are nobody's line."""
    assert not is_users_file(str(module.__file__))


@pytest.mark.parametrize("file", ["<frozen runpy>", "<string>"])
def test_frames_of_python_itself_are_not_the_users(file: str) -> None:
    """Modules that are frozen into Python, and what its library makes as text."""
    assert not is_users_file(file)


# --- what was meant -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [("Retyr", ["retry", "run"], "retry"), ("ID", {"id": 1}, "id"), ("xyz", ["retry"], None), (7, [7, None], None)],
)
def test_the_nearest_name_is_found_whatever_its_case(name: object, known: Any, found: str | None) -> None:
    """Among anything: what is no name is none."""
    assert nearest(name, known) == found


def test_the_hint_is_written_as_one_would_write_it() -> None:
    """A flag is a flag; without a name that is near there is another hint."""
    assert did_you_mean("--rum", ["--run"], form="{}") == "Did you mean --run?"
    assert did_you_mean("rum", ["run"]) == "Did you mean 'run'?"
    assert did_you_mean("xyz", ["run"], "There is run.") == "There is run."
